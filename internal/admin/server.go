package admin

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/larder-cache/larder/internal/aws/gateway"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/store"
)

// Live is what only the runtime knows. Replication asks an engine how it is, by its
// node's id there.
type Live interface {
	Replication(ctx context.Context, node string) (runtime.Replication, error)
	// Listening says whether clients reach an endpoint, by its id in the runtime.
	Listening(endpoint string) runtime.Listening
	// InstanceSpace gives the paths of an instance's network namespace and of its
	// resolv.conf; both are empty where instances have none.
	InstanceSpace(i runtime.Instance) (namespace, resolver string)
}

// Config is what a Server needs. All fields but Troubles are required.
type Config struct {
	Store *store.Store
	Keys  *Keys
	Live  Live
	Clock core.Clock
	// Version is that of the binary.
	Version string
	Account string
	Names   NamesConfig
	// Fabric is the deployment's.
	Fabric string
	// Troubles tells what was wrong with the network since the start of the server;
	// nil if nothing ever is.
	Troubles func() []Trouble
	// ClusterStatus and GroupStatus give the status that the AWS API shows.
	ClusterStatus func(*resource.CacheCluster) string
	GroupStatus   func(*resource.ReplicationGroup) string
	Log           *slog.Logger
}

// Server answers the API.
type Server struct{ cfg Config }

// NewServer returns a Server.
func NewServer(cfg Config) *Server { return &Server{cfg: cfg} }

// Handlers are the handlers by their patterns, for gateway.Config.Extra.
func (s *Server) Handlers() map[string]http.Handler {
	const prefix = gateway.AdminPrefix
	return map[string]http.Handler{
		"GET " + prefix + "status":               s.answering(s.status),
		"GET " + prefix + "ca":                   s.answering(s.authority),
		"GET " + prefix + "keys":                 s.answering(s.listKeys),
		"POST " + prefix + "keys":                s.answering(s.createKey),
		"DELETE " + prefix + "keys/{id}":         s.answering(s.revokeKey),
		"GET " + prefix + "dns":                  s.answering(s.dns),
		"PUT " + prefix + "dns":                  s.answering(s.installDNS),
		"DELETE " + prefix + "dns":               s.answering(s.removeDNS),
		"GET " + prefix + "publications":         s.answering(s.listPublications),
		"POST " + prefix + "publications":        s.answering(s.publish),
		"DELETE " + prefix + "publications/{id}": s.answering(s.unpublish),
		"GET " + prefix + "instances/{id}":       s.answering(s.findInstance),
		"GET " + prefix + "explain":              s.answering(s.explain),
		"PUT " + prefix + "attachments/{vpc}":    s.answering(s.attach),
		"DELETE " + prefix + "attachments/{vpc}": s.answering(s.detach),
	}
}

// answering turns a function into a handler: its result, or its error, as JSON.
func (s *Server) answering(fn func(r *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := fn(r)
		status := http.StatusOK
		if err != nil {
			e, ok := core.AsError(err)
			if !ok {
				s.cfg.Log.ErrorContext(r.Context(), "admin request failed",
					"request", core.RequestFrom(r.Context()).ID, "path", r.URL.Path, "error", err)
				e = core.Errorf("InternalFailure", "An internal error has occurred.").WithStatus(http.StatusInternalServerError)
			}
			out, status = failure{Type: e.Code, Message: e.Message}, e.HTTPStatus()
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(out) // the client has gone if this fails
	})
}

// failure is an error on the wire, in the form of AWS's JSON protocol.
type failure struct {
	Type    string `json:"__type"`
	Message string `json:"message"`
}

// liveTimeout and liveWorkers bound how long a status waits for the engines.
const (
	liveTimeout = time.Second
	liveWorkers = 32
)

func (s *Server) status(r *http.Request) (any, error) {
	out := Status{Version: s.cfg.Version, Account: s.cfg.Account, Fabric: s.cfg.Fabric}
	if s.cfg.Troubles != nil {
		out.Troubles = s.cfg.Troubles()
	}
	err := s.cfg.Store.View(r.Context(), func(rd store.Reader) error {
		out.Caches, out.Attachments, out.Publications = s.overview(rd), attachments(rd), s.publications(rd)
		out.Instances = s.instances(rd)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.askEngines(r.Context(), out.Caches)
	return out, nil
}

// askEngines fills in what only the running engines know.
func (s *Server) askEngines(ctx context.Context, caches []Cache) {
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	slots := make(chan struct{}, liveWorkers)
	var wg sync.WaitGroup
	for i := range caches {
		for j := range caches[i].Nodes {
			n := &caches[i].Nodes[j]
			if n.Phase != resource.NodeRunning {
				continue
			}
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				if live, err := s.cfg.Live.Replication(ctx, n.key); err == nil {
					n.UsedMemory, n.Clients = &live.UsedMemory, &live.Clients
				}
			})
		}
	}
	wg.Wait()
}

// Authority is the certificate that servers of this deployment are known by.
type Authority struct {
	CertificatePEM string `json:"certificatePem"`
}

func (s *Server) authority(r *http.Request) (any, error) {
	var out Authority
	err := s.cfg.Store.View(r.Context(), func(rd store.Reader) error {
		ca, ok := resource.Certificates.Get(rd, "ca")
		if !ok {
			return core.Errorf("NoSuchEntity", "There is no certificate authority yet.").WithStatus(http.StatusNotFound)
		}
		out.CertificatePEM = ca.ChainPEM
		return nil
	})
	return out, err
}

// Key is an access key. Secret is only in the answer that made it.
type Key struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Root    bool      `json:"root,omitempty"`
	Created time.Time `json:"created"`
	Secret  string    `json:"secret,omitempty"`
}

func wireKey(k *resource.AccessKey) Key {
	return Key{ID: k.ID, Name: k.Name, Root: k.Root, Created: k.Created}
}

func (s *Server) listKeys(r *http.Request) (any, error) {
	all, err := s.cfg.Keys.List(r.Context())
	if err != nil {
		return nil, err
	}
	out := make([]Key, len(all))
	for i, k := range all {
		out[i] = wireKey(k)
	}
	return out, nil
}

// CreateKey is the body of the request that makes a key.
type CreateKey struct {
	Name string `json:"name"`
}

func (s *Server) createKey(r *http.Request) (any, error) {
	if err := requireRoot(r.Context()); err != nil {
		return nil, err
	}
	var in CreateKey
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, core.Errorf("ValidationError", "The body must be a JSON object with the member name.")
	}
	key, secret, err := s.cfg.Keys.Create(r.Context(), in.Name)
	if err != nil {
		return nil, err
	}
	out := wireKey(key)
	out.Secret = secret.Reveal()
	return out, nil
}

func (s *Server) revokeKey(r *http.Request) (any, error) {
	if err := requireRoot(r.Context()); err != nil {
		return nil, err
	}
	return struct{}{}, s.cfg.Keys.Revoke(r.Context(), r.PathValue("id"))
}

// requireRoot lets only the root key change keys, and where the host is: a lost key
// must not be able to make itself others, or a way in.
func requireRoot(ctx context.Context) error {
	if strings.HasSuffix(core.RequestFrom(ctx).PrincipalARN, ":root") {
		return nil
	}
	return core.Errorf("AccessDenied", "Only the root key may do this.").WithStatus(http.StatusForbidden)
}

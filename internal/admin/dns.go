package admin

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/topology"
)

// NamesConfig is how a server is configured to name endpoints.
type NamesConfig struct {
	// Domain is that of the names, Listen the IP:PORT where they are answered; invalid:
	// nowhere.
	Domain string
	Listen netip.AddrPort
	// Ephemeral servers leave nothing on the host.
	Ephemeral bool
}

// DNS says which names there are and who resolves them.
type DNS struct {
	Domain string `json:"domain"`
	// Listen is where the resolver answers, empty if there is none; Trouble says why it
	// does not.
	Listen  string `json:"listen,omitempty"`
	Trouble string `json:"trouble,omitempty"`
	// Host is what the host itself resolves names by; nil: it does not.
	Host *HostResolver `json:"host,omitempty"`
	// Names are sorted.
	Names []Name `json:"names"`
}

// Name is a name of an endpoint and the address that it leads to.
type Name struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

// HostResolver is what a host resolves names by.
type HostResolver struct {
	// Via is "systemd-resolved" or "hosts", Path the file concerned.
	Via  string `json:"via"`
	Path string `json:"path"`
	// State is "installing", "installed", "removing" or "failed"; Trouble says why.
	State   string `json:"state"`
	Trouble string `json:"trouble,omitempty"`
}

// States of a HostResolver.
const (
	HostInstalling = "installing"
	HostInstalled  = "installed"
	HostRemoving   = "removing"
	HostFailed     = "failed"
)

// InstallDNS is the body of the request that tells a server what its host resolves
// names by. The server writes a hosts file itself; the configuration of
// systemd-resolved is whoever's who asks.
type InstallDNS struct {
	Via  string `json:"via"`
	Path string `json:"path"`
}

func (s *Server) dns(r *http.Request) (any, error) {
	out := DNS{Domain: s.cfg.Names.Domain, Names: []Name{}}
	if s.cfg.Names.Listen.IsValid() {
		out.Listen = s.cfg.Names.Listen.String()
		out.Trouble = s.cfg.Live.Listening(runtime.ResolverID).Trouble
	}
	return &out, s.cfg.Store.View(r.Context(), func(rd store.Reader) error {
		names := topology.Names(rd)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			out.Names = append(out.Names, Name{Name: name, Address: names[name].String()})
		}
		if h, ok := resource.HostResolvers.Get(rd, resource.HostResolverKey); ok {
			out.Host = wireHostResolver(h)
		}
		return nil
	})
}

func wireHostResolver(h *resource.HostResolver) *HostResolver {
	out := &HostResolver{Via: h.Via, Path: h.Path, State: HostInstalling, Trouble: h.Trouble}
	switch {
	case h.Trouble != "":
		out.State = HostFailed
	case h.Removing:
		out.State = HostRemoving
	case h.Ready:
		out.State = HostInstalled
	}
	return out
}

func (s *Server) installDNS(r *http.Request) (any, error) {
	if err := requireRoot(r.Context()); err != nil {
		return nil, err
	}
	var in InstallDNS
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, core.Errorf("ValidationError", "The body must be a JSON object with the members via and path.")
	}
	switch {
	case in.Via != resource.ViaHosts && in.Via != resource.ViaResolved:
		return nil, core.Errorf("ValidationError", "via: %q is neither %s nor %s.", in.Via, resource.ViaResolved, resource.ViaHosts)
	case !filepath.IsAbs(in.Path):
		return nil, core.Errorf("ValidationError", "path: %q is not absolute.", in.Path)
	case s.cfg.Names.Ephemeral:
		return nil, core.Errorf("InvalidState", "An ephemeral server takes everything along when it ends, which it could not with names on the host.")
	case in.Via == resource.ViaResolved && !s.cfg.Names.Listen.IsValid():
		return nil, core.Errorf("InvalidState", "The server answers no names: start it with --dns-listen, such as 127.0.0.1:4553.")
	}
	err := s.cfg.Store.Update(r.Context(), func(tx *store.Tx) error {
		h, ok := resource.HostResolvers.Get(tx, resource.HostResolverKey)
		if ok && (h.Via != in.Via || h.Path != in.Path) {
			return core.Errorf("AlreadyInstalled", "The host resolves names by %s (%s): remove that first.", h.Via, h.Path).WithStatus(http.StatusConflict)
		}
		if ok && h.Ready && !h.Removing {
			return nil
		}
		resource.HostResolvers.Put(tx, resource.HostResolverKey, &resource.HostResolver{Via: in.Via, Path: in.Path, Ready: in.Via == resource.ViaResolved})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.dns(r)
}

func (s *Server) removeDNS(r *http.Request) (any, error) {
	if err := requireRoot(r.Context()); err != nil {
		return nil, err
	}
	err := s.cfg.Store.Update(r.Context(), func(tx *store.Tx) error {
		h, ok := resource.HostResolvers.Get(tx, resource.HostResolverKey)
		switch {
		case ok && h.Via == resource.ViaHosts:
			resource.HostResolvers.Put(tx, resource.HostResolverKey, &resource.HostResolver{Via: h.Via, Path: h.Path, Removing: true})
		case ok:
			resource.HostResolvers.Delete(tx, resource.HostResolverKey)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.dns(r)
}

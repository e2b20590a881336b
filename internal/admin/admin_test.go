package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/aws/gateway"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/seal"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/storetest"
)

const account = "123456789012"

// engines answers for the nodes it knows and hangs for all others.
type engines map[string]runtime.Replication

func (e engines) Replication(ctx context.Context, node string) (runtime.Replication, error) {
	if r, ok := e[node]; ok {
		return r, nil
	}
	<-ctx.Done()
	return runtime.Replication{}, ctx.Err()
}

// Listening says that every endpoint is open.
func (e engines) Listening(string) runtime.Listening { return runtime.Listening{Open: true} }

// InstanceSpace says that the instance with the number 9 has a namespace.
func (e engines) InstanceSpace(i runtime.Instance) (namespace, resolver string) {
	if strings.HasSuffix(i.ID, "9") {
		return "/run/netns/" + path.Base(i.ID), "/etc/netns/resolv.conf"
	}
	return "", ""
}

// deployment is a gateway with the admin API and nothing else.
type deployment struct {
	store *store.Store
	keys  *Keys
	url   string
	log   *bytes.Buffer
}

func deploy(t *testing.T, live Live) *deployment {
	t.Helper()
	d := &deployment{store: storetest.New(t), log: &bytes.Buffer{}}
	d.keys = NewKeys(d.store, seal.NewTest(), core.SystemClock{}, account)
	log := slog.New(slog.NewTextHandler(d.log, nil))
	server := NewServer(Config{
		Store: d.store, Keys: d.keys, Live: live, Clock: core.SystemClock{}, Version: "v1", Account: account, Log: log,
		ClusterStatus: func(*resource.CacheCluster) string { return "available" },
		GroupStatus:   func(*resource.ReplicationGroup) string { return "modifying" },
	})
	front := httptest.NewServer(gateway.New(gateway.Config{
		Account: account, Keys: d.keys, Clock: core.SystemClock{}, Log: log, Extra: server.Handlers(),
	}))
	t.Cleanup(front.Close)
	d.url = front.URL
	return d
}

// client signs with the root key.
func (d *deployment) client(t *testing.T) *Client {
	t.Helper()
	root, err := d.keys.EnsureRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	secret, err := d.keys.seal.Unseal(root.Secret)
	if err != nil {
		t.Fatal(err)
	}
	return d.clientOf(t, root.ID, secret)
}

func (d *deployment) clientOf(t *testing.T, id string, secret core.Secret) *Client {
	t.Helper()
	c, err := NewClient(Access{Endpoint: d.url, Region: "us-east-1", AccessKeyID: id, Secret: secret}, core.SystemClock{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func refused(t *testing.T, err error, code string, status int) {
	t.Helper()
	if e, ok := core.AsError(err); !ok || e.Code != code || e.HTTPStatus() != status {
		t.Errorf("got %v, want %s with status %d", err, code, status)
	}
}

func TestKeysHaveAWSForm(t *testing.T) {
	t.Parallel()
	d := deploy(t, engines{})
	key, err := d.client(t).CreateKey(t.Context(), "ci")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(key.ID) || len(key.Secret) != 40 {
		t.Errorf("key id %s, secret of %d characters", key.ID, len(key.Secret))
	}
}

func TestKeyLifecycle(t *testing.T) {
	t.Parallel()
	d := deploy(t, engines{})
	root := d.client(t)
	key, err := root.CreateKey(t.Context(), "ci")
	if err != nil {
		t.Fatal(err)
	}
	user := d.clientOf(t, key.ID, core.NewSecret(key.Secret))
	all, err := user.Keys(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("a new key lists %v, %v", all, err)
	}
	for _, k := range all {
		if k.Secret != "" {
			t.Errorf("the list gives away the secret of %s", k.ID)
		}
	}
	_, principal, err := d.keys.Lookup(t.Context(), key.ID)
	if err != nil || principal != "arn:aws:iam::"+account+":user/ci" {
		t.Errorf("principal %s, %v", principal, err)
	}
	_, err = user.CreateKey(t.Context(), "more")
	refused(t, err, "AccessDenied", http.StatusForbidden)
	refused(t, user.RevokeKey(t.Context(), key.ID), "AccessDenied", http.StatusForbidden)
	if err := root.RevokeKey(t.Context(), key.ID); err != nil {
		t.Fatal(err)
	}
	if _, err = user.Keys(t.Context()); err == nil {
		t.Error("a revoked key still works")
	}
	if _, _, err := d.keys.Lookup(t.Context(), key.ID); !errors.Is(err, gateway.ErrUnknownKey) {
		t.Errorf("got %v", err)
	}
	refused(t, root.RevokeKey(t.Context(), key.ID), "NoSuchEntity", http.StatusNotFound)
}

func TestKeyRefusals(t *testing.T) {
	t.Parallel()
	d := deploy(t, engines{})
	root := d.client(t)
	for _, name := range []string{"", "a b", "a/b", strings.Repeat("x", 65), "tab\t"} {
		_, err := root.CreateKey(t.Context(), name)
		refused(t, err, "ValidationError", http.StatusBadRequest)
	}
	all, err := root.Keys(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("refused keys were made: %v, %v", all, err)
	}
	refused(t, root.RevokeKey(t.Context(), all[0].ID), "DeleteConflict", http.StatusConflict)
}

func TestRootKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	d := deploy(t, engines{})
	first, err := d.keys.EnsureRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := d.keys.EnsureRoot(t.Context())
	if err != nil || second.ID != first.ID {
		t.Errorf("second start: %v, %v", second, err)
	}
}

func TestWrongSecretIsRefused(t *testing.T) {
	t.Parallel()
	d := deploy(t, engines{})
	root, err := d.keys.EnsureRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.clientOf(t, root.ID, core.NewSecret("wrong")).Status(t.Context())
	if e, ok := core.AsError(err); !ok || e.HTTPStatus() < 400 {
		t.Errorf("got %v", err)
	}
}

func TestNothingSecretIsStoredOrLogged(t *testing.T) {
	t.Parallel()
	d := deploy(t, engines{})
	key, err := d.client(t).CreateKey(t.Context(), "ci")
	if err != nil {
		t.Fatal(err)
	}
	d.store.Local(func(r store.Reader) {
		stored, ok := resource.AccessKeys.Get(r, key.ID)
		if raw, err := json.Marshal(stored); !ok || err != nil || bytes.Contains(raw, []byte(key.Secret)) {
			t.Errorf("stored: %s, %v", raw, err)
		}
	})
	if strings.Contains(d.log.String(), key.Secret) {
		t.Error("the log holds the secret")
	}
}

// fill stores a group of two nodes that admits clients without token, and a
// Memcached cluster whose node failed.
func fill(t *testing.T, st *store.Store) {
	t.Helper()
	at := func(host string, port int) resource.Endpoint {
		e := core.Endpoint{Address: host, Port: port}
		return resource.Endpoint{VPC: e, Bound: e, Advertised: e}
	}
	err := st.Update(t.Context(), func(tx *store.Tx) error {
		group := &resource.ReplicationGroup{Region: "us-east-1", ID: "rg", Spec: resource.ReplicationGroupSpec{
			Engine: "redis", Members: []string{"rg-001", "rg-002"}, TLS: resource.TLSRequired,
			PrimaryEndpoint: at("127.10.0.4", 6379), ReaderEndpoint: at("127.10.0.5", 6379),
			Auth: resource.Auth{Credentials: []resource.Credential{{None: true}, {Digest: []byte("x")}}},
		}}
		resource.ReplicationGroups.Put(tx, "us-east-1/rg", group)
		for i, id := range group.Spec.Members {
			resource.CacheClusters.Put(tx, "us-east-1/"+id, &resource.CacheCluster{Region: "us-east-1", ID: id, Spec: resource.CacheClusterSpec{
				Engine: "redis", EngineVersion: "7.1.0", NodeType: "cache.t4g.micro", ReplicationGroupID: "rg",
				Nodes: []resource.NodeSlot{{ID: "0001", Zone: "us-east-1a", Endpoint: at("127.10.0.6", 6379+i)}},
			}})
			n := &resource.Node{Region: "us-east-1", ClusterID: id, ID: "0001", Status: resource.NodeStatus{
				Phase: resource.NodeRunning, PID: 100 + i, Binary: "/usr/bin/redis-server", BinaryVersion: "7.0.15",
				Role: []string{"master", "slave"}[i], MaxClients: 65000,
			}}
			resource.Nodes.Put(tx, n.Key(), n)
		}
		resource.CacheClusters.Put(tx, "eu-west-1/mc", &resource.CacheCluster{Region: "eu-west-1", ID: "mc", Spec: resource.CacheClusterSpec{
			Engine: "memcached", EngineVersion: "1.6.17", NodeType: "cache.t4g.micro",
			ConfigurationEndpoint: at("127.12.0.4", 11211),
			Nodes:                 []resource.NodeSlot{{ID: "0001", Endpoint: at("127.12.0.5", 11211)}, {ID: "0002", Endpoint: at("127.12.0.6", 11211)}},
		}})
		n := &resource.Node{Region: "eu-west-1", ClusterID: "mc", ID: "0001", Status: resource.NodeStatus{
			Phase: resource.NodeFailed, Message: "address taken",
		}}
		resource.Nodes.Put(tx, n.Key(), n)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	// The replica does not answer: its figures are absent, the rest is there.
	d := deploy(t, engines{"us-east-1/rg-001/0001": {UsedMemory: 1 << 20, Clients: 3}})
	fill(t, d.store)
	s, err := d.client(t).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Version != "v1" || s.Account != account || len(s.Caches) != 2 {
		t.Fatalf("got %+v", s)
	}
	mc, rg := s.Caches[0], s.Caches[1]
	if mc.ID != "mc" || mc.Kind != "cache-cluster" || mc.Status != "available" || mc.TLS != "off" || mc.Auth != "off" ||
		len(mc.Endpoints) != 1 || mc.Endpoints[0] != (Endpoint{"configuration", "127.12.0.4:11211"}) {
		t.Errorf("cluster: %+v", mc)
	}
	if n := mc.Nodes[0]; n.ID != "mc/0001" || n.Phase != "failed" || n.Message != "address taken" || n.Role != "" {
		t.Errorf("failed node: %+v", n)
	}
	if n := mc.Nodes[1]; n.Phase != "pending" || n.Address != "127.12.0.6:11211" {
		t.Errorf("node without process: %+v", n)
	}
	if rg.Kind != "replication-group" || rg.Status != "modifying" || rg.TLS != "required" || rg.Auth != "optional" ||
		rg.Notice != "AUTH optional: unauthenticated clients are still admitted; SET closes it" ||
		rg.EngineVersion != "7.1.0" || len(rg.Endpoints) != 2 {
		t.Errorf("group: %+v", rg)
	}
	primary, replica := rg.Nodes[0], rg.Nodes[1]
	if primary.Role != "primary" || *primary.UsedMemory != 1<<20 || *primary.Clients != 3 || primary.Binary != "redis-server" ||
		primary.BinaryVersion != "7.0.15" || primary.MaxClients != 65000 || primary.Zone != "us-east-1a" {
		t.Errorf("primary: %+v", primary)
	}
	if replica.Role != "replica" || replica.UsedMemory != nil || replica.Clients != nil || replica.PID != 101 {
		t.Errorf("replica: %+v", replica)
	}
}

func TestAuthText(t *testing.T) {
	t.Parallel()
	token := resource.Credential{Digest: []byte("x")}
	none := resource.Credential{None: true}
	for _, c := range []struct {
		want        string
		credentials []resource.Credential
	}{
		{"off", nil},
		{"off", []resource.Credential{none}},
		{"required", []resource.Credential{token}},
		{"required", []resource.Credential{token, token}},
		{"optional", []resource.Credential{none, token}},
	} {
		if got := authText(resource.Auth{Credentials: c.credentials}); got != c.want {
			t.Errorf("%v: got %s, want %s", c.credentials, got, c.want)
		}
	}
}

func TestAuthority(t *testing.T) {
	t.Parallel()
	d := deploy(t, engines{})
	_, err := d.client(t).Authority(t.Context())
	refused(t, err, "NoSuchEntity", http.StatusNotFound)
	err = d.store.Update(t.Context(), func(tx *store.Tx) error {
		resource.Certificates.Put(tx, "ca", &resource.Certificate{ChainPEM: "PEM"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := d.client(t).Authority(t.Context()); err != nil || out.CertificatePEM != "PEM" {
		t.Errorf("got %v, %v", out, err)
	}
}

func TestUnsignedRequestsAreRefused(t *testing.T) {
	t.Parallel()
	d := deploy(t, engines{})
	for _, path := range []string{"status", "ca", "keys"} {
		resp, err := http.Get(d.url + gateway.AdminPrefix + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode/100 != 4 {
			t.Errorf("%s answers %s without a signature", path, resp.Status)
		}
	}
}

func TestClientRefusesBadEndpoints(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"", "localhost:4566", "ftp://x", "http://", "://"} {
		if _, err := NewClient(Access{Endpoint: endpoint}, core.SystemClock{}); err == nil {
			t.Errorf("%q was taken", endpoint)
		}
	}
}

func TestClientMeetsSomethingElse(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "keys") {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = w.Write([]byte("<html>"))
	}))
	defer other.Close()
	c, err := NewClient(Access{Endpoint: other.URL, Region: "us-east-1", AccessKeyID: "x", Secret: core.NewSecret("y")}, core.SystemClock{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "not that of a Larder server") {
		t.Errorf("got %v", err)
	}
	if _, err := c.Keys(t.Context()); err == nil || !strings.Contains(err.Error(), "418") {
		t.Errorf("got %v", err)
	}
}

func TestClientFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := ReadClientFile(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	want := ClientFile{Endpoint: "http://127.0.0.1:1", Region: "us-east-1", AccessKeyID: "AKIA", Secret: core.Sealed("sealed")}
	for range 2 {
		if err := want.Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ReadClientFile(dir)
	if err != nil || got.Endpoint != want.Endpoint || string(got.Secret) != "sealed" {
		t.Errorf("got %+v, %v", got, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "client.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(filepath.Join(dir, "client.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadClientFile(dir); err == nil || !strings.Contains(err.Error(), "client.json") {
		t.Errorf("got %v", err)
	}
}

func TestCreatedIsTheClocks(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	keys := NewKeys(storetest.New(t), seal.NewTest(), fixedClock{at}, account)
	key, _, err := keys.Create(t.Context(), "x")
	if err != nil || !key.Created.Equal(at.Truncate(time.Second)) {
		t.Errorf("got %v, %v", key, err)
	}
}

type fixedClock struct{ now time.Time }

func (c fixedClock) Now() time.Time                         { return c.now }
func (c fixedClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

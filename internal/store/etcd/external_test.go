package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"

	"github.com/larder-cache/larder/internal/pki"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/etcd"
	"github.com/larder-cache/larder/internal/store/storetest"
)

// server is an etcd with a TLS listener on loopback that wants a client
// certificate and a password.
type server struct {
	etcd.Config
	admin *clientv3.Client
}

const password = "a password of etcd"

func startServer(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	cfg := embed.NewConfig()
	cfg.Dir = filepath.Join(dir, "data")
	cfg.Name = "external"
	name := url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = nil, []url.URL{name}
	cfg.InitialCluster = cfg.Name + "=" + name.String()
	endpoint := url.URL{Scheme: "https", Host: freeAddress(t)}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{endpoint}, []url.URL{endpoint}
	cfg.TickMs, cfg.ElectionMs = 10, 50
	cfg.BcryptCost = 4
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	s := &server{Config: certificates(t, dir)}
	s.Endpoints = []string{endpoint.String()}
	cfg.ClientTLSInfo = transport.TLSInfo{CertFile: s.CertFile, KeyFile: s.KeyFile, TrustedCAFile: s.CAFile, ClientCertAuth: true}
	member, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatalf("start etcd: %v", err)
	}
	t.Cleanup(member.Close)
	<-member.Server.ReadyNotify()
	s.admin = v3client.New(member.Server)
	t.Cleanup(func() { _ = s.admin.Close() })
	s.requireLogin(t, dir)
	return s
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// certificates writes an authority and one certificate for both ends.
func certificates(t *testing.T, dir string) etcd.Config {
	t.Helper()
	a, err := pki.NewAuthority("etcd test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Issue(pki.Request{Names: []string{"127.0.0.1"}, Client: true, Now: time.Now(), Lifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return etcd.Config{
		CAFile:   write("ca.pem", a.CertPEM),
		CertFile: write("cert.pem", c.ChainPEM),
		KeyFile:  write("key.pem", c.KeyPEM.Reveal()),
	}
}

func (s *server) requireLogin(t *testing.T, dir string) {
	t.Helper()
	s.Username, s.PasswordFile = "root", filepath.Join(dir, "password")
	if err := os.WriteFile(s.PasswordFile, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	_, err1 := s.admin.UserAdd(ctx, "root", password)
	_, err2 := s.admin.RoleAdd(ctx, "root")
	_, err3 := s.admin.UserGrantRole(ctx, "root", "root")
	_, err4 := s.admin.AuthEnable(ctx)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatalf("enable authentication: %v", err)
	}
}

// open connects as a program that keeps its records under prefix.
func (s *server) open(t *testing.T, prefix string) store.Backend {
	t.Helper()
	cfg := s.Config
	cfg.Prefix = prefix
	b, err := etcd.OpenExternal(t.Context(), cfg, discard)
	if err != nil {
		t.Fatalf("open external etcd: %v", err)
	}
	return b
}

func TestExternal(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	storetest.RunBackend(t, func(t *testing.T) store.Backend { return s.open(t, t.Name()+"/") })
}

func TestExternalRefuses(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	wrong := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(wrong, []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(*etcd.Config)
		want   string
	}{
		{"no endpoints", func(c *etcd.Config) { c.Endpoints = nil }, "no endpoints"},
		{"nobody listens", func(c *etcd.Config) { c.Endpoints = []string{"https://" + freeAddress(t)} }, "connection refused"},
		{"unknown authority", func(c *etcd.Config) { c.CAFile = "" }, "unknown authority"},
		{"no client certificate", func(c *etcd.Config) { c.CertFile, c.KeyFile = "", "" }, "certificate required"},
		{"wrong password", func(c *etcd.Config) { c.PasswordFile = wrong }, "invalid user ID or password"},
		{"no password file", func(c *etcd.Config) { c.PasswordFile = wrong + ".none" }, "no such file"},
		{"no authority file", func(c *etcd.Config) { c.CAFile = wrong + ".none" }, "no such file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg := s.Config
			test.change(&cfg)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			b, err := etcd.OpenExternal(ctx, cfg, discard)
			if err == nil {
				_ = b.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), password) {
				t.Errorf("error %q, want one with %q and without the password", err, test.want)
			}
		})
	}
}

func TestExternalSaysThatATransactionIsTooLarge(t *testing.T) {
	t.Parallel()
	b := startServer(t).open(t, "")
	defer b.Close()
	var txn store.Txn
	for i := range 128 { // and the head
		txn.Writes = append(txn.Writes, store.Write{Key: fmt.Sprintf("t/%d", i), Value: []byte("1")})
	}
	_, _, err := b.Commit(t.Context(), txn)
	if !errors.Is(err, store.ErrTooManyOps) || !strings.Contains(err.Error(), "--max-txn-ops") {
		t.Errorf("Commit = %v, want ErrTooManyOps", err)
	}
}

// Two servers of one deployment, with others busy in the same etcd.
func TestServersSeeEachOthersWrites(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	one, two := storetest.Open(t, s.open(t, "a/")), storetest.Open(t, s.open(t, "a/"))
	stranger := storetest.Open(t, s.open(t, "b/"))
	numbers := store.NewTable[int]("numbers")
	for i := range 50 {
		set := func(st *store.Store, key string) {
			err := st.Update(t.Context(), func(tx *store.Tx) error { numbers.Put(tx, key, &i); return nil })
			if err != nil {
				t.Fatal(err)
			}
		}
		set(stranger, "n")
		set(one, "n")
		set(stranger, "m")
		err := two.View(t.Context(), func(r store.Reader) error {
			if n, ok := numbers.Get(r, "n"); !ok || *n != i {
				t.Errorf("after write %d the other server reads %v", i, n)
			}
			if _, ok := numbers.Get(r, "m"); ok {
				t.Error("a stranger's record is seen")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestALeaderWhoseLeaseIsRevokedLearnsOfIt(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	b := s.open(t, "")
	defer b.Close()
	lost, resign, err := b.Campaign(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	defer resign()
	leases, err := s.leases(t)
	if err != nil || len(leases) != 1 {
		t.Fatalf("leases %v, error %v; want one", leases, err)
	}
	admin := s.rootClient(t)
	if _, err := admin.Revoke(t.Context(), leases[0]); err != nil {
		t.Fatal(err)
	}
	select {
	case <-lost:
	case <-time.After(10 * time.Second):
		t.Error("the leader does not learn that its lease is gone")
	}
}

// rootClient talks to the server as an operator.
func (s *server) rootClient(t *testing.T) *clientv3.Client {
	t.Helper()
	info := transport.TLSInfo{CertFile: s.CertFile, KeyFile: s.KeyFile, TrustedCAFile: s.CAFile}
	tlsConfig, err := info.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: s.Endpoints, TLS: tlsConfig, Username: s.Username, Password: password, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (s *server) leases(t *testing.T) ([]clientv3.LeaseID, error) {
	t.Helper()
	resp, err := s.rootClient(t).Leases(t.Context())
	if err != nil {
		return nil, err
	}
	var ids []clientv3.LeaseID
	for _, l := range resp.Leases {
		ids = append(ids, l.ID)
	}
	return ids, nil
}

func TestWatchAfterACompactionIsRefused(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	b := s.open(t, "")
	defer b.Close()
	var rev store.Revision
	for i := range 5 {
		var err error
		rev, _, err = b.Commit(t.Context(), store.Txn{Writes: []store.Write{{Key: "t/a", Value: fmt.Append(nil, i)}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.rootClient(t).Compact(t.Context(), rev); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := b.Watch(ctx, rev-3, func(store.Batch) {}); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("Watch = %v, want ErrCompacted", err)
	}
	if records, _, err := b.Load(ctx); err != nil || len(records) != 1 {
		t.Errorf("Load after a compaction = %v, %v", records, err)
	}
}

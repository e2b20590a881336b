package etcd_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/larder-cache/larder/internal/pki"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/etcd"
	"github.com/larder-cache/larder/internal/store/storetest"
)

// server is an etcd in a process of its own, with a TLS listener on loopback that
// wants a client certificate and, once requireLogin was called, a password.
type server struct {
	etcd.Config
	dir  string
	stop func()
}

const password = "a password of etcd"

// serverEnv, when set, lets TestServer be the server that the JSON describes.
const serverEnv = "LARDER_TEST_ETCD_SERVER"

func startServer(t *testing.T) *server {
	t.Helper()
	s := &server{dir: t.TempDir()}
	s.Config = certificates(t, s.dir)
	s.Endpoints = []string{"https://" + freeAddress(t)}
	s.start(t)
	t.Cleanup(func() { s.stop() })
	s.requireLogin(t)
	return s
}

// start starts the server, again if stop was called, which kills it.
func (s *server) start(t *testing.T) {
	t.Helper()
	config, err := json.Marshal(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=^TestServer$")
	cmd.Env = append(os.Environ(), serverEnv+"="+string(config))
	cmd.Dir = s.dir
	tether, err := cmd.StdinPipe() // ends with this process, however that ends
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = tether.Close()
		_ = cmd.Wait()
	})
	s.awaitListener(t)
}

func (s *server) awaitListener(t *testing.T) {
	t.Helper()
	address := strings.TrimPrefix(s.Endpoints[0], "https://")
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return
		}
	}
	s.stop()
	t.Fatal("the server does not start")
}

// TestServer is the etcd of the other tests, until its input ends.
func TestServer(t *testing.T) {
	config := os.Getenv(serverEnv)
	if config == "" {
		t.Skip("run by the tests of an external etcd")
	}
	var c etcd.Config
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		t.Fatal(err)
	}
	endpoint, err := url.Parse(c.Endpoints[0])
	if err != nil {
		t.Fatal(err)
	}
	cfg := embed.NewConfig()
	cfg.Dir, cfg.Name = "data", "external"
	name := url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = nil, []url.URL{name}
	cfg.InitialCluster = cfg.Name + "=" + name.String()
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{*endpoint}, []url.URL{*endpoint}
	cfg.TickMs, cfg.ElectionMs = 10, 50
	cfg.BcryptCost = 4
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	cfg.ClientTLSInfo = transport.TLSInfo{CertFile: c.CertFile, KeyFile: c.KeyFile, TrustedCAFile: c.CAFile, ClientCertAuth: true}
	if _, err := embed.StartEtcd(cfg); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
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

func (s *server) requireLogin(t *testing.T) {
	t.Helper()
	admin := s.operator(t)
	ctx := t.Context()
	_, err1 := admin.UserAdd(ctx, "root", password)
	_, err2 := admin.RoleAdd(ctx, "root")
	_, err3 := admin.UserGrantRole(ctx, "root", "root")
	_, err4 := admin.AuthEnable(ctx)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatalf("enable authentication: %v", err)
	}
	s.Username, s.PasswordFile = "root", filepath.Join(s.dir, "password")
	if err := os.WriteFile(s.PasswordFile, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// operator is a client that looks after the server.
func (s *server) operator(t *testing.T) *clientv3.Client {
	t.Helper()
	info := transport.TLSInfo{CertFile: s.CertFile, KeyFile: s.KeyFile, TrustedCAFile: s.CAFile}
	tlsConfig, err := info.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	cfg := clientv3.Config{Endpoints: s.Endpoints, TLS: tlsConfig, Logger: zap.NewNop(), DialTimeout: 10 * time.Second}
	if s.Username != "" {
		cfg.Username, cfg.Password = s.Username, password
	}
	c, err := clientv3.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
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

func TestALeaderWhoseLeaseEndsIsReplacedAndLearnsOfIt(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	one, two := s.open(t, ""), s.open(t, "")
	defer one.Close()
	defer two.Close()
	lost, resign, err := one.Campaign(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	defer resign()
	operator := s.operator(t)
	leases, err := operator.Leases(t.Context())
	if err != nil || len(leases.Leases) != 1 {
		t.Fatalf("leases %v, error %v; want one", leases, err)
	}
	if _, err := operator.Revoke(t.Context(), leases.Leases[0].ID); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, resign, err := two.Campaign(ctx, "two"); err != nil {
		t.Errorf("nobody follows a leader whose lease has ended: %v", err)
	} else {
		resign()
	}
	select {
	case <-lost:
	case <-ctx.Done():
		t.Error("the leader does not learn that its lease is gone")
	}
}

func TestAStoreOutlivesARestartOfItsServer(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	st := storetest.Open(t, s.open(t, ""))
	numbers := store.NewTable[int]("numbers")
	set := func(n int) error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		return st.Update(ctx, func(tx *store.Tx) error { numbers.Put(tx, "n", &n); return nil })
	}
	if err := set(1); err != nil {
		t.Fatal(err)
	}
	s.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := st.View(ctx, func(store.Reader) error { return nil }); err == nil {
		t.Error("View answers although it cannot know the latest state")
	}
	st.Local(func(r store.Reader) {
		if n, ok := numbers.Get(r, "n"); !ok || *n != 1 {
			t.Errorf("Local without a server reads %v", n)
		}
	})
	s.start(t)
	if err := set(2); err != nil {
		t.Fatalf("after the restart: %v", err)
	}
	st.Local(func(r store.Reader) {
		if n, ok := numbers.Get(r, "n"); !ok || *n != 2 {
			t.Errorf("Local after the restart reads %v", n)
		}
	})
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
	if _, err := s.operator(t).Compact(t.Context(), rev); err != nil {
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

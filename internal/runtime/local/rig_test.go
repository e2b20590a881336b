package local

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
	policy "github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/pki"
	"github.com/larder-cache/larder/internal/runtime"
)

// patience is how long a condition is waited for: far more than it takes, for a
// host that is busy with other tests.
const patience = 20 * time.Second

// rig is a runtime with real engines and a fabric that only takes notes.
type rig struct {
	*Runtime
	t        testing.TB
	cfg      Config
	fabric   *notes
	revision int64

	mu      sync.Mutex
	reports map[string]runtime.Report
	changed chan struct{}
	reader  sync.WaitGroup
}

func newRig(t testing.TB) *rig {
	t.Helper()
	// The path of a socket must be short, and t.TempDir has the test's name in it.
	run, err := os.MkdirTemp("", "larder")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, fabric: &notes{}, reports: make(map[string]runtime.Report), changed: make(chan struct{}, 1)}
	r.cfg = Config{
		DataDir: t.TempDir(), RunDir: run, Choose: installed, Fabric: r.fabric, NodeCA: testCA,
		Clock: core.SystemClock{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	t.Cleanup(func() {
		if r.Runtime != nil {
			_ = r.Close()
		}
		r.reader.Wait()
		if _, err := Stop(r.cfg.DataDir, run); err != nil {
			t.Error(err)
		}
		if left, err := strays(r.nodes()); err != nil || len(left) > 0 {
			t.Errorf("processes left over: %v %v", left, err)
		}
		_ = os.RemoveAll(run)
	})
	r.open()
	return r
}

// open makes a runtime, the first or one that follows another.
func (r *rig) open() {
	r.t.Helper()
	rt, err := New(r.t.Context(), r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Runtime, r.revision = rt, 0
	r.reader.Go(func() {
		for batch := range rt.Reports() {
			r.mu.Lock()
			for _, rep := range batch {
				r.reports[rep.ID] = rep
			}
			r.mu.Unlock()
			select {
			case r.changed <- struct{}{}:
			default:
			}
		}
	})
}

func (r *rig) nodes() string {
	dir, err := nodesDir(r.cfg.DataDir)
	if err != nil {
		r.t.Fatal(err)
	}
	return dir
}

// apply gives the runtime a document of these nodes with an endpoint for each.
func (r *rig) apply(nodes ...runtime.Node) {
	r.t.Helper()
	r.revision++
	doc := &runtime.Document{Revision: r.revision, Nodes: slices.Clone(nodes)}
	for _, n := range nodes {
		doc.Endpoints = append(doc.Endpoints, runtime.Endpoint{ID: "node " + n.ID, Bound: n.Bound, Nodes: []string{n.ID}})
	}
	if err := r.Apply(r.t.Context(), doc); err != nil {
		r.t.Fatal(err)
	}
}

// wait waits for a report of a node that satisfies ok.
func (r *rig) wait(id, what string, ok func(runtime.Report) bool) runtime.Report {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		r.mu.Lock()
		rep := r.reports[id]
		r.mu.Unlock()
		if ok(rep) {
			return rep
		}
		select {
		case <-r.changed:
		case <-time.After(10 * time.Millisecond): // another waiter may have taken the signal
		case <-deadline:
			r.t.Fatalf("%s: not %s: %+v\n%s", id, what, rep, r.logOf(id))
		}
	}
}

// settled waits until a node serves what was last asked of it.
func (r *rig) settled(n runtime.Node) runtime.Report {
	r.t.Helper()
	return r.wait(n.ID, "settled", func(rep runtime.Report) bool {
		return rep.Phase == runtime.PhaseRunning && rep.Generation == n.Generation && rep.Incarnation == n.Incarnation
	})
}

func (r *rig) logOf(id string) string {
	files, _ := filepath.Glob(filepath.Join(r.nodes(), "*", logFile))
	var out strings.Builder
	for _, f := range files {
		b, _ := os.ReadFile(f)
		fmt.Fprintf(&out, "== %s (asked for %s)\n%s", f, id, b)
	}
	return out.String()
}

// eventually polls for what no report tells.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// numbers for nodes of all tests of this process; the process' own number keeps
// tests of other packages off the same addresses.
var numbers atomic.Int64

// makeNode is a node with an address of its own, open to all.
func makeNode(kind string) runtime.Node {
	i := numbers.Add(1)
	address := func(window int) core.Endpoint {
		return core.Endpoint{Address: fmt.Sprintf("127.%d.%d.%d", window+os.Getpid()%20, os.Getpid()/20%250, i%250+1), Port: 6379}
	}
	n := runtime.Node{
		ID: fmt.Sprintf("us-east-1/cluster-%d/0001", i), UID: fmt.Sprintf("uid%d", i), Incarnation: 1, Generation: 1,
		Engine: kind, Version: "7.1.0", Bound: address(60),
		Auth: runtime.Auth{
			NoPassword: true, Admin: core.NewSecret(fmt.Sprintf("admin-secret-%d", i)),
			Replication: core.NewSecret("replication-secret"),
		},
	}
	n.Advertised, n.VPC = n.Bound, n.Bound
	if kind != engine.Memcached {
		n.Replication = address(80)
	}
	return n
}

// next is a node whose spec has changed.
func next(n runtime.Node, change func(*runtime.Node)) runtime.Node {
	n.Generation++
	change(&n)
	return n
}

var binaries = sync.OnceValue(func() []engine.Binary {
	found, _ := engine.Discover(context.Background(), []string{"/usr/local/bin", "/usr/bin"})
	return found
})

func installed(name, _ string) (engine.Binary, error) {
	for _, b := range binaries() {
		if b.Engine == name {
			return b, nil
		}
	}
	return engine.Binary{}, fmt.Errorf("no %s is installed", name)
}

func needs(t testing.TB, engines ...string) {
	t.Helper()
	for _, e := range engines {
		if _, err := installed(e, ""); err != nil {
			t.Skip(err)
		}
	}
}

// eachValkey runs a test with every engine of that kind.
func eachValkey(t *testing.T, test func(t *testing.T, kind string)) {
	for _, kind := range []string{engine.Redis, engine.Valkey} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			needs(t, kind)
			test(t, kind)
		})
	}
}

// lone is a node without replicas that serves.
func (r *rig) lone(kind string) runtime.Node {
	r.t.Helper()
	n := makeNode(kind)
	r.apply(n)
	r.settled(n)
	return n
}

// dial connects as a customer's client does behind the relay, until the test ends.
func (r *rig) dial(n runtime.Node) net.Conn {
	r.t.Helper()
	conn, err := net.Dial("unix", socketPath(r.cfg.RunDir, n.UID))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// client runs a command as a customer would behind the relay, and gives the first
// line of the answer.
func (r *rig) client(n runtime.Node, args ...string) string {
	r.t.Helper()
	conn := r.dial(n)
	defer conn.Close()
	return exchange(r.t, conn, args...)
}

// exchange sends an inline command and reads what is there of the answer.
func exchange(t testing.TB, conn net.Conn, args ...string) string {
	t.Helper()
	answer, err := attempt(conn, args...)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// attempt is exchange for other goroutines than the test's.
func attempt(conn net.Conn, args ...string) (string, error) {
	_ = conn.SetDeadline(time.Now().Add(patience))
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(conn, b.String()); err != nil {
		return "", err
	}
	buf := make([]byte, 1<<16)
	n, err := conn.Read(buf)
	return strings.TrimSpace(string(buf[:n])), err
}

// notes is a fabric that serves nobody.
type notes struct {
	mu    sync.Mutex
	eps   map[string]Endpoint
	world policy.World
	calls int
	fail  map[string]error
	err   error
	hook  func(map[string]Endpoint)
	ended bool
}

func (f *notes) Apply(_ context.Context, n Network) (map[string]error, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.err != nil {
		return nil, f.err
	}
	f.world = n.World
	f.eps = make(map[string]Endpoint)
	for _, e := range n.Endpoints {
		f.eps[e.ID] = e
	}
	if f.hook != nil {
		f.hook(f.eps)
	}
	return f.fail, nil
}

func (f *notes) Namespace(string) string { return "" }

func (f *notes) Shutdown(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	return nil
}

func (f *notes) Close() error { return nil }

func (f *notes) set(change func(*notes)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *notes) endpoint(id string) Endpoint {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.eps[id]
}

// authority issues for tests.
type authority struct{ pki.Authority }

var testCA = newAuthority()

func newAuthority() authority {
	a, err := pki.NewAuthority("test", time.Now())
	if err != nil {
		panic(err)
	}
	return authority{a}
}

func (a authority) Issue(address string) (string, core.Secret, string, error) {
	c, err := a.Authority.Issue(pki.Request{Names: []string{address}, Client: true, Now: time.Now(), Lifetime: time.Hour})
	return c.ChainPEM, c.KeyPEM, a.CertPEM, err
}

// dialTLS connects to a replication listener, with or without a certificate.
func dialTLS(ep core.Endpoint, withCertificate bool) error {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(testCA.CertPEM))
	cfg := &tls.Config{RootCAs: pool}
	if withCertificate {
		chain, key, _, err := testCA.Issue(ep.Address)
		if err != nil {
			return err
		}
		pair, err := tls.X509KeyPair([]byte(chain), []byte(key.Reveal()))
		if err != nil {
			return err
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	conn, err := tls.Dial("tcp", ep.String(), cfg)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return err
	}
	if _, err := conn.Read(make([]byte, 64)); err != nil {
		return err
	}
	return nil
}

// alive reports whether a process is there and not a zombie.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ")
}

package kernel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/netns"
	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/pki"
	"github.com/larder-cache/larder/internal/relay"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/runtime/local"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/relays"
)

// TestMain lets the test binary be the relay: `BINARY relay --socket PATH`.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "relay" {
		o := relay.Options{Version: "test", Socket: os.Args[3], Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
		if err := relay.Main(context.Background(), o); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// patience is how long a condition is waited for.
const patience = 20 * time.Second

// vpc is the network of the tests, where an instance may do what the rules say.
const (
	vpc      = "vpc-1"
	instance = "us-east-1/i-1"
)

var (
	cidr   = netip.MustParsePrefix("10.1.0.0/16")
	client = netip.MustParseAddr("10.1.8.4")
)

// rig is a deployment with one VPC, one instance in it, and what a test adds.
type rig struct {
	t          *testing.T
	dir        string
	deployment string
	*Fabric

	// endpoints and rules are what the network shall have.
	endpoints []local.Endpoint
	rules     []network.Rule
	// clock is the fabric's; nil: the real one.
	clock core.Clock
	// more are VPCs beside the first.
	more []network.VPC

	mu       sync.Mutex
	troubles []string
}

func newRig(t *testing.T, deployment string) *rig {
	t.Helper()
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes network namespaces")
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip(err)
	}
	// Not t.TempDir: the name of the test would make socket paths too long.
	dir, err := os.MkdirTemp("", "kern")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, dir: dir, deployment: fmt.Sprintf("%s%d", deployment, os.Getpid()), rules: []network.Rule{everyone, out}}
	t.Cleanup(func() {
		r.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := Stop(ctx, dir, r.deployment); err != nil {
			t.Error("stop:", err)
		}
		if left, err := netns.List("larder-" + r.deployment); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
		os.RemoveAll(dir)
	})
	r.open()
	return r
}

// open makes the fabric, the first or one that follows another.
func (r *rig) open() {
	r.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	r.Fabric, err = New(context.WithoutCancel(r.t.Context()), Config{
		Deployment: r.deployment, RunDir: r.dir, Exe: exe, Args: []string{"relay"}, Version: "test",
		Resolver: relays.Resolver{Domain: "cache.test"}, Trouble: r.trouble, Clock: r.clock, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) trouble(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.troubles = append(r.troubles, text)
}

func (r *rig) told() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.troubles, "\n")
}

var (
	everyone = network.Rule{ID: "in", Protocol: network.AnyProtocol, CIDR: netip.MustParsePrefix("0.0.0.0/0")}
	out      = network.Rule{ID: "out", Egress: true, Protocol: network.AnyProtocol, CIDR: netip.MustParsePrefix("0.0.0.0/0")}
)

// network is all that the test has put together: every node is in one group.
func (r *rig) wanted() local.Network {
	n := local.Network{
		Endpoints: r.endpoints,
		World: network.World{
			VPCs: append([]network.VPC{{ID: vpc, CIDR: cidr}}, r.more...),
			Groups: []network.Group{
				{ID: "sg-cache", VPC: vpc, Rules: r.rules}, {ID: "sg-app", VPC: vpc, Rules: []network.Rule{out}},
			},
			Interfaces: []network.Interface{{ID: "i-1", VPC: vpc, Addresses: []netip.Addr{client}, Groups: []string{"sg-app"}}},
		},
		Windows:   map[string]network.Window{vpc: {CIDR: cidr}},
		Instances: []runtime.Instance{{ID: instance, Network: vpc, Address: client, Running: true}},
	}
	for _, v := range r.more {
		n.Windows[v.ID] = network.Window{CIDR: v.CIDR}
		n.World.Groups = append(n.World.Groups, network.Group{ID: "sg-" + v.ID, VPC: v.ID, Rules: r.rules})
	}
	for _, e := range r.endpoints {
		if e.Node == "" {
			continue
		}
		group := "sg-cache"
		if e.Network != vpc {
			group = "sg-" + e.Network
		}
		n.World.Interfaces = append(n.World.Interfaces, network.Interface{
			ID: e.Network + e.Node, VPC: e.Network, Addresses: []netip.Addr{netip.MustParseAddr(e.VPC.Address)}, Groups: []string{group}, Passive: true,
		})
	}
	return n
}

func (r *rig) apply(endpoints ...local.Endpoint) {
	r.t.Helper()
	r.endpoints = endpoints
	failed, err := r.Apply(r.t.Context(), r.wanted())
	if err != nil || len(failed) > 0 {
		r.t.Fatalf("apply: %v, failed: %v", err, failed)
	}
}

// node is the endpoint of a node with an engine that is started inside its network,
// which must have the address already.
func (r *rig) node(name, address string) local.Endpoint {
	r.t.Helper()
	at := core.Endpoint{Address: address, Port: 6379}
	return local.Endpoint{ID: "node " + name, Network: vpc, VPC: at, Node: name}
}

// start starts a node's engine and gives the endpoint with it as its backend.
func (r *rig) start(ep local.Endpoint, words ...string) local.Endpoint {
	r.t.Helper()
	socket := filepath.Join(r.dir, ep.Node+".sock")
	args := append([]string{
		"--bind", ep.VPC.Address, "--port", "6379", "--unixsocket", socket, "--save", "", "--protected-mode", "no", "--dir", r.dir,
	}, words...)
	cmd := exec.Command("redis-server", args...)
	r.in(r.Namespace(ep.Network), cmd.Start)
	r.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	r.until("the engine listens", func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	ep.Backends = []local.Backend{{Node: ep.Node, VPC: ep.VPC, Socket: socket, Direct: ep.VPC, PID: cmd.Process.Pid}}
	return ep
}

// end kills a node's engine.
func (r *rig) end(ep local.Endpoint) {
	r.t.Helper()
	if err := syscall.Kill(ep.Backends[0].PID, syscall.SIGKILL); err != nil {
		r.t.Fatal(err)
	}
}

// in runs fn in a namespace.
func (r *rig) in(path string, fn func() error) {
	r.t.Helper()
	ns, err := netns.Open(path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer ns.Close()
	if err := ns.Do(fn); err != nil {
		r.t.Fatal(err)
	}
}

// nft runs nft inside of the VPC.
func (r *rig) nft(words ...string) {
	r.t.Helper()
	r.in(r.Namespace(vpc), func() error {
		text, err := exec.Command("nft", words...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("nft: %w: %s", err, text)
		}
		return nil
	})
}

// dial connects from the instance.
func (r *rig) dial(to string) (c net.Conn, err error) {
	ns, err := netns.Open(r.InstanceNamespace(runtime.Instance{ID: instance}))
	if err != nil {
		r.t.Fatal(err)
	}
	defer ns.Close()
	err = ns.Do(func() (err error) {
		c, err = net.DialTimeout("tcp4", to, 900*time.Millisecond)
		return err
	})
	if err == nil {
		r.t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// letIn expects an answer of the engine of the name given.
func (r *rig) letIn(what, to, name string) net.Conn {
	r.t.Helper()
	c, err := r.dial(to)
	if err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
	r.answers(what, c, name)
	return c
}

// answers asks an engine for its name.
func (r *rig) answers(what string, c net.Conn, name string) {
	r.t.Helper()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write([]byte("GET name\r\n")); err != nil {
		r.t.Errorf("%s: %v", what, err)
		return
	}
	b := make([]byte, 100)
	n, err := c.Read(b)
	if err != nil || !strings.Contains(string(b[:n]), name) {
		r.t.Errorf("%s: %q, %v, want %s", what, b[:n], err, name)
	}
	_ = c.SetDeadline(time.Time{})
}

// called gives an engine its name.
func (r *rig) called(ep local.Endpoint) {
	r.t.Helper()
	c, err := net.Dial("unix", ep.Backends[0].Socket)
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	_, _ = fmt.Fprintf(c, "SET name %s\r\n", ep.Node)
	if _, err := c.Read(make([]byte, 10)); err != nil {
		r.t.Fatal(err)
	}
}

// tell has an engine do something, and gives its answer.
func (r *rig) tell(ep local.Endpoint, words ...string) string {
	r.t.Helper()
	text, err := exec.Command("redis-cli", append([]string{"-s", ep.Backends[0].Socket}, words...)...).Output()
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// hasClient asks an engine whether it has a connection of the instance.
func (r *rig) hasClient(ep local.Endpoint) bool {
	r.t.Helper()
	return strings.Contains(r.tell(ep, "client", "list"), " addr="+client.String()+":")
}

// replicas asks an engine how many it has.
func (r *rig) replicas(ep local.Endpoint) int {
	r.t.Helper()
	return strings.Count(r.tell(ep, "info", "replication"), "state=online")
}

// reset expects a connection to be reset.
func (r *rig) reset(what string, c net.Conn) {
	r.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, syscall.ECONNRESET) {
		r.t.Errorf("%s: %d bytes, %v", what, n, err)
	}
}

// keptOut expects silence.
func (r *rig) keptOut(what, to string) {
	r.t.Helper()
	c, err := r.dial(to)
	if late, ok := err.(net.Error); !ok || !late.Timeout() {
		r.t.Errorf("%s: %v, %v", what, c, err)
	}
}

func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatal("did not happen:", what)
		}
	}
}

func selfSigned(t *testing.T, mode string) runtime.TLS {
	t.Helper()
	a, err := pki.NewAuthority("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return runtime.TLS{Mode: mode, ChainPEM: a.CertPEM, KeyPEM: a.KeyPEM}
}

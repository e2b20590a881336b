package userspace

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
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/relay"
	"github.com/larder-cache/larder/internal/runtime/local"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/relays"
)

// TestMain lets the test binary be the relay: `BINARY relay VERSION --socket PATH`.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "relay" {
		o := relay.Options{Version: os.Args[2], Socket: os.Args[4], Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
		if err := relay.Main(context.Background(), o); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// rig is a run directory; what runs in it ends with the test.
type rig struct {
	t   testing.TB
	dir string
	// resolver is that of fabrics made later.
	resolver relays.Resolver
}

func newRig(t testing.TB) *rig {
	t.Helper()
	// Not t.TempDir: the name of the test would make socket paths too long.
	dir, err := os.MkdirTemp("", "fab")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := relays.Stop(ctx, dir); err != nil {
			t.Error("stop:", err)
		}
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "relay.log"))
			t.Logf("relay log:\n%s", log)
		}
		os.RemoveAll(dir)
	})
	return &rig{t: t, dir: dir}
}

// fabric makes a fabric whose relays call themselves version.
func (r *rig) fabric(version string) *Fabric {
	r.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	f, err := New(r.t.Context(), Config{
		RunDir: r.dir, Exe: exe, Args: []string{"relay", version}, Version: version, Log: slog.New(slog.DiscardHandler),
		Resolver: r.resolver,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { f.Close() })
	return f
}

// engine starts a real engine on a unix socket with more configuration words.
func (r *rig) engine(name string, words ...string) (socket string, process *os.Process) {
	r.t.Helper()
	binary, err := exec.LookPath(name)
	if err != nil {
		r.t.Skip(name, "is not installed")
	}
	dir, err := os.MkdirTemp("", "eng")
	if err != nil {
		r.t.Fatal(err)
	}
	socket = filepath.Join(dir, "s")
	args := []string{"--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", dir, "--daemonize", "no", "--maxclients", "10000"}
	cmd := exec.Command(binary, append(args, words...)...)
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait(); os.RemoveAll(dir) })
	until(r.t, name+" listens", func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return socket, cmd.Process
}

// endpoint is an endpoint on a free loopback address.
func (r *rig) endpoint(id string, backends ...local.Backend) local.Endpoint {
	r.t.Helper()
	return local.Endpoint{ID: id, Listen: []core.Endpoint{freePort(r.t)}, Backends: backends}
}

// guardedBy is a network whose one group has the rules given; every backend is an
// interface in it.
func guardedBy(rules []network.Rule, eps ...local.Endpoint) local.Network {
	cidr := netip.MustParsePrefix("10.0.0.0/16")
	n := local.Network{
		World: network.World{
			VPCs:   []network.VPC{{CIDR: cidr}},
			Groups: []network.Group{{ID: "g", Rules: rules}},
		},
		Windows: map[string]network.Window{"": {Host: netip.MustParseAddr("10.0.0.4"), CIDR: cidr, Loopback: netip.MustParsePrefix("127.88.0.0/16")}},
	}
	known := map[string]string{}
	for _, ep := range eps {
		ep.Backends = slices.Clone(ep.Backends)
		for i, b := range ep.Backends {
			if known[b.Node] == "" {
				known[b.Node] = fmt.Sprintf("10.0.1.%d", len(known))
				n.World.Interfaces = append(n.World.Interfaces, network.Interface{
					ID: b.Node, Addresses: []netip.Addr{netip.MustParseAddr(known[b.Node])}, Groups: []string{"g"}, Passive: true,
				})
			}
			ep.Backends[i].VPC = core.Endpoint{Address: known[b.Node], Port: 6379}
		}
		n.Endpoints = append(n.Endpoints, ep)
	}
	return n
}

// anywhere admits everybody; such connections are tracked.
var anywhere = network.Rule{ID: "in", Protocol: network.AnyProtocol, CIDR: netip.MustParsePrefix("0.0.0.0/0")}

func everyone(eps ...local.Endpoint) local.Network {
	return guardedBy([]network.Rule{anywhere}, eps...)
}

// last is the number of the last address given.
var last atomic.Int32

func freePort(t testing.TB) core.Endpoint {
	t.Helper()
	n := last.Add(1)
	ln, err := net.Listen("tcp", fmt.Sprintf("127.88.%d.%d:0", n>>8, n&0xff))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	at := ln.Addr().(*net.TCPAddr)
	return core.Endpoint{Address: at.IP.String(), Port: at.Port}
}

// apply applies and fails the test unless all came about.
func apply(t testing.TB, f *Fabric, eps ...local.Endpoint) {
	t.Helper()
	failed, err := f.Apply(context.Background(), everyone(eps...))
	if err != nil || len(failed) > 0 {
		t.Fatalf("apply: %v, failed: %v", err, failed)
	}
}

// client is a Redis client of an endpoint, with one connection and no retries.
func client(t testing.TB, ep local.Endpoint) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: ep.Listen[0].String(), PoolSize: 1, MaxRetries: -1, DisableIdentity: true})
	t.Cleanup(func() { c.Close() })
	return c
}

func ping(c *redis.Client) error { return c.Ping(context.Background()).Err() }

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("did not happen:", what)
		}
	}
}

// alive reports whether a process runs (a zombie does not).
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, os.ErrNotExist) {
		return false
	}
	for i := len(stat) - 1; i > 1; i-- {
		if stat[i] == ')' {
			return stat[i+2] != 'Z'
		}
	}
	return false
}

func (f *Fabric) pid() int { return f.relays.PID() }

// controls are the control sockets of relays.
func (r *rig) controls() []string {
	all, err := filepath.Glob(filepath.Join(r.dir, "relay-*.sock"))
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func hostOf(addresses ...string) func() []netip.Addr {
	var all []netip.Addr
	for _, a := range addresses {
		all = append(all, netip.MustParseAddr(a))
	}
	return func() []netip.Addr { return all }
}

func listener(id string, addresses ...string) relay.Listener {
	return relay.Listener{ID: id, Addresses: addresses}
}

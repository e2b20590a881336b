package links

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/netns"
)

// rig is a deployment with a host of its own, so that the real one stays as it is
// and tests can run at the same time.
type rig struct {
	testing.TB
	cfg  Config
	host *netns.Namespace

	mu     sync.Mutex
	before []string
}

func newRig(t testing.TB) *rig {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("namespaces are root's to make")
	}
	r := &rig{TB: t}
	name := "t" + digest(fmt.Sprint(os.Getpid(), t.Name()), 12)
	host, _, err := netns.Create("linkstest-" + name)
	if err != nil {
		t.Fatal(err)
	}
	r.host = host
	r.cfg = Config{
		Deployment: name, Host: host, ResolverDir: t.TempDir(), Log: slog.New(slog.DiscardHandler),
		Before: func(network string, ns *netns.Namespace) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.before = append(r.before, network)
			return nil
		},
	}
	t.Cleanup(func() {
		l := r.open()
		if err := l.Remove(); err != nil {
			t.Errorf("clean up: %v", err)
		}
		if names, err := netns.List("larder-" + name + "-"); err != nil || len(names) > 0 {
			t.Errorf("Remove leaves %q (%v)", names, err)
		}
		if err := netns.Delete("linkstest-" + name); err != nil {
			t.Errorf("clean up: %v", err)
		}
		_ = host.Close()
	})
	r.in(host, "ip", "link", "set", "lo", "up")
	return r
}

// open is what a server does when it starts. It is closed with the test.
func (r *rig) open() *Links {
	r.Helper()
	l, err := New(r.cfg)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = l.Close() })
	return l
}

// apply must work entirely.
func (r *rig) apply(l *Links, networks ...Network) {
	r.Helper()
	failed, err := l.Apply(context.Background(), Plan{Networks: networks})
	if err != nil || len(failed) > 0 {
		r.Fatalf("apply: %v, %v", failed, err)
	}
}

// in runs a command in a namespace, which must succeed, and gives its output.
func (r *rig) in(ns *netns.Namespace, command ...string) string {
	r.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	var out, trouble strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &trouble
	if err := ns.Do(cmd.Run); err != nil {
		r.Fatalf("%q: %v: %s", command, err, trouble.String())
	}
	return out.String()
}

// space opens a namespace by its path.
func (r *rig) space(path string) *netns.Namespace {
	r.Helper()
	ns, err := netns.Open(path)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = ns.Close() })
	return ns
}

// view is everything of a namespace that Links decides, without what differs between
// two equal ones.
func (r *rig) view(ns *netns.Namespace) string {
	r.Helper()
	var h *netlink.Handle
	if err := ns.Do(func() (err error) { h, err = netlink.NewHandle(unix.NETLINK_ROUTE); return err }); err != nil {
		r.Fatal(err)
	}
	defer h.Close()
	links, err := h.LinkList()
	addresses, err2 := h.AddrList(nil, netlink.FAMILY_ALL)
	routes, err3 := h.RouteList(nil, netlink.FAMILY_ALL)
	neighbours, err4 := h.NeighList(0, netlink.FAMILY_V4)
	if err := errors.Join(err, err2, err3, err4); err != nil {
		r.Fatal(err)
	}
	var out []string
	names := map[int]string{0: "nowhere"}
	for _, l := range links {
		a := l.Attrs()
		names[a.Index] = a.Name
		out = append(out, fmt.Sprintf("link %s %s %s %s %s %q", a.Name, l.Type(), a.Flags, a.OperState, a.HardwareAddr, a.Alias))
	}
	for _, a := range addresses {
		out = append(out, fmt.Sprintf("address %s dev %s", a.IPNet, names[a.LinkIndex]))
	}
	for _, a := range routes {
		out = append(out, fmt.Sprintf("route %s type %d via %s dev %s src %s flags %x", a.Dst, a.Type, a.Gw, names[a.LinkIndex], a.Src, a.Flags))
	}
	for _, n := range neighbours {
		if n.State == netlink.NUD_PERMANENT {
			out = append(out, fmt.Sprintf("neighbour %s is %s dev %s", n.IP, n.HardwareAddr, names[n.LinkIndex]))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n") + "\n"
}

// views is the whole of a deployment, by name, and of its host.
func (r *rig) views() map[string]string {
	r.Helper()
	prefix := "larder-" + r.cfg.Deployment + "-"
	names, err := netns.List(prefix)
	if err != nil {
		r.Fatal(err)
	}
	out := map[string]string{"host": r.view(r.host)}
	for _, name := range names {
		out[strings.TrimPrefix(name, prefix)] = r.view(r.space(netns.Path(name)))
	}
	return out
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// sample is a network with something of everything.
func sample() Network {
	return Network{
		ID: "vpc-1", CIDR: netip.MustParsePrefix("172.31.0.0/16"),
		Local: []netip.Addr{addr("172.31.0.1"), addr("172.31.0.2"), addr("172.31.16.9")},
		Instances: []Instance{
			{ID: "i-0123456789abcdef0", Address: addr("172.31.32.5"), Resolver: addr("172.31.0.2"), Search: "ec2.internal"},
			{ID: "i-0123456789abcdef1", Address: addr("172.31.32.6"), Resolver: addr("172.31.0.2")},
		},
		Host: addr("172.31.48.10"),
	}
}

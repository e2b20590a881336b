package rules

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/netns"
	"github.com/larder-cache/larder/internal/network"
)

var (
	addr     = netip.MustParseAddr
	addrPort = netip.MustParseAddrPort
	prefix   = netip.MustParsePrefix
)

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes network namespaces")
	}
}

// namespace is one of the test's own, removed at its end.
func namespace(t testing.TB, name string) *netns.Namespace {
	t.Helper()
	needRoot(t)
	name = fmt.Sprintf("larder-rules-%d-%s", os.Getpid(), name)
	ns, _, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
		if err := netns.Delete(name); err != nil {
			t.Error(err)
		}
	})
	return ns
}

// run runs a command inside a namespace.
func run(t testing.TB, ns *netns.Namespace, command ...string) string {
	t.Helper()
	var out []byte
	err := ns.Do(func() (err error) {
		out, err = exec.Command(command[0], command[1:]...).CombinedOutput()
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(command, " "), err, out)
	}
	return string(out)
}

func open(t testing.TB, ns *netns.Namespace) *Conn {
	t.Helper()
	c, err := Open(ns.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func apply(t testing.TB, c *Conn, table *Table) {
	t.Helper()
	if err := c.Apply(table); err != nil {
		t.Fatal(err)
	}
}

func rule4(egress bool, protocol network.Protocol, from, to int, peer string) network.Rule {
	r := network.Rule{Egress: egress, Protocol: protocol, From: from, To: to}
	if strings.Contains(peer, "/") {
		r.CIDR = prefix(peer)
	} else {
		r.Group = peer
	}
	return r
}

func in(protocol network.Protocol, from, to int, peer string) network.Rule {
	return rule4(false, protocol, from, to, peer)
}

func allOut() network.Rule { return rule4(true, network.AnyProtocol, 0, 0, "0.0.0.0/0") }

// small is a VPC with a group of two nodes behind a relay, and two instances.
func small() (network.World, Inputs) {
	w := network.World{
		VPCs: []network.VPC{{ID: "vpc", CIDR: prefix("10.1.0.0/16")}},
		Groups: []network.Group{
			{ID: "sg-cache", VPC: "vpc", Rules: []network.Rule{
				allOut(), in(network.TCP, 6379, 6379, "sg-app"), in(network.TCP, 6000, 6400, "10.1.8.0/24"),
				in(network.TCP, 1, 5, "0.0.0.0/0"), in(network.ICMP, 8, -1, "10.1.8.7/32"), in(network.TCP, 6379, 6379, "::/0"),
			}},
			{ID: "sg-app", VPC: "vpc", Rules: []network.Rule{allOut(), in(network.AnyProtocol, 0, 0, "sg-app")}},
		},
		Interfaces: []network.Interface{
			{ID: "eni-1", VPC: "vpc", Addresses: []netip.Addr{addr("10.1.0.5")}, Groups: []string{"sg-cache"}, Passive: true},
			{ID: "eni-2", VPC: "vpc", Addresses: []netip.Addr{addr("10.1.0.6")}, Groups: []string{"sg-cache"}, Passive: true},
			{ID: "eni-3", VPC: "vpc", Addresses: []netip.Addr{addr("10.1.8.4")}, Groups: []string{"sg-app"}},
			{ID: "eni-4", VPC: "vpc", Addresses: []netip.Addr{addr("10.1.8.7")}, Groups: []string{"sg-app", "sg-cache"}},
		},
	}
	return w, Inputs{
		Links: map[string]netip.Addr{"i-a": addr("10.1.8.4"), "i-b": addr("10.1.8.7")},
		Nodes: []Service{{network.TCP, addrPort("10.1.0.5:6379")}, {network.TCP, addrPort("10.1.0.6:6379")}},
		Endpoints: []Endpoint{
			{At: addrPort("10.1.0.9:6379"), Targets: []netip.AddrPort{addrPort("10.1.0.5:6379")}},
			{At: addrPort("10.1.0.10:6379"), Targets: []netip.AddrPort{addrPort("10.1.0.6:6379"), addrPort("10.1.0.5:6379")}},
			{At: addrPort("10.1.0.11:6379")},
		},
		Inserted: []Insertion{{Node: addrPort("10.1.0.6:6379"), Relay: addrPort("10.1.0.6:61002")}},
		Resolver: addr("10.1.0.2"),
	}
}

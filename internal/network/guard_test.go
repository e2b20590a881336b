package network

import (
	"fmt"
	"net/netip"
	"testing"
)

func TestWindowSource(t *testing.T) {
	t.Parallel()
	address := netip.MustParseAddr
	attached := Window{Loopback: prefix("127.20.0.0/16"), CIDR: prefix("10.7.4.0/22"), Host: address("10.7.4.9")}
	detached := attached
	detached.Host = netip.Addr{}
	apart := Window{CIDR: prefix("10.7.4.0/22"), Host: address("10.7.4.9")}
	for name, tc := range map[string]struct {
		window Window
		peer   string
		want   string
	}{
		"no source chosen":           {attached, "127.0.0.1", "10.7.4.9"},
		"no source chosen, IPv6":     {attached, "::1", "10.7.4.9"},
		"from outside":               {attached, "192.0.2.7", "10.7.4.9"},
		"from outside, mapped":       {attached, "::ffff:192.0.2.7", "10.7.4.9"},
		"an address of the window":   {attached, "127.20.5.77", "10.7.5.77"},
		"the same, mapped":           {attached, "::ffff:127.20.5.77", "10.7.5.77"},
		"another VPC's window":       {attached, "127.22.5.77", ""},
		"another VPC's, mapped":      {attached, "::ffff:127.22.5.77", ""},
		"detached: host":             {detached, "127.0.0.1", ""},
		"detached: from outside":     {detached, "192.0.2.7", ""},
		"detached: of the window":    {detached, "127.20.5.77", "10.7.5.77"},
		"a network of its own":       {apart, "10.7.5.77", "10.7.5.77"},
		"such a network, mapped":     {apart, "::ffff:10.7.5.77", "10.7.5.77"},
		"such a one, from outside":   {apart, "192.0.2.7", "10.7.4.9"},
		"nothing known of the VPC":   {Window{}, "127.20.5.77", ""},
		"nothing known, from inside": {Window{}, "127.0.0.1", ""},
	} {
		var want netip.Addr
		if tc.want != "" {
			want = address(tc.want)
		}
		if got := tc.window.Source(address(tc.peer)); got != want {
			t.Errorf("%s: %s is %v, want %v", name, tc.peer, got, want)
		}
	}
}

func TestGuardAdmitsNobodyUnknown(t *testing.T) {
	t.Parallel()
	a := netip.MustParseAddr("10.0.0.1")
	g := Guard{Nodes: map[string]int{"n": 0, "none": 1, "less": -1}, Filters: []Filter{{Allow: []netip.Prefix{prefix("10.0.0.0/24")}}}}
	for name, tc := range map[string]struct {
		node   string
		source netip.Addr
		want   bool
	}{
		"let in": {"n", a, true}, "another node": {"m", a, false}, "nobody": {"n", netip.Addr{}, false},
		"no such filter": {"none", a, false}, "no such filter either": {"less", a, false},
	} {
		if got := g.Admits(tc.node, tc.source); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Nodes in the same groups have one filter, however many they are, until rules of a
// source's own tell them apart.
func TestGuardSharesFilters(t *testing.T) {
	t.Parallel()
	w := World{VPCs: []VPC{{"vpc-a", prefix("10.0.0.0/16")}}}
	w.Groups = []Group{
		{ID: "sg-a", VPC: "vpc-a", Rules: []Rule{tcpFrom("in", "sg-a")}},
		{ID: "sg-b", VPC: "vpc-a", Rules: []Rule{tcpFrom("in", "10.0.0.0/24")}},
	}
	for n := range 100 {
		w.Interfaces = append(w.Interfaces, Interface{
			ID: fmt.Sprint(n), VPC: "vpc-a", Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 1, byte(n)})},
			Groups: []string{[]string{"sg-a", "sg-b"}[n%2]}, Passive: true,
		})
	}
	if g := guardOf(w, Compile(w), redis); len(g.Filters) != 2 || len(g.Nodes) != 100 {
		t.Errorf("%d filters for %d nodes in two groups", len(g.Filters), len(g.Nodes))
	}
	toOne := tcpFrom("out", "10.0.1.3/32")
	toOne.Egress = true
	w.Groups = append(w.Groups, Group{ID: "sg-c", VPC: "vpc-a", Rules: []Rule{toOne}})
	w.Interfaces = append(w.Interfaces, Interface{ID: "client", VPC: "vpc-a", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.7")}, Groups: []string{"sg-c"}})
	g := guardOf(w, Compile(w), redis)
	if len(g.Filters) != 4 {
		t.Errorf("%d filters, want one for each group, one for the node that the client may reach, and the client's own", len(g.Filters))
	}
	client := netip.MustParseAddr("10.0.0.7")
	if !g.Admits("3", client) || g.Admits("5", client) {
		t.Error("the client reaches another node than the one its rules let it out to")
	}
}

package network

import (
	"net/netip"
	"slices"
	"strings"
)

// Guard is a policy in the form of whatever enforces it: where the clients of
// each VPC come from, and who may connect to each node. What it does not name
// nobody reaches.
type Guard struct {
	// Windows are by VPC id.
	Windows map[string]Window `json:",omitempty"`
	// Nodes say by node which of Filters is the node's: of a hundred nodes in one
	// group all have the same, which names all of the group's members.
	Nodes   map[string]int `json:",omitempty"`
	Filters []Filter       `json:",omitempty"`
}

// Target is a node that a guard protects: a port of an address of a VPC.
type Target struct {
	Node, VPC string
	Address   netip.Addr
	Port      int
}

// Guard is the policy for TCP to nodes. Equal filters are in it once.
func (p *Policy) Guard(windows map[string]Window, targets []Target) Guard {
	g := Guard{Windows: windows, Nodes: make(map[string]int, len(targets))}
	known := map[ingressKey][]int{}
	for _, t := range targets {
		if _, twice := g.Nodes[t.Node]; !twice {
			g.Nodes[t.Node] = g.add(p, t, known)
		}
	}
	return g
}

// ingressKey is all that a filter depends on but for sources that are denied.
type ingressKey struct {
	vpc, groups string
	port        int
}

// add gives the place of a target's filter. known are the places by key; most keys
// have one.
func (g *Guard) add(p *Policy, t Target, known map[ingressKey][]int) int {
	key := ingressKey{t.VPC, p.groupIDs(t.VPC, t.Address), t.Port}
	v := p.vpcs[t.VPC]
	places := known[key]
	if len(places) > 0 && (v == nil || len(v.bound) == 0) {
		return places[0]
	}
	f := p.Ingress(t.VPC, t.Address, TCP, t.Port)
	for _, n := range places {
		if slices.Equal(g.Filters[n].Deny, f.Deny) {
			return n
		}
	}
	g.Filters = append(g.Filters, f)
	known[key] = append(places, len(g.Filters)-1)
	return len(g.Filters) - 1
}

// groupIDs names the groups of an address; those of different addresses are never
// mistaken for each other.
func (p *Policy) groupIDs(vpc string, address netip.Addr) string {
	v := p.vpcs[vpc]
	if v == nil {
		return ""
	}
	i, ok := v.interfaces[address]
	if !ok {
		return ""
	}
	names := append(i.names(), "in") // not even the one in no group for none
	if address.Is6() {
		names = append(names, "v6")
	}
	return strings.Join(names, " ")
}

// Filter is who may connect to a node; ok is false for one that is not known.
func (g Guard) Filter(node string) (f Filter, ok bool) {
	n, ok := g.Nodes[node]
	if !ok || n < 0 || n >= len(g.Filters) {
		return Filter{}, ok
	}
	return g.Filters[n], true
}

// Source is the address in a VPC that a peer is, or the zero address: then it is
// nobody there.
func (g Guard) Source(vpc string, peer netip.Addr) netip.Addr {
	return g.Windows[vpc].Source(peer)
}

// Admits decides whether an address of a node's VPC may connect to the node.
func (g Guard) Admits(node string, source netip.Addr) bool {
	f, _ := g.Filter(node)
	return source.IsValid() && f.Admits(source)
}

// Window is how a VPC appears on a host whose interfaces do not have its
// addresses: the address A.B.C.D is 127.N.C.D there.
type Window struct {
	// Loopback is 127.N.0.0/16, or zero where the VPC has a network of its own, in
	// which every client is seen under its address there. CIDR is the range of the
	// VPC.
	Loopback, CIDR netip.Prefix
	// Host is the address that the host itself has in the VPC; zero if it is not
	// attached to it.
	Host netip.Addr
}

// plainLoopback is where clients of the host come from that have chosen no source
// address: no window is in it.
var plainLoopback = netip.MustParsePrefix("127.0.0.0/16")

// Source is the address of the VPC that a peer is. One that comes from the
// window is the address that it stands for. One from the rest of 127.0.0.0/8 has
// its place in another VPC, and is nobody here. Any other has none: it is the
// host's, or has come to the host from outside, and counts as the host.
func (w Window) Source(peer netip.Addr) netip.Addr {
	peer = peer.Unmap()
	switch {
	case !w.Loopback.IsValid() && w.CIDR.Contains(peer):
		return peer
	case w.Loopback.Contains(peer) && w.CIDR.Addr().Is4():
		in, from := w.CIDR.Addr().As4(), peer.As4()
		return netip.AddrFrom4([4]byte{in[0], in[1], from[2], from[3]})
	case peer.Is4() && peer.IsLoopback() && !plainLoopback.Contains(peer):
		return netip.Addr{}
	}
	return w.Host
}

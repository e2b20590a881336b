package network

import "net/netip"

// Guard is a policy in the form of whatever enforces it: where the clients of
// each VPC come from, and who may connect to each node. What it does not name
// nobody reaches.
type Guard struct {
	// Windows are by VPC id.
	Windows map[string]Window `json:",omitempty"`
	// Filters are by node.
	Filters map[string]Filter `json:",omitempty"`
}

// Source is the address in a VPC that a peer is, or the zero address: then it is
// nobody there.
func (g Guard) Source(vpc string, peer netip.Addr) netip.Addr {
	return g.Windows[vpc].Source(peer)
}

// Admits decides whether an address of a node's VPC may connect to the node.
func (g Guard) Admits(node string, source netip.Addr) bool {
	return source.IsValid() && g.Filters[node].Admits(source)
}

// Window is how a VPC appears on a host whose interfaces do not have its
// addresses: the address A.B.C.D is 127.N.C.D there.
type Window struct {
	// Loopback is 127.N.0.0/16, CIDR the range of the VPC.
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
	case w.Loopback.Contains(peer) && w.CIDR.Addr().Is4():
		in, from := w.CIDR.Addr().As4(), peer.As4()
		return netip.AddrFrom4([4]byte{in[0], in[1], from[2], from[3]})
	case peer.Is4() && peer.IsLoopback() && !plainLoopback.Contains(peer):
		return netip.Addr{}
	}
	return w.Host
}

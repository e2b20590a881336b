package links

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// cable is a veth from the namespace of a network to that of a client, an instance
// or the host.
type cable struct {
	network Network
	// outer is its name in the network, inner that at the client. Aliases say to
	// people what it is.
	outer, outerAlias, inner, innerAlias string
	// address is the client's.
	address netip.Addr
	// settings are made at the client before its end comes up.
	settings []setting
}

// routerMAC is the hardware address of every interface of a router. Each has only
// one neighbour, so that they need not differ.
var routerMAC = net.HardwareAddr{0x02, 'L', 0, 0, 0, 1}

// clientMAC names the client's address, so that a cable tells what it is for.
func clientMAC(a netip.Addr) net.HardwareAddr {
	b := a.As4()
	return net.HardwareAddr{0x02, 'L', b[0], b[1], b[2], b[3]}
}

// lay makes the cable, or finishes what exists of it. The route to the client is the
// very last, so that whoever finds it finds a cable that can carry.
//
// Both ends know the other's hardware address for good: no packet waits for an
// answer, and permanent neighbours do not count against the limit on neighbours
// that all namespaces of a host share (1,024 by default).
func (l *Links) lay(v *vpc, client *space, c cable) error {
	outer, inner, err := l.pair(v, client, c)
	if err != nil {
		return err
	}
	if err := client.set(c.settings...); err != nil {
		return err
	}
	l.stepped()
	near := end{
		space: client, link: inner, alias: c.innerAlias, address: c.address, peer: c.network.router(), mac: outer.HardwareAddr,
		route: c.network.clientRoute(inner.Index, c.address),
	}
	far := end{
		space: v.space, link: outer, alias: c.outerAlias, peer: c.address, mac: inner.HardwareAddr,
		route: netlink.Route{Dst: ipNet(single(c.address)), LinkIndex: outer.Index, Scope: netlink.SCOPE_LINK},
	}
	for _, do := range []func(end) error{l.raise, end.awaitCarrier, l.connect} {
		for _, e := range []end{near, far} {
			if err := do(e); err != nil {
				return fmt.Errorf("interface %s: %w", e.link.Name, err)
			}
		}
	}
	return nil
}

// carrierTries bounds how often an interface is asked for its carrier. Kernels since
// 6.8 answer the first time.
const carrierTries = 100

// awaitCarrier waits until an interface can send. The kernel notes only a moment
// after both ends are up that there is a carrier, and drops what is sent before,
// which costs a client a second. A kernel that takes long has its way.
func (e end) awaitCarrier() error {
	for range carrierTries {
		link, err := e.space.LinkByIndex(e.link.Index)
		if err != nil {
			return fmt.Errorf("wait for carrier: %w", err)
		}
		if link.Attrs().OperState == netlink.OperUp {
			break
		}
	}
	return nil
}

// pair gives both ends. What exists is used if both belong together and to the
// address, and made anew else.
func (l *Links) pair(v *vpc, client *space, c cable) (outer, inner *netlink.LinkAttrs, err error) {
	if outer, inner, err = ends(v, client, c); err != nil {
		return nil, nil, err
	}
	mac := clientMAC(c.address)
	if outer != nil && inner != nil && outer.ParentIndex == inner.Index && inner.ParentIndex == outer.Index &&
		slices.Equal(inner.HardwareAddr, mac) {
		return outer, inner, nil
	}
	if outer != nil {
		if err := v.deleteLink(outer); err != nil {
			return nil, nil, err
		}
		l.stepped()
	}
	if inner != nil {
		if err := client.deleteLink(inner); err != nil {
			return nil, nil, err
		}
		l.stepped()
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = c.outer, routerMAC
	attrs.NumTxQueues, attrs.NumRxQueues = 1, 1 // else as many as the host may have processors
	err = v.LinkAdd(&netlink.Veth{
		LinkAttrs: attrs, PeerName: c.inner, PeerHardwareAddr: mac,
		PeerNamespace: netlink.NsFd(client.ns.FD()),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("make veth %s: %w", c.outer, err)
	}
	l.stepped()
	if outer, inner, err = ends(v, client, c); err != nil {
		return nil, nil, err
	}
	if outer == nil || inner == nil {
		return nil, nil, fmt.Errorf("veth %s has vanished", c.outer)
	}
	return outer, inner, nil
}

// ends finds both ends, nil where there is none.
func ends(v *vpc, client *space, c cable) (outer, inner *netlink.LinkAttrs, err error) {
	o, err := v.link(c.outer)
	if err != nil {
		return nil, nil, err
	}
	i, err := client.link(c.inner)
	if err != nil {
		return nil, nil, err
	}
	if o != nil {
		outer = o.Attrs()
	}
	if i != nil {
		inner = i.Attrs()
	}
	return outer, inner, nil
}

// end is an end of a cable with what it shall have.
type end struct {
	space *space
	link  *netlink.LinkAttrs
	alias string
	// address is its own; the zero Addr: none.
	address netip.Addr
	// peer is the address that the other end answers for, mac its hardware address.
	peer  netip.Addr
	mac   net.HardwareAddr
	route netlink.Route
}

// raise gives an end its only address and brings it up.
func (l *Links) raise(e end) error {
	if e.link.Alias != e.alias {
		if err := e.space.LinkSetAlias(byIndex(e.link.Index), e.alias); err != nil {
			return fmt.Errorf("set alias: %w", err)
		}
		l.stepped()
	}
	has, err := e.space.addresses(e.link.Index)
	if err != nil {
		return err
	}
	found := false
	for _, p := range has {
		if e.address.IsValid() && p == single(e.address) {
			found = true
			continue
		}
		if err := e.space.deleteAddress(e.link.Index, p); err != nil {
			return err
		}
		l.stepped()
	}
	if e.address.IsValid() && !found {
		if err := e.space.addAddress(e.link.Index, e.address); err != nil {
			return err
		}
		l.stepped()
	}
	if err := e.space.LinkSetUp(byIndex(e.link.Index)); err != nil {
		return fmt.Errorf("bring up: %w", err)
	}
	l.stepped()
	return nil
}

// connect gives an end its neighbour and its only route.
func (l *Links) connect(e end) error {
	err := e.space.NeighSet(&netlink.Neigh{
		LinkIndex: e.link.Index, Family: netlink.FAMILY_V4, State: netlink.NUD_PERMANENT,
		IP: e.peer.AsSlice(), HardwareAddr: e.mac,
	})
	if err != nil {
		return fmt.Errorf("set neighbour: %w", err)
	}
	l.stepped()
	found := false
	if e.link.Flags&net.FlagUp != 0 { // one that was down has no routes
		if found, err = l.onlyRoute(e.space, e.route); err != nil {
			return err
		}
	}
	if found {
		return nil
	}
	if err := e.space.RouteAdd(&e.route); err != nil {
		return fmt.Errorf("add route to %s: %w", prefix(e.route.Dst), err)
	}
	l.stepped()
	return nil
}

// onlyRoute deletes all other routes through the interface from the main table and
// reports whether the route itself is there.
func (l *Links) onlyRoute(s *space, want netlink.Route) (found bool, err error) {
	has, err := s.routes(func(r netlink.Route) bool {
		return r.Table == unix.RT_TABLE_MAIN && r.LinkIndex == want.LinkIndex
	})
	if err != nil {
		return false, err
	}
	for _, r := range has {
		if sameRoute(r, want) {
			found = true
			continue
		}
		if err := s.RouteDel(&r); err != nil {
			return false, fmt.Errorf("delete route to %s: %w", prefix(r.Dst), err)
		}
		l.stepped()
	}
	return found, nil
}

// clientRoute is the way of a client to the whole network: by the router, whose
// address is on no network of the client's own.
func (n Network) clientRoute(index int, from netip.Addr) netlink.Route {
	return netlink.Route{
		Dst: ipNet(n.CIDR), Gw: n.router().AsSlice(), Src: from.AsSlice(),
		LinkIndex: index, Flags: int(netlink.FLAG_ONLINK),
	}
}

func sameRoute(a, b netlink.Route) bool {
	return prefix(a.Dst) == prefix(b.Dst) && slices.Equal(a.Gw.To4(), b.Gw.To4()) &&
		slices.Equal(a.Src.To4(), b.Src.To4()) && a.LinkIndex == b.LinkIndex
}

package links

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/netns"
)

// loopback is the index of lo in every namespace: it is the first interface.
const loopback = 1

// vpc is the namespace of a network.
type vpc struct {
	*space
	// guarded: Before has been there.
	guarded bool
	// settled: the kernel has been found, or brought, to be as done says, unless
	// the watch has heard of something since.
	settled bool
	done    Network
}

// state is what there is in the namespace of a network.
type state struct {
	// links are ours, without lo.
	links map[string]*netlink.LinkAttrs
	// routed are the destinations of the routes through an interface, by its index.
	routed map[int][]netip.Prefix
	local  []netip.Prefix
	// up: so is lo. sealed: what has no address here goes nowhere.
	up, sealed bool
}

// converge makes one network.
func (l *Links) converge(ctx context.Context, n Network, present map[string]bool, failed map[string]error) {
	v, err := l.open(n)
	if err != nil {
		fail(failed, n.ID, err)
		return
	}
	changed, err := v.watch.changed()
	if err != nil {
		fail(failed, n.ID, err)
		return
	}
	missing := func(i Instance) bool { return !present[l.spaceName(i.ID)] }
	if !changed && v.settled && v.done.equal(n) && !slices.ContainsFunc(n.Instances, missing) {
		return
	}
	v.settled = false
	s, err := v.look(n.CIDR)
	if err != nil {
		fail(failed, n.ID, err)
		return
	}
	trouble := map[string]error{}
	if err := l.reduce(v, n, s); err != nil {
		fail(trouble, n.ID, err)
	}
	if err := l.extend(v, n, s); err != nil {
		fail(trouble, n.ID, err)
	}
	if err := l.attachHost(v, n, s); err != nil {
		fail(trouble, n.ID, err)
	}
	for _, i := range n.Instances {
		err := ctx.Err()
		if err == nil {
			err = l.attachInstance(v, n, i, s, !missing(i))
		}
		if err != nil {
			fail(trouble, i.ID, err)
		}
	}
	v.settled, v.done = len(trouble) == 0, n
	for id, err := range trouble {
		fail(failed, id, err)
	}
}

// open gives the namespace of a network, which is made if need be, with its rules
// in force.
func (l *Links) open(n Network) (*vpc, error) {
	v := l.networks[n.ID]
	if v != nil && !v.ns.Named() {
		l.forget(n.ID)
		v = nil
	}
	if v == nil {
		ns, made, err := netns.Create(l.spaceName(n.ID))
		if err != nil {
			return nil, err
		}
		l.stepped()
		s, err := openSpace(ns)
		if err != nil {
			_ = ns.Close()
			return nil, err
		}
		v = &vpc{space: s}
		l.networks[n.ID] = v
		if made {
			l.cfg.Log.Info("network made", "network", n.ID, "cidr", n.CIDR, "namespace", ns.Path())
		}
	}
	if v.guarded {
		return v, nil
	}
	if err := v.set(networkSettings()...); err != nil {
		return nil, err
	}
	l.stepped()
	if l.cfg.Before != nil {
		if err := l.cfg.Before(n.ID, v.ns); err != nil {
			return nil, fmt.Errorf("before anything is in network %s: %w", n.ID, err)
		}
	}
	v.guarded = true
	return v, nil
}

// ours reports whether a name is that of an interface which we put into the
// namespace of a network. The kernel itself may have put others there (tunnels),
// and so may an operator.
func ours(name string) bool {
	return name == HostInterface || strings.HasPrefix(name, instancePrefix)
}

// look lists what there is.
func (v *vpc) look(cidr netip.Prefix) (*state, error) {
	links, err := v.links()
	if err != nil {
		return nil, err
	}
	s := &state{routed: map[int][]netip.Prefix{}}
	if lo := links["lo"]; lo != nil {
		s.up = lo.Flags&net.FlagUp != 0
	}
	maps.DeleteFunc(links, func(name string, _ *netlink.LinkAttrs) bool { return !ours(name) })
	s.links = links
	if s.local, err = v.addresses(loopback); err != nil {
		return nil, err
	}
	routes, err := v.routes(func(r netlink.Route) bool { return r.Table == unix.RT_TABLE_MAIN })
	if err != nil {
		return nil, err
	}
	for _, r := range routes {
		if r.Type == unix.RTN_BLACKHOLE && prefix(r.Dst) == cidr {
			s.sealed = true
		}
		s.routed[r.LinkIndex] = append(s.routed[r.LinkIndex], prefix(r.Dst))
	}
	return s, nil
}

// connected reports whether a cable to that address has been laid to its end: the
// route is the last that is made.
func (s *state) connected(name string, address netip.Addr) bool {
	link := s.links[name]
	return link != nil && link.RawFlags&unix.IFF_UP != 0 && link.RawFlags&unix.IFF_LOWER_UP != 0 &&
		slices.Equal(s.routed[link.Index], []netip.Prefix{single(address)})
}

// reduce takes away what is not in the network: interfaces, also those that lead to
// another address than they should, then addresses.
func (l *Links) reduce(v *vpc, n Network, s *state) error {
	wanted := map[string]netip.Addr{}
	if n.Host.IsValid() {
		wanted[HostInterface] = n.Host
	}
	for _, i := range n.Instances {
		wanted[InterfaceName(i.ID)] = i.Address
	}
	for name, link := range s.links {
		address, ok := wanted[name]
		elsewhere := func(p netip.Prefix) bool { return p != single(address) }
		if ok && !slices.ContainsFunc(s.routed[link.Index], elsewhere) {
			continue
		}
		if err := v.deleteLink(link); err != nil {
			return err
		}
		delete(s.links, name)
		l.stepped()
		l.cfg.Log.Info("interface taken away", "network", n.ID, "interface", name, "alias", link.Alias)
	}
	for _, p := range s.local {
		if p.IsSingleIP() && slices.Contains(n.Local, p.Addr()) {
			continue
		}
		if err := v.deleteAddress(loopback, p); err != nil {
			return err
		}
		l.stepped()
	}
	return nil
}

// extend adds the addresses that the network lacks, and what lets the rest vanish.
func (l *Links) extend(v *vpc, n Network, s *state) error {
	// The interface comes first: brought up without an address it gets 127.0.0.1.
	if !s.up {
		if err := v.LinkSetUp(byIndex(loopback)); err != nil {
			return fmt.Errorf("bring up lo: %w", err)
		}
		l.stepped()
	}
	if !s.sealed {
		err := v.RouteReplace(&netlink.Route{Dst: ipNet(n.CIDR), Type: unix.RTN_BLACKHOLE})
		if err != nil {
			return fmt.Errorf("blackhole %s: %w", n.CIDR, err)
		}
		l.stepped()
	}
	has := map[netip.Prefix]bool{}
	for _, p := range s.local {
		has[p] = true
	}
	for _, a := range n.Local {
		if has[single(a)] {
			continue
		}
		if err := v.addAddress(loopback, a); err != nil {
			return err
		}
		l.stepped()
	}
	return nil
}

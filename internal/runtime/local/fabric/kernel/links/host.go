package links

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ClashError says that the host cannot be attached to a network, since it reaches
// addresses of that range elsewhere.
type ClashError struct {
	// CIDR is the network's range, Other the one that it overlaps.
	CIDR, Other netip.Prefix
	// Dev is the host's interface that has a route to Other, or an address in it; it
	// can be empty (a route to nowhere). If Network is set, it is one of ours.
	Dev, Network string
}

func (e *ClashError) Error() string {
	switch {
	case e.Network != "":
		return fmt.Sprintf("the host cannot be attached to %s: it is attached to network %s with %s", e.CIDR, e.Network, e.Other)
	case e.Dev != "":
		return fmt.Sprintf("the host cannot be attached to %s: its interface %s leads to %s", e.CIDR, e.Dev, e.Other)
	}
	return fmt.Sprintf("the host cannot be attached to %s: it has a route for %s", e.CIDR, e.Other)
}

// Clash reports whether the host could be attached to a network of that range: the
// error is a ClashError if not. What is attached by this deployment does not count.
func (l *Links) Clash(cidr netip.Prefix) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clash(cidr)
}

func (l *Links) clash(cidr netip.Prefix) error {
	links, err := l.host.links()
	if err != nil {
		return err
	}
	names := map[int]string{}
	for name, link := range links {
		names[link.Index] = name
	}
	clashes := func(index int, p netip.Prefix) bool {
		// Half of all addresses is a default route in two parts, as VPNs set it.
		return p.Bits() > 1 && p.Overlaps(cidr) && !strings.HasPrefix(names[index], l.hostLinks())
	}
	addresses, err := dump(func() ([]netlink.Addr, error) { return l.host.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addresses {
		if p := prefix(a.IPNet).Masked(); clashes(a.LinkIndex, p) {
			return &ClashError{CIDR: cidr, Other: p, Dev: names[a.LinkIndex]}
		}
	}
	routes, err := l.host.routes(func(r netlink.Route) bool { return clashes(r.LinkIndex, prefix(r.Dst)) })
	if err != nil || len(routes) == 0 {
		return err
	}
	return &ClashError{CIDR: cidr, Other: prefix(routes[0].Dst), Dev: names[routes[0].LinkIndex]}
}

// lookAtHost takes away interfaces of ours that no network of the plan wants and
// says which networks the host is attached to, however well.
func (l *Links) lookAtHost(p Plan) (attached map[string]bool, err error) {
	changed, err := l.host.watch.changed()
	if err != nil {
		return nil, err
	}
	if changed || l.hostEnds == nil {
		for _, v := range l.networks {
			v.settled = v.settled && !v.done.Host.IsValid()
		}
		links, err := l.host.links()
		if err != nil {
			return nil, err
		}
		l.hostEnds = map[string]*netlink.LinkAttrs{}
		for name, link := range links {
			if strings.HasPrefix(name, l.hostLinks()) {
				l.hostEnds[name] = link
			}
		}
	}
	attached, wanted := map[string]bool{}, map[string]bool{}
	for _, n := range p.Networks {
		if name := l.hostLink(n.ID); n.Host.IsValid() {
			wanted[name] = true
			attached[n.ID] = l.hostEnds[name] != nil
		}
	}
	var failed []error
	for name, link := range l.hostEnds {
		if wanted[name] {
			continue
		}
		if err := l.host.deleteLink(link); err != nil {
			failed = append(failed, err)
			continue
		}
		delete(l.hostEnds, name)
		l.stepped()
	}
	return attached, errors.Join(failed...)
}

// attachHost connects the host. What a network has of its own is untouched by a
// failure.
func (l *Links) attachHost(v *vpc, n Network, s *state) error {
	if !n.Host.IsValid() {
		return nil
	}
	name := l.hostLink(n.ID)
	ready, err := l.hostReady(name, n)
	if err != nil {
		return err
	}
	if ready && s.connected(HostInterface, n.Host) {
		return nil
	}
	if !ready {
		if err := l.clash(n.CIDR); err != nil {
			return err
		}
	}
	err = l.lay(v, l.host, cable{
		network: n, outer: HostInterface, outerAlias: name, inner: name, innerAlias: l.spaceName(n.ID), address: n.Host,
		// Of the host itself nothing is set.
		settings: []setting{{"net/ipv6/conf/" + name + "/disable_ipv6", "1"}},
	})
	if err != nil {
		return fmt.Errorf("attach the host: %w", err)
	}
	l.cfg.Log.Info("host attached", "network", n.ID, "cidr", n.CIDR, "address", n.Host, "interface", name)
	return nil
}

// hostReady reports whether the host's end is as it should be. Programs that
// manage the host's network may have meddled with it.
func (l *Links) hostReady(name string, n Network) (bool, error) {
	link, err := l.host.link(name)
	if err != nil || link == nil || link.Attrs().Flags&net.FlagUp == 0 {
		return false, err
	}
	index := link.Attrs().Index
	addresses, err := l.host.addresses(index)
	if err != nil || !slices.Equal(addresses, []netip.Prefix{single(n.Host)}) {
		return false, err
	}
	routes, err := l.host.routes(func(r netlink.Route) bool {
		return r.Table == unix.RT_TABLE_MAIN && r.LinkIndex == index
	})
	if err != nil || len(routes) != 1 {
		return false, err
	}
	return sameRoute(routes[0], n.clientRoute(index, n.Host)), nil
}

package network

import (
	"net/netip"
	"slices"
)

// Filter is who may connect to one port of one address, without a word of groups
// and rules: what enforces a policy needs to know no more. Equal filters are
// equal in every field, so that a change without effect is seen to be none.
type Filter struct {
	// Allow are the admitted sources, sorted; no two overlap or could be one.
	Allow []netip.Prefix `json:",omitempty"`
	// Deny are sources in Allow that rules of their own do not let out, likewise.
	Deny []netip.Prefix `json:",omitempty"`
	// Untracked connections must be closed as soon as they are no longer admitted;
	// others may go on.
	Untracked bool `json:",omitempty"`
}

// Admits decides about one source.
func (f Filter) Admits(source netip.Addr) bool {
	return covers(f.Allow, source) && !covers(f.Deny, source)
}

// Ingress is the filter for a port of an address of a VPC: for every source it
// decides as Allows does. Nobody is admitted to an address without an interface.
func (p *Policy) Ingress(vpcID string, destination netip.Addr, protocol Protocol, port int) Filter {
	v := p.vpcs[vpcID]
	if v == nil {
		return Filter{}
	}
	to, ok := v.interfaces[destination]
	if !ok {
		return Filter{}
	}
	var allow []netip.Prefix
	for _, g := range to.groups {
		for _, r := range g.ingress {
			if !r.carries(protocol, port, 0) {
				continue
			}
			if r.Group == "" {
				allow = appendClipped(allow, r.CIDR, v.cidr)
				continue
			}
			if peers := p.groups[r.Group]; peers != nil && peers.vpc == vpcID {
				for _, a := range peers.members {
					allow = append(allow, netip.PrefixFrom(a, a.BitLen()))
				}
			}
		}
	}
	f := Filter{Allow: normalize(allow)}
	f.Deny = denied(v, f.Allow, Flow{Protocol: protocol, Port: port, Destination: destination}, to)
	f.Untracked = len(f.Allow) > 0 && to.untracked(destination, protocol, port)
	return f
}

// denied are the admitted sources whose own rules forbid the flow.
func denied(v *vpc, allow []netip.Prefix, f Flow, to *iface) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range v.bound {
		if covers(allow, a) && len(admitting(v.interfaces[a], true, f, f.Destination, to)) == 0 {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return normalize(out)
}

// appendClipped adds the part of a prefix that lies in another.
func appendClipped(list []netip.Prefix, p, in netip.Prefix) []netip.Prefix {
	switch {
	case !p.IsValid() || !p.Overlaps(in):
		return list
	case p.Bits() < in.Bits():
		return append(list, in)
	}
	return append(list, p)
}

// normalize sorts prefixes, drops those that others cover, and joins the halves
// of larger ones.
func normalize(list []netip.Prefix) []netip.Prefix {
	slices.SortFunc(list, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	out := list[:0]
	for _, p := range list {
		if n := len(out); n > 0 && out[n-1].Overlaps(p) {
			continue // sorted, so the one before is the larger
		}
		out = append(out, p)
		for len(out) > 1 {
			whole, ok := join(out[len(out)-2], out[len(out)-1])
			if !ok {
				break
			}
			out = append(out[:len(out)-2], whole)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// join makes one prefix of its two halves.
func join(a, b netip.Prefix) (netip.Prefix, bool) {
	if a.Bits() != b.Bits() || a.Bits() == 0 {
		return netip.Prefix{}, false
	}
	whole := netip.PrefixFrom(a.Addr(), a.Bits()-1).Masked()
	return whole, whole.Addr() == a.Addr() && whole.Contains(b.Addr())
}

// covers searches sorted prefixes that do not overlap.
func covers(list []netip.Prefix, a netip.Addr) bool {
	n, found := slices.BinarySearchFunc(list, a, func(p netip.Prefix, a netip.Addr) int { return p.Addr().Compare(a) })
	return found || n > 0 && list[n-1].Contains(a)
}

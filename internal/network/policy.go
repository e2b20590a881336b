package network

import (
	"net/netip"
	"slices"
)

// Policy is a compiled World. It never changes, so that any number of goroutines
// may ask it; a changed World is compiled again, which takes milliseconds for
// thousands of groups and interfaces.
type Policy struct {
	vpcs   map[string]*vpc
	groups map[string]*group
}

type vpc struct {
	cidr       netip.Prefix
	interfaces map[netip.Addr]*iface
	// bound are the addresses whose rules do not let out everything.
	bound []netip.Addr
}

type group struct {
	id, vpc         string
	ingress, egress []Rule
	// open4 and open6: egress to anywhere on every protocol and port.
	open4, open6 bool
	// members are the addresses of the interfaces in the group.
	members []netip.Addr
}

type iface struct {
	groups  []*group
	passive bool
}

// Compile indexes a world. An interface in a VPC that does not exist is left out,
// and so are addresses outside the VPC and groups of another one.
func Compile(w World) *Policy {
	p := &Policy{vpcs: make(map[string]*vpc, len(w.VPCs)), groups: make(map[string]*group, len(w.Groups))}
	addresses := map[string]int{}
	for _, i := range w.Interfaces {
		addresses[i.VPC] += len(i.Addresses)
	}
	for _, v := range w.VPCs {
		p.vpcs[v.ID] = &vpc{cidr: v.CIDR.Masked(), interfaces: make(map[netip.Addr]*iface, addresses[v.ID])}
	}
	for _, g := range w.Groups {
		p.groups[g.ID] = newGroup(g)
	}
	interfaces := make([]iface, len(w.Interfaces))
	for n, i := range w.Interfaces {
		v := p.vpcs[i.VPC]
		if v == nil {
			continue
		}
		interfaces[n] = iface{groups: p.groupsOf(i), passive: i.Passive}
		for _, a := range i.Addresses {
			if v.cidr.Contains(a) {
				v.interfaces[a] = &interfaces[n]
			}
		}
	}
	for _, v := range p.vpcs {
		v.index()
	}
	return p
}

func newGroup(g Group) *group {
	out := &group{id: g.ID, vpc: g.VPC, ingress: make([]Rule, 0, len(g.Rules))}
	for _, r := range g.Rules {
		r.CIDR = r.CIDR.Masked()
		if !r.Egress {
			out.ingress = append(out.ingress, r)
			continue
		}
		out.egress = append(out.egress, r)
		if r.Protocol == AnyProtocol && everywhere(r) {
			out.open4 = out.open4 || r.CIDR.Addr().Is4()
			out.open6 = out.open6 || r.CIDR.Addr().Is6()
		}
	}
	return out
}

func (p *Policy) groupsOf(i Interface) []*group {
	out := make([]*group, 0, len(i.Groups))
	for _, id := range i.Groups {
		if g := p.groups[id]; g != nil && g.vpc == i.VPC && !slices.Contains(out, g) {
			out = append(out, g)
		}
	}
	return out
}

// index finds the members of each group and the addresses that rules bind.
func (v *vpc) index() {
	for a, i := range v.interfaces {
		open := i.passive
		for _, g := range i.groups {
			g.members = append(g.members, a)
			open = open || a.Is4() && g.open4 || a.Is6() && g.open6
		}
		if !open {
			v.bound = append(v.bound, a)
		}
	}
}

// everywhere reports whether a rule's other end is 0.0.0.0/0 or ::/0.
func everywhere(r Rule) bool { return r.Group == "" && r.CIDR.IsValid() && r.CIDR.Bits() == 0 }

// Allows decides a flow and says why.
func (p *Policy) Allows(f Flow) (bool, Reason) {
	reason := Reason{Flow: f}
	v := p.vpcs[f.VPC]
	if v == nil || f.SourceVPC != f.VPC || !v.cidr.Contains(f.Source) {
		reason.Gate = GateRoute
		return false, reason
	}
	to, ok := v.interfaces[f.Destination]
	if !ok {
		reason.Gate = GateDestination
		return false, reason
	}
	// An address without an interface is a machine that is in no group: it is not
	// bound by rules of its own, and no reference to a group means it.
	from := v.interfaces[f.Source]
	if from != nil && !from.passive {
		reason.Egress = admitting(from, true, f, f.Destination, to)
		if len(reason.Egress) == 0 {
			reason.Gate, reason.Groups = GateEgress, from.names()
			return false, reason
		}
	}
	reason.Ingress = admitting(to, false, f, f.Source, from)
	if len(reason.Ingress) == 0 {
		reason.Gate, reason.Groups = GateIngress, to.names()
		return false, reason
	}
	reason.Tracked = !to.untracked(f.Destination, f.Protocol, f.Port)
	return true, reason
}

// admitting are the ids of the rules of an interface that let a flow pass whose
// other end is peer.
func admitting(i *iface, egress bool, f Flow, peer netip.Addr, peerInterface *iface) []string {
	var ids []string
	for _, g := range i.groups {
		for _, r := range g.rules(egress) {
			if r.carries(f.Protocol, f.Port, f.Code) && r.means(peer, peerInterface) {
				ids = append(ids, r.ID)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

func (i *iface) names() []string {
	var ids []string
	for _, g := range i.groups {
		ids = append(ids, g.id)
	}
	return ids
}

func (g *group) rules(egress bool) []Rule {
	if egress {
		return g.egress
	}
	return g.ingress
}

// carries reports whether a rule is about a protocol and port.
func (r Rule) carries(protocol Protocol, port, code int) bool {
	if r.Protocol == AnyProtocol {
		return true
	}
	if r.Protocol != protocol {
		return false
	}
	switch protocol {
	case TCP, UDP:
		return r.From <= port && port <= r.To
	case ICMP, ICMPv6:
		return (r.From == -1 || r.From == port) && (r.To == -1 || r.To == code)
	}
	return true
}

// means reports whether an address is the other end of a rule.
func (r Rule) means(peer netip.Addr, i *iface) bool {
	if r.Group == "" {
		return r.CIDR.Contains(peer)
	}
	return i != nil && slices.ContainsFunc(i.groups, func(g *group) bool { return g.id == r.Group })
}

// untracked reports whether flows to a port are not remembered one by one, so
// that they end when the rule that lets them in goes: TCP and UDP are let in from
// everywhere, and the way back is open to everywhere on all ports.
func (i *iface) untracked(address netip.Addr, protocol Protocol, port int) bool {
	if protocol != TCP && protocol != UDP {
		return false
	}
	open := func(egress bool, suits func(Rule) bool) bool {
		return slices.ContainsFunc(i.groups, func(g *group) bool {
			return slices.ContainsFunc(g.rules(egress), func(r Rule) bool {
				return everywhere(r) && r.CIDR.Addr().Is4() == address.Is4() && suits(r)
			})
		})
	}
	in := open(false, func(r Rule) bool { return r.carries(protocol, port, 0) })
	return in && open(true, func(r Rule) bool {
		return r.Protocol == AnyProtocol || r.Protocol == protocol && r.From <= 0 && r.To >= maxPort
	})
}

const maxPort = 65535

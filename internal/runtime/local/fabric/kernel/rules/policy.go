package rules

import (
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/larder-cache/larder/internal/network"
)

// The policy is a few levels of lookups, so that a flow costs the same whatever
// the number of groups and interfaces: an address has a profile, which stands for
// a combination of groups, and the profile's chain tries the chains of its groups
// one after the other. Profiles are named by numbers, because the kernel walks
// all values of a map of chains whenever rules change: there is one for each
// combination, not for each address.
const (
	mapEgress          = "egress"
	mapEgressProfiles  = "egress-profiles"
	mapIngress         = "ingress"
	mapIngressProfiles = "ingress-profiles"
)

// group is a security group of the VPC with what depends on its rules alone.
type compiledGroup struct {
	rules           []network.Rule
	ingress, egress *chain
	// refers are the groups that rules name.
	refers []string
	// open are the rules of the protocols and ports that are open to everyone.
	openIn []network.Rule
	// openOut are the protocols that may leave to everywhere on all ports.
	openOut []network.Protocol
}

// profile is a combination of groups.
type compiledProfile struct {
	groups          []*compiledGroup
	ingress, egress *chain
}

func (c *Compiler) policy(t *Table, w network.World, vpc string, cidr netip.Prefix) {
	c.compileGroups(w, vpc)
	c.membersOf(w, vpc, cidr)
	m := c.members
	t.sets[mapEgress], t.sets[mapIngress] = m.egress, m.ingress
	out := t.verdictMap(mapEgressProfiles, datatype{fieldMark}, len(m.combinations))
	in := t.verdictMap(mapIngressProfiles, datatype{fieldMark}, len(m.combinations))
	profiles := make(map[uint32]*compiledProfile, len(m.combinations))
	for number, combination := range m.combinations {
		p := c.profile(number, combination.ids)
		profiles[number] = p
		t.chains[p.egress.name], t.chains[p.ingress.name] = p.egress, p.ingress
		key := markKey(number)
		out.elements[key], in.elements[key] = p.egress.name, p.ingress.name
	}
	c.profiles = profiles
	for _, g := range c.groups {
		t.chains[g.egress.name], t.chains[g.ingress.name] = g.egress, g.ingress
		for _, other := range g.refers {
			members := m.of(other)
			t.sets[members.name] = members
		}
	}
}

// compileGroups takes over the groups whose rules have not changed.
func (c *Compiler) compileGroups(w network.World, vpc string) {
	before := c.groups
	c.groups = map[string]*compiledGroup{}
	ids := map[string]bool{}
	for _, g := range w.Groups {
		if g.VPC == vpc {
			ids[g.ID] = true
		}
	}
	for _, g := range w.Groups {
		if g.VPC != vpc {
			continue
		}
		if old := before[g.ID]; old != nil && slices.Equal(old.rules, g.Rules) && !slices.ContainsFunc(old.rules, func(r network.Rule) bool {
			return r.Group != "" && ids[r.Group] != slices.Contains(old.refers, r.Group)
		}) {
			c.groups[g.ID] = old
			continue
		}
		c.groups[g.ID] = newGroup(g, ids)
	}
}

// newGroup compiles the rules of a group. Rules about groups that the VPC does
// not have admit nobody, and neither do ranges of IPv6 addresses.
func newGroup(g network.Group, ids map[string]bool) *compiledGroup {
	out := &compiledGroup{rules: slices.Clone(g.Rules), egress: newChain(chainName("out-", g.ID)), ingress: newChain(chainName("in-", g.ID))}
	for _, r := range g.Rules {
		if r.Group != "" && !ids[r.Group] || r.Group == "" && !r.CIDR.Addr().Is4() {
			continue
		}
		if r.Group != "" && !slices.Contains(out.refers, r.Group) {
			out.refers = append(out.refers, r.Group)
		}
		everywhere := r.Group == "" && r.CIDR.Bits() == 0
		peer := uint32(offsetSource)
		if r.Egress {
			peer = offsetDestination
		}
		b, ok := when().carries(r)
		if !ok {
			continue
		}
		if r.Group != "" {
			b = b.addressIn(peer, chainName("members-", r.Group))
		} else {
			b = b.address(peer, r.CIDR)
		}
		if r.Egress {
			out.egress.rules = append(out.egress.rules, b.accept())
			if everywhere {
				out.openOut = append(out.openOut, openProtocols(r)...)
			}
			continue
		}
		out.ingress.rules = append(out.ingress.rules, b.goTo(chainEgress))
		if everywhere {
			out.openIn = append(out.openIn, r)
		}
	}
	return out
}

// carries asks for the protocol and ports of a rule; ok is false if it has none.
func (b *ruleBuilder) carries(r network.Rule) (_ *ruleBuilder, ok bool) {
	if r.Protocol == network.AnyProtocol {
		return b, true
	}
	if r.Protocol < 0 || r.Protocol > 255 {
		return nil, false
	}
	b = b.protocol(uint8(r.Protocol))
	switch r.Protocol {
	case network.TCP, network.UDP:
		first, last := max(r.From, 0), min(r.To, maxPort)
		if first > last {
			return nil, false
		}
		b = b.dialled(uint16(first), uint16(last))
	case network.ICMP, network.ICMPv6:
		for offset, field := range []struct {
			name  string
			value int
		}{{"type", r.From}, {"code", r.To}} {
			if field.value < -1 || field.value > 255 {
				return nil, false
			}
			if field.value >= 0 {
				b = b.icmp(field.name, uint32(offset), uint8(field.value))
			}
		}
	}
	return b, true
}

const maxPort = 65535

// openProtocols are the protocols of which a rule carries every port.
func openProtocols(r network.Rule) []network.Protocol {
	switch {
	case r.Protocol == network.AnyProtocol:
		return []network.Protocol{network.TCP, network.UDP}
	case (r.Protocol == network.TCP || r.Protocol == network.UDP) && r.From <= 0 && r.To >= maxPort:
		return []network.Protocol{r.Protocol}
	}
	return nil
}

// profile takes over one whose groups are the same, or makes it.
func (c *Compiler) profile(number uint32, ids []string) *compiledProfile {
	groups := make([]*compiledGroup, len(ids))
	for n, id := range ids {
		groups[n] = c.groups[id]
	}
	if old := c.profiles[number]; old != nil && slices.Equal(old.groups, groups) {
		return old
	}
	name := "-profile-" + strconv.FormatUint(uint64(number), 16)
	p := &compiledProfile{groups: groups, egress: newChain("out" + name), ingress: newChain("in" + name)}
	p.ingress.rules = untracked(groups)
	for _, g := range groups {
		p.egress.rules = append(p.egress.rules, when().jump(g.egress.name))
		p.ingress.rules = append(p.ingress.rules, when().jump(g.ingress.name))
	}
	p.egress.rules = append(p.egress.rules, when().drop())
	p.ingress.rules = append(p.ingress.rules, when().drop())
	return p
}

// untracked are the rules that accept the flows which are open to everyone and
// may be answered to everyone, whichever groups say so, and mark them.
func untracked(groups []*compiledGroup) []rule {
	var openIn []network.Rule
	var openOut []network.Protocol
	for _, g := range groups {
		openIn = append(openIn, g.openIn...)
		openOut = append(openOut, g.openOut...)
	}
	var out []rule
	for _, r := range openIn {
		for _, p := range []network.Protocol{network.TCP, network.UDP} {
			if !slices.Contains(openOut, p) || r.Protocol != network.AnyProtocol && r.Protocol != p {
				continue
			}
			narrow := r
			narrow.Protocol = p
			if r.Protocol == network.AnyProtocol {
				narrow.From, narrow.To = 0, maxPort
			}
			if b, ok := when().carries(narrow); ok {
				out = append(out, b.setUntracked().goTo(chainEgress))
			}
		}
	}
	return out
}

// chainName is a name that nft can read. Ids of groups are such names; others get
// a hash in place of what nft cannot read.
func chainName(prefix, id string) string {
	readable := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}
	name := strings.Map(readable, id)
	if name == id && len(id) <= 64 {
		return prefix + id
	}
	h := fnv.New64a()
	h.Write([]byte(id))
	return prefix + name[:min(len(name), 64)] + "." + strconv.FormatUint(h.Sum64(), 16)
}

func portName(a netip.AddrPort) string { return strconv.Itoa(int(a.Port())) }

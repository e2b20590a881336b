package rules

import (
	"maps"
	"net/netip"

	"github.com/larder-cache/larder/internal/network"
	"golang.org/x/sys/unix"
)

// Compiler compiles the tables of one VPC, one after the other, and shares what
// is equal with the one before: an edited rule costs the compilation of one chain.
// The zero value is ready. It is for one goroutine at a time, and keeps parts of
// the worlds given to it: their interfaces must not be changed in place.
type Compiler struct {
	groups   map[string]*compiledGroup
	profiles map[uint32]*compiledProfile
	last     *Table
	members  *membership
	ways     *ways
	// links are those of last, in a VPC of the range cidr.
	links map[string]netip.Addr
	cidr  netip.Prefix
}

// Names of the fixed sets and chains.
const (
	setSources   = "sources"
	setGuests    = "guests"
	setLocal     = "local"
	setVacant    = "vacant"
	setDatagrams = "datagrams"
	mapDirect    = "direct"
	mapLed       = "led"
	mapSpread    = "spread"
	mapAddresses = "addresses"
	mapPorts     = "ports"

	chainLegal   = "legal"
	chainLocal   = "local"
	chainLead    = "lead"
	chainJudge   = "judge"
	chainIngress = "ingress"
	chainEgress  = "egress"
)

// Compile makes the table of a VPC. A VPC that the world does not have gets a
// table that nothing passes.
func (c *Compiler) Compile(w network.World, vpc string, in Inputs) *Table {
	t := &Table{}
	if c.last == nil {
		t.chains, t.sets = map[string]*chain{}, map[string]*set{}
	} else { // as large as it will be, most likely
		t.chains, t.sets = make(map[string]*chain, len(c.last.chains)), make(map[string]*set, len(c.last.sets))
	}
	cidr := rangeOf(w, vpc)
	baseChains(t, in)
	c.linksOf(t, cidr, in.Links)
	services(t, c.last, in)
	c.waysOf(in).lead(t, in)
	c.policy(t, w, vpc, cidr)
	t.share(c.last)
	c.last = t
	return t
}

func rangeOf(w network.World, vpc string) netip.Prefix {
	for _, v := range w.VPCs {
		if v.ID == vpc {
			return v.CIDR.Masked()
		}
	}
	return netip.Prefix{}
}

// baseChains are the places where packets enter, and what leads from there to the
// rules of groups. Each rule on the way of a segment of a known connection costs a
// request something, and each hook more, so that such a segment meets one hook with
// one rule when it comes and one when it goes.
func baseChains(t *Table, in Inputs) {
	enter := func(name string, hook uint32, priority int32) *chain {
		c := t.chain(name)
		c.base = &base{hook: hook, priority: priority}
		return c
	}
	// Who is connected is known to the kernel's sockets, which answer a stray segment
	// with a reset. That a segment comes from where its source is, is routing's
	// business: each link has one route (rp_filter). All else is judged here.
	enter("arrive", unix.NF_INET_PRE_ROUTING, priorityRaw).rules = []rule{
		when().protocol(unix.IPPROTO_TCP).answers().addressIn(offsetDestination, setLocal).untracked(),
		when().from("lo").untracked(),
		when().linkIn(setSources).goTo(chainLegal),
	}
	t.chain(chainLegal).rules = []rule{
		when().addressIn(offsetDestination, setLocal).notTracked().goTo(chainLocal),
		when().addressIn(offsetDestination, setGuests).accept(), // up to forward
		when().drop(),
	}
	t.chain(chainLocal).rules = local(in)
	// An endpoint leads to a listener of a node, or of a relay. If that is not there,
	// the client is refused as if it had dialled it.
	t.chain(chainLead).rules = []rule{when().protocol(unix.IPPROTO_TCP).lead(mapAddresses, mapPorts).goTo(chainJudge), when().reset()}
	// What the destination's rules let in is judged by the source's.
	t.chain(chainJudge).rules = []rule{when().profileOfTarget(mapAddresses, mapIngress, mapIngressProfiles), when().drop()}
	t.chain(chainIngress).rules = []rule{when().profile(offsetDestination, mapIngress, mapIngressProfiles), when().drop()}
	t.chain(chainEgress).rules = []rule{
		when().profile(offsetSource, mapEgress, mapEgressProfiles),
		when().accept(), // no rule binds this source
	}

	enter("forward", unix.NF_INET_FORWARD, 0).rules = []rule{
		when().state(stateEstablished|stateRelated, "established,related").accept(),
		when().state(stateInvalid, "invalid").drop(),
		when().goTo(chainIngress),
	}
	enter("output", unix.NF_INET_LOCAL_OUT, priorityRaw).rules = output(in)

	for _, hook := range []struct {
		name string
		at   uint32
	}{{"input6", unix.NF_INET_LOCAL_IN}, {"forward6", unix.NF_INET_FORWARD}, {"output6", unix.NF_INET_LOCAL_OUT}} {
		enter(hook.name, hook.at, 0).family = unix.NFPROTO_IPV6
	}
}

// local is about what is sent to the namespace itself and belongs to no connection
// yet. Nobody's rules decide about the resolver, nor about endpoints that lead nowhere.
func local(in Inputs) []rule {
	rules := []rule{when().protocol(unix.IPPROTO_TCP).destinationIn(setVacant).reset()}
	if in.Resolver.IsValid() {
		for _, p := range []uint8{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
			rules = append(rules, when().address(offsetDestination, single(in.Resolver)).protocol(p).port(portDNS).accept())
		}
	}
	return append(rules,
		when().protocol(unix.IPPROTO_TCP).markBy(mapDirect).goTo(chainJudge),
		when().protocol(unix.IPPROTO_TCP).markBy(mapLed).goTo(chainLead),
		when().protocol(unix.IPPROTO_TCP).dispatchDestination(mapSpread),
		when().protocol(unix.IPPROTO_ICMP).goTo(chainIngress),
		when().protocol(unix.IPPROTO_UDP).destinationIn(setDatagrams).goTo(chainIngress),
		when().drop(),
	)
}

// output lets what is in the namespace answer, and begin nothing but what stays
// inside, as replication does. None of it is anybody's flow, so that the kernel does
// not keep account of it.
func output(in Inputs) []rule {
	rules := []rule{
		when().protocol(unix.IPPROTO_TCP).answers().untracked(),
		when().outOf("lo").untracked(),
		when().protocol(unix.IPPROTO_UDP).sourceIn(setDatagrams).untracked(),
		when().protocol(unix.IPPROTO_ICMP).noRequest().untracked(),
	}
	if in.Resolver.IsValid() {
		rules = append(rules, when().address(offsetSource, single(in.Resolver)).protocol(unix.IPPROTO_UDP).sourcePort(portDNS).untracked())
	}
	return rules
}

// priorityRaw is before connections are known, which they are from -200 on.
const priorityRaw = -300

const portDNS = 53

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// linksOf are the legal sources of each interface, unless they are as before.
func (c *Compiler) linksOf(t *Table, cidr netip.Prefix, list map[string]netip.Addr) {
	if c.last != nil && c.cidr == cidr && maps.Equal(c.links, list) {
		t.sets[setSources], t.sets[setGuests] = c.last.sets[setSources], c.last.sets[setGuests]
		return
	}
	c.links, c.cidr = maps.Clone(list), cidr
	links(t, c.last, cidr, list)
}

// links puts them into a table. Addresses outside the VPC are nobody's.
func links(t, before *Table, cidr netip.Prefix, list map[string]netip.Addr) {
	legal := func(a netip.Addr) bool { return a.Is4() && cidr.IsValid() && cidr.Contains(a) }
	t.plainSet(before, setSources, datatype{fieldIfname, fieldAddr}, func(yield func(string) bool) {
		for name, a := range list {
			if legal(a) && !yield(linkKey(name, a)) {
				return
			}
		}
	})
	t.plainSet(before, setGuests, datatype{fieldAddr}, func(yield func(string) bool) {
		for _, a := range list {
			if legal(a) && !yield(addrKey(a)) {
				return
			}
		}
	})
}

// services are the addresses of the namespace, and what there is at them beside
// connections that lead somewhere.
func services(t, before *Table, in Inputs) {
	t.plainSet(before, setLocal, datatype{fieldAddr}, func(yield func(string) bool) {
		for _, n := range in.Nodes {
			if !yield(addrKey(n.At.Addr())) {
				return
			}
		}
		for _, e := range in.Endpoints {
			if !yield(addrKey(e.At.Addr())) {
				return
			}
		}
		if in.Resolver.IsValid() {
			yield(addrKey(in.Resolver))
		}
	})
	t.plainSet(before, setDatagrams, datatype{fieldAddr, fieldPort}, func(yield func(string) bool) {
		for _, n := range in.Nodes {
			if n.Protocol == network.UDP && !yield(portKey(n.At)) {
				return
			}
		}
	})
	t.plainSet(before, setVacant, datatype{fieldAddr, fieldPort}, func(yield func(string) bool) {
		for _, e := range in.Endpoints {
			if len(e.Targets) == 0 && !yield(portKey(e.At)) {
				return
			}
		}
	})
}

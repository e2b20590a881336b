package rules

import (
	"net/netip"
	"slices"

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
}

// Names of the fixed sets and chains.
const (
	setSources   = "sources"
	setReachable = "reachable"
	setVacant    = "vacant"
	mapTranslate = "translate"
	mapSpread    = "spread"

	chainIngress = "ingress"
	chainEgress  = "egress"
)

// Compile makes the table of a VPC. A VPC that the world does not have gets a
// table that nothing passes.
func (c *Compiler) Compile(w network.World, vpc string, in Inputs) *Table {
	t := &Table{chains: map[string]*chain{}, sets: map[string]*set{}}
	cidr := rangeOf(w, vpc)
	baseChains(t, in)
	links(t, c.last, cidr, in.Links)
	services(t, c.last, in)
	translations(t, in)
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

// baseChains are the places where packets enter.
func baseChains(t *Table, in Inputs) {
	enter := func(name, kind string, hook uint32, priority int32, drop bool) *chain {
		c := t.chain(name)
		c.base = &base{kind: kind, hook: hook, priority: priority, drop: drop}
		return c
	}
	known := func() rule { return when().state(stateEstablished|stateRelated, "established,related").accept() }
	loopback := func() rule { return when().from("lo").accept() }

	sources := enter("sources", "filter", unix.NF_INET_PRE_ROUTING, priorityRaw, true)
	sources.rules = []rule{when().from("lo").untracked(), when().linkIn(setSources).accept()}

	translate := enter("translate", "nat", unix.NF_INET_PRE_ROUTING, priorityTranslate, false)
	translate.rules = []rule{
		when().protocol(unix.IPPROTO_TCP).translateBy(mapTranslate),
		when().protocol(unix.IPPROTO_TCP).dispatchDestination(mapSpread),
	}

	// Nobody's rules decide about the resolver, nor about endpoints that lead
	// nowhere.
	vacant := func() *ruleBuilder { return when().protocol(unix.IPPROTO_TCP).destinationIn(setVacant) }
	var resolver []rule
	if in.Resolver.IsValid() {
		for _, p := range []uint8{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
			resolver = append(resolver, when().address(offsetDestination, single(in.Resolver)).protocol(p).port(portDNS).accept())
		}
	}

	// Packets of known flows are through with the first rule of one hook, since each
	// hook on their way costs a request some percent of its time.
	invalid := when().state(stateInvalid, "invalid").drop()
	input := enter("input", "filter", unix.NF_INET_LOCAL_IN, 0, true)
	input.rules = slices.Concat([]rule{known(), invalid, loopback(), vacant().reset()}, resolver, []rule{
		when().protocol(unix.IPPROTO_ICMP).goTo(chainIngress),
		when().reachable(setReachable).goTo(chainIngress),
	})
	forward := enter("forward", "filter", unix.NF_INET_FORWARD, 0, true)
	forward.rules = []rule{known(), invalid, when().goTo(chainIngress)}
	// What the destination's rules let in is judged by the source's.
	t.chain(chainIngress).rules = []rule{when().profile(offsetDestination, mapIngress, mapIngressProfiles), when().drop()}
	t.chain(chainEgress).rules = []rule{
		when().profile(offsetSource, mapEgress, mapEgressProfiles),
		when().accept(), // no rule binds this source
	}

	output(enter("output", "filter", unix.NF_INET_LOCAL_OUT, priorityRaw, true), in)

	for _, hook := range []struct {
		name string
		at   uint32
	}{{"input6", unix.NF_INET_LOCAL_IN}, {"forward6", unix.NF_INET_FORWARD}, {"output6", unix.NF_INET_LOCAL_OUT}} {
		enter(hook.name, "filter", hook.at, 0, true).family = unix.NFPROTO_IPV6
	}
}

// output lets what is in the namespace answer, and begin nothing. It is judged packet
// by packet in one early hook, which has to be there anyhow: what stays inside, as
// replication does, is nobody's flow, so that the kernel neither keeps account of it
// nor has it cut.
func output(c *chain, in Inputs) {
	c.rules = []rule{
		when().outOf("lo").untracked(),
		when().protocol(unix.IPPROTO_TCP).answers().accept(),
		when().serves(setReachable).accept(),
		when().protocol(unix.IPPROTO_ICMP).noRequest().accept(),
	}
	if in.Resolver.IsValid() {
		c.rules = append(c.rules, when().address(offsetSource, single(in.Resolver)).protocol(unix.IPPROTO_UDP).sourcePort(portDNS).accept())
	}
}

// When base chains run. Connections are known from -200 on, so that a source that
// is not legal leaves no trace there.
const (
	priorityRaw       = -300
	priorityTranslate = -100
)

const portDNS = 53

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// links are the legal sources of each interface. Addresses outside the VPC are
// nobody's.
func links(t, before *Table, cidr netip.Prefix, list map[string]netip.Addr) {
	keys := func(yield func(string) bool) {
		for name, a := range list {
			if a.Is4() && cidr.IsValid() && cidr.Contains(a) && !yield(linkKey(name, a)) {
				return
			}
		}
	}
	t.plainSet(before, setSources, datatype{fieldIfname, fieldAddr}, keys)
}

// services are what may be dialled.
func services(t, before *Table, in Inputs) {
	t.plainSet(before, setReachable, datatype{fieldProto, fieldAddr, fieldPort}, func(yield func(string) bool) {
		for _, n := range in.Nodes {
			if !yield(serviceKey(uint8(n.Protocol), n.At)) {
				return
			}
		}
		for _, e := range in.Endpoints {
			if !yield(serviceKey(unix.IPPROTO_TCP, e.At)) {
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

// translations are what becomes of flows to endpoints and to nodes behind relays.
// An endpoint of a node behind a relay leads to the relay at once, since a flow is
// translated only once.
func translations(t *Table, in Inputs) {
	place := datatype{fieldAddr, fieldPort}
	one := t.set(mapTranslate, place, place, len(in.Endpoints)+len(in.Inserted))
	many := t.verdictMap(mapSpread, place)
	relays := make(map[netip.AddrPort]netip.AddrPort, len(in.Inserted))
	for _, i := range in.Inserted {
		relays[i.Node] = i.Relay
		one.elements[portKey(i.Node)] = portKey(i.Relay)
	}
	behind := func(target netip.AddrPort) netip.AddrPort {
		if relay, ok := relays[target]; ok {
			return relay
		}
		return target
	}
	for _, e := range in.Endpoints {
		switch len(e.Targets) {
		case 0:
		case 1:
			one.elements[portKey(e.At)] = portKey(behind(e.Targets[0]))
		default:
			name := "spread-" + e.At.Addr().String() + "-" + portName(e.At)
			targets := t.set(name, datatype{fieldMark}, place, len(e.Targets))
			sorted := slices.Clone(e.Targets)
			slices.SortFunc(sorted, netip.AddrPort.Compare)
			for n, target := range sorted {
				targets.elements[markKey(uint32(n))] = portKey(behind(target))
			}
			t.chain(name).rules = []rule{when().translateInTurn(len(sorted), name)}
			many.elements[portKey(e.At)] = name
		}
	}
}

package rules

import (
	"net/netip"
	"testing"

	"github.com/larder-cache/larder/internal/network"
)

// The instances of the matrix.
const (
	loose    = 0 // in no group
	app      = 1 // sg-app, as is appTwo
	appTwo   = 2
	shut     = 3 // sg-shut, whose rules let only port 443 out
	member   = 4 // sg-default, as is node 1
	stranger = 5 // has the address of an interface of another VPC, whose group is wide open
)

// matrix is a world in which the cases differ by the rules of node 0's group, and
// of the group of the second application server.
func matrix(rules, appRules []network.Rule) (network.World, Inputs) {
	eni := func(id string, at netip.Addr, groups ...string) network.Interface {
		return network.Interface{ID: id, VPC: "vpc", Addresses: []netip.Addr{at}, Groups: groups}
	}
	node0, node1 := eni("node-0", nodeAddress(0), "sg-node"), eni("node-1", nodeAddress(1), "sg-default")
	node0.Passive, node1.Passive = true, true
	elsewhere := eni("else", instanceAddress(stranger), "sg-else")
	elsewhereNode := eni("else-node", nodeAddress(0), "sg-else")
	elsewhere.VPC, elsewhereNode.VPC = "else", "else"
	all := in(network.AnyProtocol, 0, 0, "0.0.0.0/0")
	w := network.World{
		VPCs: []network.VPC{{ID: "vpc", CIDR: drawnRange}, {ID: "else", CIDR: drawnRange}},
		Groups: []network.Group{
			{ID: "sg-node", VPC: "vpc", Rules: rules},
			{ID: "sg-app", VPC: "vpc", Rules: append([]network.Rule{allOut()}, appRules...)},
			{ID: "sg-shut", VPC: "vpc", Rules: []network.Rule{rule4(true, network.TCP, 443, 443, "0.0.0.0/0")}},
			{ID: "sg-default", VPC: "vpc", Rules: []network.Rule{allOut(), in(network.AnyProtocol, 0, 0, "sg-default")}},
			{ID: "sg-else", VPC: "else", Rules: []network.Rule{allOut(), all}},
		},
		Interfaces: []network.Interface{
			node0, node1, eni("app", instanceAddress(app), "sg-app"), eni("app-2", instanceAddress(appTwo), "sg-app"),
			eni("shut", instanceAddress(shut), "sg-shut"), eni("member", instanceAddress(member), "sg-default"),
			elsewhere, elsewhereNode,
		},
	}
	inputs := Inputs{
		Links: map[string]netip.Addr{"i-0": instanceAddress(0), "i-1": instanceAddress(1), "i-2": instanceAddress(2), "i-3": instanceAddress(3), "i-4": instanceAddress(4), "i-5": instanceAddress(5)},
		Endpoints: []Endpoint{
			{At: netip.AddrPortFrom(endpointAddress(0), 1000), Targets: []netip.AddrPort{at(nodeAddress(0), 1003)}},
			{At: netip.AddrPortFrom(endpointAddress(1), 1003)},
		},
		Resolver: addr("10.1.0.2"),
	}
	for port := uint16(1000); port <= 1004; port++ {
		inputs.Nodes = append(inputs.Nodes, Service{network.TCP, at(nodeAddress(0), port)}, Service{network.UDP, at(nodeAddress(0), port)}, Service{network.TCP, at(nodeAddress(1), port)})
	}
	return w, inputs
}

func at(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

// what a case of the matrix dials, and what must become of it.
type want struct {
	from     int
	protocol network.Protocol
	to       netip.AddrPort
	says     string // "in", "" for silence, or "reset"
}

type matrixCase struct {
	name       string
	rules, app []network.Rule
	relay      bool // in front of port 1003 of node 0
	wants      []want
}

// matrixCases are about node 0, written as on, or the second application server.
func matrixCases() []matrixCase {
	const tcp, udp, icmp = network.TCP, network.UDP, network.ICMP
	node := func(port uint16) netip.AddrPort { return at(nodeAddress(0), port) }
	other := func(port uint16) netip.AddrPort { return at(instanceAddress(appTwo), port) }
	rules := func(r ...network.Rule) []network.Rule { return r }
	everything := rules(allOut(), in(network.AnyProtocol, 0, 0, "0.0.0.0/0"))
	return []matrixCase{
		{name: "no rule", wants: []want{{app, tcp, node(1003), ""}, {loose, tcp, node(1003), ""}, {app, udp, node(1003), ""}, {app, icmp, node(8), ""}}},
		{name: "range of ports", rules: rules(in(tcp, 1001, 1003, "0.0.0.0/0")), wants: []want{
			{app, tcp, node(1000), ""}, {app, tcp, node(1001), "in"}, {app, tcp, node(1003), "in"}, {app, tcp, node(1004), ""}, {app, udp, node(1001), ""}}},
		{name: "udp", rules: rules(in(udp, 1003, 1003, "0.0.0.0/0")), wants: []want{{app, udp, node(1003), "in"}, {app, tcp, node(1003), ""}}},
		{name: "any protocol", rules: everything, wants: []want{{app, tcp, node(1000), "in"}, {app, udp, node(1000), "in"}, {app, icmp, node(8), "in"}, {loose, tcp, node(1000), "in"}}},
		{name: "type of icmp", rules: rules(in(icmp, 8, -1, "0.0.0.0/0")), wants: []want{{app, icmp, node(8), "in"}, {app, icmp, node(13), ""}}},
		{name: "code of icmp", rules: rules(in(icmp, 8, 1, "0.0.0.0/0")), wants: []want{{app, icmp, node(8), ""}}},
		{name: "one address", rules: rules(in(tcp, 1003, 1003, "10.1.0.33/32")), wants: []want{{app, tcp, node(1003), "in"}, {appTwo, tcp, node(1003), ""}}},
		{name: "IPv6 range", rules: rules(in(tcp, 1003, 1003, "::/0")), wants: []want{{app, tcp, node(1003), ""}, {loose, tcp, node(1003), ""}}},
		{name: "group", rules: rules(in(tcp, 1003, 1003, "sg-app")), wants: []want{{app, tcp, node(1003), "in"}, {appTwo, tcp, node(1003), "in"}, {loose, tcp, node(1003), ""}, {member, tcp, node(1003), ""}}},
		{name: "group of another VPC", rules: rules(in(tcp, 1003, 1003, "sg-else")), wants: []want{{stranger, tcp, node(1003), ""}}},
		{name: "equal addresses in another VPC", wants: []want{{stranger, tcp, node(1003), ""}}},
		{name: "not let out", rules: everything, wants: []want{{shut, tcp, node(1003), ""}, {shut, udp, node(1003), ""}, {shut, icmp, node(8), ""}}},
		{name: "the default group", wants: []want{
			{member, tcp, at(nodeAddress(1), 1003), "in"}, {app, tcp, at(nodeAddress(1), 1003), ""}, {loose, tcp, at(nodeAddress(1), 1003), ""}}},
		{name: "instance to instance", app: rules(in(tcp, 1000, 1001, "10.1.0.32/31")), wants: []want{
			{app, tcp, other(1001), "in"}, {loose, tcp, other(1000), "in"}, {app, tcp, other(1002), ""}, {member, tcp, other(1001), ""}, {app, udp, other(1001), ""}}},
		{name: "a group's own members", app: rules(in(network.AnyProtocol, 0, 0, "sg-app")), wants: []want{
			{app, tcp, other(1001), "in"}, {app, udp, other(999), "in"}, {app, icmp, other(8), "in"}, {app, protocolESP, other(0), "in"}, {loose, tcp, other(1001), ""}, {member, tcp, other(1001), ""}}},
		{name: "another protocol", app: rules(in(protocolESP, 0, 0, "0.0.0.0/0")), wants: []want{{app, protocolESP, other(0), "in"}, {app, tcp, other(1001), ""}}},
		{name: "to nobody's address", wants: []want{{app, tcp, at(instanceAddress(loose), 1001), ""}}},
		{name: "hidden ports", rules: everything, relay: true, wants: []want{
			{app, tcp, node(portRelay), ""}, {app, tcp, node(portHidden), ""}, {app, tcp, node(1005), ""}, {app, udp, node(1005), ""}, {app, protocolESP, node(0), ""}}},
		{name: "relay by the dialled port", rules: rules(in(tcp, 1003, 1003, "sg-app")), relay: true, wants: []want{{app, tcp, node(1003), "in"}, {loose, tcp, node(1003), ""}}},
		{name: "relay's own port counts for nothing", rules: rules(in(tcp, portRelay, portRelay, "sg-app")), relay: true, wants: []want{{app, tcp, node(1003), ""}}},
		{name: "endpoint by the dialled port", rules: rules(in(tcp, 1000, 1000, "sg-app")), wants: []want{
			{app, tcp, at(endpointAddress(0), 1000), "in"}, {app, tcp, node(1003), ""}, {loose, tcp, at(endpointAddress(0), 1000), ""}}},
		{name: "endpoint not by the node's port", rules: rules(in(tcp, 1003, 1003, "sg-app")), wants: []want{{app, tcp, at(endpointAddress(0), 1000), ""}, {app, tcp, node(1003), "in"}}},
		{name: "other ports of endpoints", rules: everything, wants: []want{{app, tcp, at(endpointAddress(0), 1003), ""}, {app, udp, at(endpointAddress(0), 1000), ""}, {app, icmp, at(endpointAddress(0), 8), ""}}},
		{name: "endpoint of nobody", wants: []want{
			{app, tcp, at(endpointAddress(1), 1003), "reset"}, {shut, tcp, at(endpointAddress(1), 1003), "reset"}, {app, tcp, at(endpointAddress(1), 1004), ""}}},
		{name: "resolver", wants: []want{
			{shut, udp, at(addr("10.1.0.2"), 53), "in"}, {loose, tcp, at(addr("10.1.0.2"), 53), "in"}, {app, udp, at(addr("10.1.0.2"), 1000), ""}, {app, icmp, at(addr("10.1.0.2"), 8), ""}}},
	}
}

func TestMatrix(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "matrix")
	var compiler Compiler
	for _, c := range matrixCases() {
		w, in := matrix(c.rules, c.app)
		behind := at(nodeAddress(0), 1003)
		if c.relay {
			relay := at(nodeAddress(0), portRelay)
			in.Inserted = []Insertion{{Node: behind, Relay: relay}}
			behind = relay
		}
		apply(t, l.conn, compiler.Compile(w, "vpc", in))
		var dials []dial
		for _, want := range c.wants {
			dials = append(dials, dial{from: want.from, protocol: want.protocol, to: want.to})
		}
		for n, o := range l.probe(dials) {
			got := ""
			switch {
			case o.arrived:
				got = "in"
			case o.reset:
				got = "reset"
			}
			want := c.wants[n]
			if got != want.says {
				t.Errorf("%s: %v: %q, want %q", c.name, dials[n], got, want.says)
			}
			if want.to == at(nodeAddress(0), 1003) && o.arrived && want.protocol == network.TCP && o.at != behind {
				t.Errorf("%s: %v arrived at %s, not at %s", c.name, dials[n], o.at, behind)
			}
		}
	}
}

// An instance that takes another's address for its own is not heard at all, not
// even where nobody's rules decide.
func TestSpoofedSource(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "spoof")
	w, in := matrix([]network.Rule{in(network.AnyProtocol, 0, 0, "0.0.0.0/0")}, nil)
	apply(t, l.conn, Compile(w, "vpc", in))
	var dials []dial
	for _, source := range []netip.Addr{instanceAddress(app), nodeAddress(0), addr("10.1.0.2"), addr("192.0.2.1"), instanceAddress(loose)} {
		for _, to := range []netip.AddrPort{at(nodeAddress(0), 1003), at(in.Resolver, 53), at(endpointAddress(1), 1003)} {
			for _, protocol := range []network.Protocol{network.TCP, network.UDP} {
				dials = append(dials, dial{from: loose, protocol: protocol, to: to, spoof: source})
			}
		}
	}
	for n, o := range l.probe(dials) {
		d := dials[n]
		legal := d.spoof == instanceAddress(loose)
		heard := legal && (d.to.Addr() != endpointAddress(1) || d.protocol == network.TCP)
		if got := o.arrived || o.reset; got != heard {
			t.Errorf("%v from %s: heard is %v, want %v", d, d.spoof, got, heard)
		}
	}
}

func TestReaderSpreads(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "reader")
	w, in := matrix([]network.Rule{in(network.AnyProtocol, 0, 0, "0.0.0.0/0")}, nil)
	w.Interfaces[1].Groups = []string{"sg-node"}
	reader := at(endpointAddress(2), 1000)
	targets := []netip.AddrPort{at(nodeAddress(0), 1001), at(nodeAddress(0), 1003), at(nodeAddress(1), 1002)}
	in.Endpoints = []Endpoint{{At: reader, Targets: targets}}
	relay := at(nodeAddress(0), portRelay)
	in.Inserted = []Insertion{{Node: targets[1], Relay: relay}}
	apply(t, l.conn, Compile(w, "vpc", in))
	var dials []dial
	for range 60 {
		dials = append(dials, dial{from: app, protocol: network.TCP, to: reader})
	}
	got := map[netip.AddrPort]int{}
	for _, o := range l.probe(dials) {
		if !o.arrived {
			t.Fatal("a dial did not arrive")
		}
		got[o.at]++
	}
	for _, target := range []netip.AddrPort{targets[0], relay, targets[2]} {
		if got[target] != 20 {
			t.Errorf("%d of 60 went to %s", got[target], target)
		}
	}
}

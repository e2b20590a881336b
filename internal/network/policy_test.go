package network

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

var (
	addr   = netip.MustParseAddr
	prefix = netip.MustParsePrefix
)

const redis = 6379

// rule reads "in|out protocol from-to peer" with the rule's own text as its id.
func tcpFrom(id, peer string) Rule { return rule(id, false, TCP, redis, redis, peer) }

func rule(id string, egress bool, protocol Protocol, from, to int, peer string) Rule {
	r := Rule{ID: id, Egress: egress, Protocol: protocol, From: from, To: to}
	if strings.HasPrefix(peer, "sg-") {
		r.Group = peer
	} else {
		r.CIDR = prefix(peer)
	}
	return r
}

func allOut(id string) Rule { return rule(id, true, AnyProtocol, 0, 0, "0.0.0.0/0") }

func eni(id, address string, groups ...string) Interface {
	return Interface{ID: id, VPC: "vpc-1", Addresses: []netip.Addr{addr(address)}, Groups: groups}
}

// world is a VPC with a node, two application servers and a client that may not
// get out, and another VPC with the same addresses.
func world(cache ...Rule) World {
	node := eni("eni-node", "10.0.0.4", "sg-cache")
	node.Passive = true
	node.Addresses = append(node.Addresses, addr("10.0.0.5"))
	elsewhere := eni("eni-else", "10.0.1.1", "sg-else")
	elsewhere.VPC = "vpc-2"
	return World{
		VPCs: []VPC{{ID: "vpc-1", CIDR: prefix("10.0.0.0/16")}, {ID: "vpc-2", CIDR: prefix("10.0.0.0/16")}},
		Groups: []Group{
			{ID: "sg-cache", VPC: "vpc-1", Rules: cache},
			{ID: "sg-app", VPC: "vpc-1", Rules: []Rule{allOut("app-out")}},
			{ID: "sg-shut", VPC: "vpc-1", Rules: []Rule{rule("shut-out", true, TCP, 443, 443, "0.0.0.0/0")}},
			{ID: "sg-else", VPC: "vpc-2", Rules: []Rule{allOut("else-out")}},
		},
		Interfaces: []Interface{
			node, eni("eni-app", "10.0.1.1", "sg-app"), eni("eni-both", "10.0.1.2", "sg-app", "sg-shut"),
			eni("eni-shut", "10.0.2.1", "sg-shut"), elsewhere,
		},
	}
}

func to(source string) Flow {
	return Flow{Protocol: TCP, SourceVPC: "vpc-1", Source: addr(source), VPC: "vpc-1", Destination: addr("10.0.0.4"), Port: redis}
}

func TestAllows(t *testing.T) {
	t.Parallel()
	changed := func(f Flow, change func(*Flow)) Flow {
		change(&f)
		return f
	}
	for _, c := range []struct {
		name  string
		rules []Rule
		flow  Flow
		want  bool
		says  string
	}{
		{"by address", []Rule{tcpFrom("r1", "10.0.1.1/32")}, to("10.0.1.1"), true, "let out by app-out, let in by r1"},
		{"by group", []Rule{tcpFrom("r1", "sg-app")}, to("10.0.1.1"), true, "let out by app-out, let in by r1"},
		{"by both", []Rule{tcpFrom("r2", "sg-app"), tcpFrom("r1", "10.0.0.0/8")}, to("10.0.1.1"), true, "let out by app-out, let in by r1, r2"},
		{"second address", []Rule{tcpFrom("r1", "sg-app")}, changed(to("10.0.1.1"), func(f *Flow) { f.Destination = addr("10.0.0.5") }), true, "r1"},
		{"no rule", nil, to("10.0.1.1"), false, "no inbound rule of sg-cache admits tcp port 6379 from 10.0.1.1"},
		{"other address", []Rule{tcpFrom("r1", "10.0.1.1/32")}, to("10.0.1.2"), false, "no inbound rule"},
		{"other group", []Rule{tcpFrom("r1", "sg-shut")}, to("10.0.1.1"), false, "no inbound rule"},
		{"union of groups", []Rule{tcpFrom("r1", "sg-shut")}, to("10.0.1.2"), true, "let out by app-out, let in by r1"},
		{"other port", []Rule{tcpFrom("r1", "0.0.0.0/0")}, changed(to("10.0.1.1"), func(f *Flow) { f.Port = 6380 }), false, "tcp port 6380"},
		{"last port", []Rule{rule("r1", false, TCP, 1, redis, "0.0.0.0/0")}, to("10.0.1.1"), true, "r1"},
		{"first port", []Rule{rule("r1", false, TCP, redis, 65535, "0.0.0.0/0")}, to("10.0.1.1"), true, "r1"},
		{"other protocol", []Rule{rule("r1", false, UDP, 0, 65535, "0.0.0.0/0")}, to("10.0.1.1"), false, "no inbound rule"},
		{"any protocol", []Rule{rule("r1", false, AnyProtocol, 0, 0, "0.0.0.0/0")}, to("10.0.1.1"), true, "r1"},
		{"egress only", []Rule{allOut("r1")}, to("10.0.1.1"), false, "no inbound rule"},
		{"not let out", []Rule{tcpFrom("r1", "0.0.0.0/0")}, to("10.0.2.1"), false, "no outbound rule of sg-shut admits tcp port 6379 to 10.0.0.4"},
		{"a machine in no group", []Rule{tcpFrom("r1", "10.0.0.0/16")}, to("10.0.3.3"), true, "let in by r1"},
		{"no member", []Rule{tcpFrom("r1", "sg-app")}, to("10.0.3.3"), false, "no inbound rule"},
		{"from a passive interface", []Rule{tcpFrom("r1", "sg-cache")}, to("10.0.0.5"), true, "let in by r1"},
		{"IPv6 rule", []Rule{tcpFrom("r1", "::/0")}, to("10.0.1.1"), false, "no inbound rule"},
		{"outside the VPC", []Rule{tcpFrom("r1", "0.0.0.0/0")}, to("192.0.2.1"), false, "there is no way from 192.0.2.1 in vpc-1 into vpc-1"},
		{"from another VPC", []Rule{tcpFrom("r1", "0.0.0.0/0")}, changed(to("10.0.1.1"), func(f *Flow) { f.SourceVPC = "vpc-2" }), false, "in vpc-2 into vpc-1"},
		{"from nowhere", nil, changed(to("10.0.1.1"), func(f *Flow) { f.SourceVPC, f.VPC = "", "" }), false, "in no VPC into no VPC"},
		{"nobody there", nil, changed(to("10.0.1.1"), func(f *Flow) { f.Destination = addr("10.0.9.9") }), false, "no interface of vpc-1 has the address 10.0.9.9"},
		{"type of ICMP", []Rule{rule("r1", false, ICMP, 8, -1, "0.0.0.0/0")}, changed(to("10.0.1.1"), func(f *Flow) { f.Protocol, f.Port, f.Code = ICMP, 8, 3 }), true, "r1"},
		{"other code of ICMP", []Rule{rule("r1", false, ICMP, 3, 4, "0.0.0.0/0")}, changed(to("10.0.1.1"), func(f *Flow) { f.Protocol, f.Port, f.Code = ICMP, 3, 1 }), false, "icmp type 3 code 1"},
		{"other number", []Rule{rule("r1", false, 50, 0, 0, "0.0.0.0/0")}, changed(to("10.0.1.1"), func(f *Flow) { f.Protocol, f.Port = 50, 0 }), true, "r1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := Compile(world(c.rules...))
			got, reason := p.Allows(c.flow)
			if got != c.want || !strings.Contains(reason.String(), c.says) {
				t.Errorf("got %v, %q; want %v, %q", got, reason, c.want, c.says)
			}
			if got != (reason.Gate == "") {
				t.Errorf("allowed %v, but the gate is %q", got, reason.Gate)
			}
		})
	}
}

// A flow is forgotten only if it may come from everywhere and be answered to
// everywhere.
func TestTracked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		rules   []Rule
		tracked bool
	}{
		{"from everywhere, to everywhere", []Rule{tcpFrom("in", "0.0.0.0/0"), allOut("out")}, false},
		{"the same beside a narrower rule", []Rule{tcpFrom("in", "0.0.0.0/0"), tcpFrom("narrow", "10.0.0.0/16"), allOut("out")}, false},
		{"all ports out by TCP", []Rule{tcpFrom("in", "0.0.0.0/0"), rule("out", true, TCP, 0, 65535, "0.0.0.0/0")}, false},
		{"from a range", []Rule{tcpFrom("in", "10.0.0.0/16"), allOut("out")}, true},
		{"from a group", []Rule{tcpFrom("in", "sg-app"), allOut("out")}, true},
		{"no way out", []Rule{tcpFrom("in", "0.0.0.0/0")}, true},
		{"some ports out", []Rule{tcpFrom("in", "0.0.0.0/0"), rule("out", true, TCP, 1024, 65535, "0.0.0.0/0")}, true},
		{"out by UDP", []Rule{tcpFrom("in", "0.0.0.0/0"), rule("out", true, UDP, 0, 65535, "0.0.0.0/0")}, true},
		{"out to a range", []Rule{tcpFrom("in", "0.0.0.0/0"), rule("out", true, AnyProtocol, 0, 0, "10.0.0.0/8")}, true},
		{"out by IPv6", []Rule{tcpFrom("in", "0.0.0.0/0"), rule("out", true, AnyProtocol, 0, 0, "::/0")}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := Compile(world(c.rules...))
			ok, reason := p.Allows(to("10.0.1.1"))
			if !ok || reason.Tracked != c.tracked {
				t.Errorf("%v, tracked %v, want %v", reason, reason.Tracked, c.tracked)
			}
			if f := p.Ingress("vpc-1", addr("10.0.0.4"), TCP, redis); f.Untracked == c.tracked {
				t.Errorf("the filter says untracked %v", f.Untracked)
			}
		})
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		rules       []Rule
		allow, deny string
	}{
		{"nobody", nil, "", ""},
		{"everybody is the VPC", []Rule{tcpFrom("r", "0.0.0.0/0")}, "10.0.0.0/16", "10.0.2.1/32"},
		{"outside the VPC", []Rule{tcpFrom("r", "192.0.2.0/24")}, "", ""},
		{"members, neighbours joined", []Rule{tcpFrom("r", "sg-app")}, "10.0.1.1/32 10.0.1.2/32", ""},
		{"covered and joined", []Rule{tcpFrom("a", "10.0.4.0/25"), tcpFrom("b", "10.0.4.128/25"), tcpFrom("c", "10.0.4.7/32")}, "10.0.4.0/24", ""},
		{"not let out", []Rule{tcpFrom("r", "sg-shut")}, "10.0.1.2/32 10.0.2.1/32", "10.0.2.1/32"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := Compile(world(c.rules...)).Ingress("vpc-1", addr("10.0.0.4"), TCP, redis)
			if got := prefixes(f.Allow); got != c.allow {
				t.Errorf("allow %q, want %q", got, c.allow)
			}
			if got := prefixes(f.Deny); got != c.deny {
				t.Errorf("deny %q, want %q", got, c.deny)
			}
		})
	}
}

func prefixes(list []netip.Prefix) string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return strings.Join(out, " ")
}

// What does not fit together gives nobody anything.
func TestWorldsThatDoNotFit(t *testing.T) {
	t.Parallel()
	w := world(tcpFrom("r", "0.0.0.0/0"))
	w.Interfaces = []Interface{
		{ID: "eni-1", VPC: "vpc-0", Addresses: []netip.Addr{addr("10.0.0.4")}, Groups: []string{"sg-cache"}},
		{ID: "eni-2", VPC: "vpc-2", Addresses: []netip.Addr{addr("10.0.0.4")}, Groups: []string{"sg-cache", "sg-none"}},
		{ID: "eni-3", VPC: "vpc-1", Addresses: []netip.Addr{addr("192.0.2.1")}, Groups: []string{"sg-cache"}},
	}
	p := Compile(w)
	for vpc, destination := range map[string]string{"vpc-0": "10.0.0.4", "vpc-2": "10.0.0.4", "vpc-1": "192.0.2.1"} {
		f := Flow{Protocol: TCP, SourceVPC: vpc, VPC: vpc, Source: addr("10.0.1.1"), Destination: addr(destination), Port: redis}
		if ok, reason := p.Allows(f); ok {
			t.Errorf("%s: %v", vpc, reason)
		}
		if filter := p.Ingress(vpc, f.Destination, TCP, redis); len(filter.Allow) > 0 {
			t.Errorf("%s: %v", vpc, filter)
		}
	}
}

func TestNormalize(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                      "",
		"10.0.0.0/8":                            "10.0.0.0/8",
		"10.0.0.1/32 10.0.0.0/32":               "10.0.0.0/31",
		"10.0.0.1/32 10.0.0.2/32":               "10.0.0.1/32 10.0.0.2/32",
		"10.0.0.0/25 10.0.0.128/25 10.0.1.0/24": "10.0.0.0/23",
		"10.1.0.0/16 10.0.0.0/8 10.1.1.1/32":    "10.0.0.0/8",
		"128.0.0.0/1 0.0.0.0/1":                 "0.0.0.0/0",
		"::/0 0.0.0.0/0":                        "0.0.0.0/0 ::/0",
	} {
		var list []netip.Prefix
		for _, p := range strings.Fields(in) {
			list = append(list, prefix(p))
		}
		if got := prefixes(normalize(slices.Clone(list))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

package rules

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/larder-cache/larder/internal/network"
)

// model is what a dial must come to: the places where it may arrive, whether it
// may stay without an answer, and whether it is reset.
type model struct {
	arrive []netip.AddrPort
	// marked are those where everyone is let in.
	marked  []netip.AddrPort
	silence bool
	reset   bool
}

// expect says by the policy and the inputs alone what becomes of a dial, and
// whether the policy's other form, the filter, agrees.
func expect(p *network.Policy, in Inputs, d dial) (m model, filterAgrees bool) {
	filterAgrees = true
	lead := func(node netip.Addr, at netip.AddrPort) {
		f := network.Flow{Protocol: d.protocol, SourceVPC: "vpc", Source: instanceAddress(d.from), VPC: "vpc", Destination: node, Port: int(d.to.Port()), Code: int(d.code)}
		ok, reason := p.Allows(f)
		if d.protocol == network.TCP || d.protocol == network.UDP {
			filterAgrees = filterAgrees && p.Ingress("vpc", node, d.protocol, f.Port).Admits(f.Source) == ok
		}
		if !ok {
			m.silence = true
			return
		}
		m.arrive = append(m.arrive, at)
		// What is sent to nodes without a connection is judged packet by packet.
		if !reason.Tracked && (d.protocol == network.TCP || !isNode(in, node)) {
			m.marked = append(m.marked, at)
		}
	}
	behind := func(node netip.AddrPort) netip.AddrPort {
		if n := slices.IndexFunc(in.Inserted, func(i Insertion) bool { return i.Node == node }); n >= 0 {
			return in.Inserted[n].Relay
		}
		return node
	}
	toNode := isNode(in, d.to.Addr())
	declared := slices.Contains(in.Nodes, Service{d.protocol, d.to})
	endpoint := slices.IndexFunc(in.Endpoints, func(e Endpoint) bool { return e.At == d.to && d.protocol == network.TCP })
	switch {
	case d.to.Addr() == in.Resolver && d.to.Port() == portDNS && (d.protocol == network.TCP || d.protocol == network.UDP):
		m.arrive = append(m.arrive, d.to)
	case endpoint >= 0 && len(in.Endpoints[endpoint].Targets) == 0:
		m.reset = true
	case endpoint >= 0:
		for _, target := range in.Endpoints[endpoint].Targets {
			lead(target.Addr(), behind(target))
		}
	case toNode && d.protocol == network.TCP && declared:
		lead(d.to.Addr(), behind(d.to))
	case toNode && !declared && d.protocol != network.ICMP:
		m.silence = true
	default:
		lead(d.to.Addr(), d.to)
	}
	return m, filterAgrees
}

func isNode(in Inputs, a netip.Addr) bool {
	return slices.ContainsFunc(in.Nodes, func(s Service) bool { return s.At.Addr() == a })
}

func (m model) suits(d dial, o outcome) bool {
	switch {
	case o.reset:
		return m.reset
	case o.arrived && d.protocol == network.TCP:
		return slices.Contains(m.arrive, o.at) && o.marked == slices.Contains(m.marked, o.at)
	case o.arrived:
		return len(m.arrive) > 0 && o.marked == (len(m.marked) > 0)
	}
	return m.silence
}

// drawDials dials everything in a world from everywhere.
func drawDials(r *rand.Rand, in Inputs) (out []dial) {
	for from := range drawnInstances {
		var targets []netip.Addr
		for n := range drawnNodes {
			targets = append(targets, nodeAddress(n))
		}
		for n := range drawnInstances {
			if n != from {
				targets = append(targets, instanceAddress(n))
			}
		}
		for _, to := range targets {
			for _, protocol := range []network.Protocol{network.TCP, network.UDP} {
				for port := uint16(998); port <= 1005; port++ {
					if port == portNode || r.IntN(3) == 0 {
						out = append(out, dial{from: from, protocol: protocol, to: netip.AddrPortFrom(to, port)})
					}
				}
			}
			out = append(out,
				dial{from: from, protocol: network.TCP, to: netip.AddrPortFrom(to, portRelay)},
				dial{from: from, protocol: network.UDP, to: netip.AddrPortFrom(to, portHidden)},
				dial{from: from, protocol: network.ICMP, to: netip.AddrPortFrom(to, []uint16{8, 13}[r.IntN(2)])})
			if instanceAddress(from).Less(to) || to.Less(instanceAddress(0)) { // without ports, the way back would be an answer
				out = append(out, dial{from: from, protocol: protocolESP, to: netip.AddrPortFrom(to, 0)})
			}
		}
		for _, e := range in.Endpoints {
			out = append(out, dial{from: from, protocol: network.TCP, to: e.At},
				dial{from: from, protocol: network.UDP, to: e.At},
				dial{from: from, protocol: network.TCP, to: netip.AddrPortFrom(e.At.Addr(), e.At.Port()+1)})
		}
		out = append(out, dial{from: from, protocol: network.UDP, to: netip.AddrPortFrom(in.Resolver, portDNS)},
			dial{from: from, protocol: network.UDP, to: netip.AddrPortFrom(in.Resolver, 1000)})
	}
	return out
}

// TestThreeWays holds what the kernel does with real packets against the policy
// and its filters, for thousands of flows of drawn worlds. The worlds follow each
// other in one namespace, so that most are reached by differences.
func TestThreeWays(t *testing.T) {
	l := newLAN(t, "ways")
	var flows, arrived, reset, marked int
	var compiler Compiler
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 4))
		w, in := draw(r)
		p := network.Compile(w)
		apply(t, l.conn, compiler.Compile(w, "vpc", in))
		dials := drawDials(r, in)
		for n, o := range l.probe(dials) {
			m, agrees := expect(p, in, dials[n])
			if !agrees {
				t.Errorf("world %d: %v: the filter and the policy disagree", seed, dials[n])
			}
			if !m.suits(dials[n], o) {
				t.Errorf("world %d: %v: the kernel did %+v, the policy says %+v", seed, dials[n], o, m)
			}
			flows++
			if o.arrived {
				arrived++
			}
			if o.marked {
				marked++
			}
			if o.reset {
				reset++
			}
		}
		if t.Failed() {
			t.Fatalf("world %d: %+v\n%+v\n%s", seed, w, in, run(t, l.vpc, "nft", "list", "ruleset"))
		}
	}
	t.Logf("%d flows, %d arrived, %d marked, %d reset", flows, arrived, marked, reset)
	if arrived < flows/10 || arrived > flows*9/10 || reset < 100 || marked < 100 {
		t.Errorf("the worlds are dull: of %d flows %d arrived, %d marked, and %d were reset", flows, arrived, marked, reset)
	}
}

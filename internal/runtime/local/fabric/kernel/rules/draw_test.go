package rules

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/larder-cache/larder/internal/network"
)

// The addresses of drawn worlds: nodes and instances, all in one VPC.
const (
	drawnNodes     = 4
	drawnInstances = 8
)

var drawnRange = prefix("10.1.0.0/24")

func nodeAddress(n int) netip.Addr     { return netip.AddrFrom4([4]byte{10, 1, 0, byte(16 + n)}) }
func instanceAddress(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, 0, byte(32 + n)}) }
func endpointAddress(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, 0, byte(64 + n)}) }

// Ports of drawn worlds, by nodes. The relay's is never declared.
const (
	portNode   = 1003
	portOther  = 1001
	portRelay  = 61001
	portHidden = 61009
)

func draw(r *rand.Rand) (network.World, Inputs) {
	w := network.World{VPCs: []network.VPC{{ID: "vpc", CIDR: drawnRange}, {ID: "else", CIDR: drawnRange}}}
	for n := range 6 {
		w.Groups = append(w.Groups, drawGroup(r, n))
	}
	in := Inputs{Links: map[string]netip.Addr{}, Resolver: addr("10.1.0.2")}
	groups := func() (ids []string) {
		for range 1 + r.IntN(3) {
			ids = append(ids, fmt.Sprintf("sg-%d", r.IntN(6)))
		}
		return ids
	}
	for n := range drawnNodes {
		w.Interfaces = append(w.Interfaces, network.Interface{ID: fmt.Sprintf("node-%d", n), VPC: "vpc", Addresses: []netip.Addr{nodeAddress(n)}, Groups: groups(), Passive: true})
		in.Nodes = append(in.Nodes,
			Service{network.TCP, netip.AddrPortFrom(nodeAddress(n), portNode)},
			Service{network.UDP, netip.AddrPortFrom(nodeAddress(n), portNode)},
			Service{network.UDP, netip.AddrPortFrom(nodeAddress(n), portOther)})
	}
	for n := range drawnInstances {
		in.Links[fmt.Sprintf("i-%d", n)] = instanceAddress(n)
		if n > 0 && r.IntN(6) > 0 { // the others are machines in no group
			w.Interfaces = append(w.Interfaces, network.Interface{ID: fmt.Sprintf("i-%d", n), VPC: "vpc", Addresses: []netip.Addr{instanceAddress(n)}, Groups: groups(), Passive: r.IntN(8) == 0})
		}
	}
	node := func() netip.AddrPort { return netip.AddrPortFrom(nodeAddress(r.IntN(drawnNodes)), portNode) }
	for n := range 3 {
		e := Endpoint{At: netip.AddrPortFrom(endpointAddress(n), uint16(1000+r.IntN(4)))}
		for range r.IntN(4) {
			e.Targets = append(e.Targets, node())
		}
		in.Endpoints = append(in.Endpoints, e)
	}
	for range r.IntN(3) {
		at := node()
		in.Inserted = append(in.Inserted, Insertion{Node: at, Relay: netip.AddrPortFrom(at.Addr(), portRelay)})
	}
	return w, in
}

// drawGroup makes a group whose rules often meet the drawn ports and addresses. A
// few name groups of another VPC, or of none.
func drawGroup(r *rand.Rand, n int) network.Group {
	g := network.Group{ID: fmt.Sprintf("sg-%d", n), VPC: "vpc"}
	if n == 5 {
		g.VPC = "else"
	}
	if r.IntN(4) > 0 {
		g.Rules = append(g.Rules, allOut())
	}
	for range r.IntN(9) {
		rule := network.Rule{Egress: r.IntN(3) == 0}
		switch rule.Protocol = []network.Protocol{network.AnyProtocol, network.TCP, network.UDP, network.TCP, network.UDP, network.ICMP, protocolESP}[r.IntN(7)]; rule.Protocol {
		case network.ICMP:
			rule.From, rule.To = []int{-1, 8, 13}[r.IntN(3)], []int{-1, 0}[r.IntN(2)]
		case network.TCP, network.UDP:
			rule.From = 999 + r.IntN(6)
			rule.To = rule.From + r.IntN(4) - 1
			if r.IntN(6) == 0 {
				rule.From, rule.To = 0, 65535
			}
		}
		if r.IntN(2) == 0 {
			rule.Group = fmt.Sprintf("sg-%d", r.IntN(7))
		} else {
			rule.CIDR = prefix([]string{"0.0.0.0/0", "0.0.0.0/0", "10.1.0.32/30", "10.1.0.16/28", "10.1.0.35/32", "10.1.0.18/32", "::/0", "192.0.2.0/24", "10.0.0.0/8"}[r.IntN(9)])
		}
		g.Rules = append(g.Rules, rule)
	}
	return g
}

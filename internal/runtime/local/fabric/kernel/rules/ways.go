package rules

import (
	"net/netip"
	"slices"

	"github.com/larder-cache/larder/internal/network"
	"golang.org/x/sys/unix"
)

// ways are where connections to nodes lead, whatever endpoints there are. They do not
// change once they are computed.
type ways struct {
	nodes    []Service
	inserted []Insertion
	// others are targets of endpoints that are no nodes, sorted.
	others []netip.AddrPort
	known  map[netip.AddrPort]bool // nodes
	marks  map[netip.AddrPort]mark // of all targets
	// direct are the nodes that are dialled where they listen, relayed those behind a
	// relay, both with their marks; addresses and ports are where those of a mark listen.
	direct, relayed, addresses, ports *set
}

// waysOf computes the ways, unless they are as before.
func (c *Compiler) waysOf(in Inputs) *ways {
	w := c.ways
	if w == nil || !slices.Equal(w.nodes, in.Nodes) || !slices.Equal(w.inserted, in.Inserted) {
		w = &ways{nodes: slices.Clone(in.Nodes), inserted: slices.Clone(in.Inserted), known: make(map[netip.AddrPort]bool, len(in.Nodes))}
		for _, n := range in.Nodes {
			w.known[n.At] = true
		}
	}
	var others []netip.AddrPort
	for _, e := range in.Endpoints {
		for _, target := range e.Targets {
			if !w.known[target] {
				others = append(others, target)
			}
		}
	}
	slices.SortFunc(others, netip.AddrPort.Compare)
	if others = slices.Compact(others); w.marks == nil || !slices.Equal(w.others, others) {
		w = &ways{nodes: w.nodes, inserted: w.inserted, known: w.known, others: others}
		w.compute()
	}
	c.ways = w
	return w
}

func (w *ways) compute() {
	place, number := datatype{fieldAddr, fieldPort}, datatype{fieldMark}
	empty := func(name string, key, data datatype) *set {
		return &set{name: name, key: key, data: data, elements: map[string]string{}}
	}
	w.direct, w.relayed = empty(mapDirect, place, number), empty(mapLed, place, number)
	w.addresses, w.ports = empty(mapAddresses, number, datatype{fieldAddr}), empty(mapPorts, number, datatype{fieldPort})
	relays := make(map[netip.AddrPort]netip.AddrPort, len(w.inserted))
	for _, i := range w.inserted {
		relays[i.Node] = i.Relay
	}
	all := slices.Clone(w.others)
	for _, n := range w.nodes {
		all = append(all, n.At)
	}
	w.marks = numbers(all, relays)
	for target, m := range w.marks {
		at := target
		if relay, ok := relays[target]; ok {
			at = relay
			w.relayed.elements[portKey(target)] = markKey(m)
		}
		w.addresses.elements[markKey(m)], w.ports.elements[markKey(m)] = addrKey(at.Addr()), portOnly(at)
	}
	for _, n := range w.nodes {
		if m := w.marks[n.At]; n.Protocol == network.TCP && !m.relayed() {
			w.direct.elements[portKey(n.At)] = markKey(m)
		}
	}
}

// lead puts the ways into a table, and adds those of endpoints. A connection that needs no
// leading goes where it was dialled; any other is handed to the listener of its target.
func (w *ways) lead(t *Table, in Inputs) {
	t.sets[mapDirect], t.sets[mapLed], t.sets[mapAddresses], t.sets[mapPorts] = w.direct, w.relayed, w.addresses, w.ports
	many := t.verdictMap(mapSpread, datatype{fieldAddr, fieldPort}, 0)
	led := w.relayed
	for _, e := range in.Endpoints {
		switch len(e.Targets) {
		case 0:
		case 1:
			if led == w.relayed {
				led = led.clone()
			}
			led.elements[portKey(e.At)] = markKey(w.marks[e.Targets[0]])
		default:
			many.elements[portKey(e.At)] = w.spread(t, e)
		}
	}
	t.sets[mapLed] = led
}

// spread makes the chain that leads to one target after the other.
func (w *ways) spread(t *Table, e Endpoint) (name string) {
	name = "spread-" + e.At.Addr().String() + "-" + portName(e.At)
	number := datatype{fieldMark}
	turns := t.set(name, number, number, len(e.Targets))
	sorted := slices.Clone(e.Targets)
	slices.SortFunc(sorted, netip.AddrPort.Compare)
	for n, target := range sorted {
		turns.elements[markKey(uint32(n))] = markKey(w.marks[target])
	}
	t.chain(name).rules = []rule{when().protocol(unix.IPPROTO_TCP).markInTurn(len(sorted), name).goTo(chainLead)}
	return name
}

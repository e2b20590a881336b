package rules

import (
	"net/netip"
	"slices"
)

// mark is what the segment that begins a connection is marked with on its way in, and
// what the kernel then puts on the socket that it becomes (tcp_fwmark_accept): who
// carries the connection and why it was let in, for as long as it lives. Sockets that
// no client of the network began have none.
//
//	bit  31     let in from everywhere, see markUntracked
//	bit  30     carried by a relay
//	bits 29-16  tell targets of one address apart
//	bits 15-0   the last two bytes of the target's address: a VPC is a /16 at most
type mark uint32

const (
	// markUntracked is on connections that end when no rule admits them any more.
	markUntracked mark = 1 << 31
	markRelayed   mark = 1 << 30

	shiftOrdinal = 16
	maskHost     = 1<<shiftOrdinal - 1
)

// hostPart is what a mark has of an address.
func hostPart(a netip.Addr) mark {
	b := a.As4()
	return mark(b[2])<<8 | mark(b[3])
}

func (m mark) carriedBy(a netip.Addr) bool { return m&maskHost == hostPart(a) }

func (m mark) relayed() bool { return m&markRelayed != 0 }

// target is the address of the node that carries the connection, in the network of
// the address given.
func (m mark) target(near netip.Addr) netip.Addr {
	b := near.As4()
	b[2], b[3] = byte(m>>8), byte(m)
	return netip.AddrFrom4(b)
}

// numbers gives each target of new connections a mark of its own. relays are those in
// front of some.
func numbers(targets []netip.AddrPort, relays map[netip.AddrPort]netip.AddrPort) map[netip.AddrPort]mark {
	for node := range relays {
		targets = append(targets, node)
	}
	slices.SortFunc(targets, netip.AddrPort.Compare)
	targets = slices.Compact(targets)
	out := make(map[netip.AddrPort]mark, len(targets))
	ordinals := make(map[mark]mark, len(targets))
	for _, at := range targets {
		host := hostPart(at.Addr())
		m := host | ordinals[host]<<shiftOrdinal
		ordinals[host]++
		if _, ok := relays[at]; ok {
			m |= markRelayed
		}
		out[at] = m
	}
	return out
}

package rules

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// flow is one that is forwarded, which the kernel keeps account of.
type flow struct {
	protocol uint8
	// client and dialled are its ends.
	client, dialled netip.AddrPort
	// tuple and id name the flow to the kernel.
	tuple, id []byte
}

// flows lists those with a mark, or with any if it is 0, for which fn says yes.
func (c *Conn) flows(m mark, fn func(flow) bool) ([]flow, error) {
	for range attempts {
		out, err := c.listFlows(m, fn)
		if !errors.Is(err, errInterrupted) {
			return out, err
		}
	}
	return nil, errInterrupted
}

func (c *Conn) listFlows(m mark, fn func(flow) bool) ([]flow, error) {
	const getFlow = unix.NFNL_SUBSYS_CTNETLINK<<8 | 1 // IPCTNL_MSG_CT_GET
	var b buffer
	seq := c.nft.next()
	at := b.message(getFlow, unix.NLM_F_DUMP, seq)
	b.netfilter(unix.AF_INET, 0)
	if m != 0 {
		b.u32(attrMark, uint32(m))
		b.u32(attrMarkMask, uint32(m))
	}
	b.finish(at)
	var out []flow
	err := c.nft.request(&b, seq, func(r reply) {
		if f := decodeFlow(r.data[min(len(r.data), sizeofNfgenmsg):]); fn(f) {
			f.tuple, f.id = slices.Clone(f.tuple), slices.Clone(f.id)
			out = append(out, f)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list flows of %s: %w", c.ns.Path(), err)
	}
	return out, nil
}

// Attributes of flows (linux/netfilter/nfnetlink_conntrack.h).
const (
	attrOriginal = 1
	attrMark     = 8
	attrID       = 12
	attrMarkMask = 21

	attrTupleIP       = 1
	attrTupleProtocol = 2

	attrSource      = 1 // of attrTupleIP
	attrDestination = 2

	attrProtocol        = 1 // of attrTupleProtocol
	attrSourcePort      = 2
	attrDestinationPort = 3
)

// decodeFlow reads a flow. What names it is part of data.
func decodeFlow(data []byte) (f flow) {
	attributes(data, func(kind uint16, value []byte) {
		switch kind {
		case attrOriginal:
			f.tuple = value
			f.protocol, f.client, f.dialled = decodeTuple(value)
		case attrID:
			f.id = value
		}
	})
	return f
}

func decodeTuple(data []byte) (protocol uint8, from, to netip.AddrPort) {
	var source, destination netip.Addr
	var sourcePort, destinationPort uint16
	attributes(data, func(kind uint16, value []byte) {
		switch kind {
		case attrTupleIP:
			attributes(value, func(kind uint16, value []byte) {
				switch a, _ := netip.AddrFromSlice(value); kind {
				case attrSource:
					source = a
				case attrDestination:
					destination = a
				}
			})
		case attrTupleProtocol:
			attributes(value, func(kind uint16, value []byte) {
				switch {
				case kind == attrProtocol && len(value) == 1:
					protocol = value[0]
				case kind == attrSourcePort && len(value) == 2:
					sourcePort = uint16(value[0])<<8 | uint16(value[1])
				case kind == attrDestinationPort && len(value) == 2:
					destinationPort = uint16(value[0])<<8 | uint16(value[1])
				}
			})
		}
	})
	return protocol, netip.AddrPortFrom(source, sourcePort), netip.AddrPortFrom(destination, destinationPort)
}

// forget makes the kernel judge the next packet of a flow as a new one. A flow
// that has ended by itself is no error.
func (c *Conn) forget(f flow) error {
	const deleteFlow = unix.NFNL_SUBSYS_CTNETLINK<<8 | 2 // IPCTNL_MSG_CT_DELETE
	if len(f.tuple) == 0 {
		return errors.New("a flow without ends: the kernel would take it for all of them")
	}
	var b buffer
	seq := c.nft.next()
	at := b.message(deleteFlow, unix.NLM_F_ACK, seq)
	b.netfilter(unix.AF_INET, 0)
	b.attr(attrOriginal|unix.NLA_F_NESTED, f.tuple)
	b.attr(attrID, f.id)
	b.finish(at)
	if err := c.nft.request(&b, seq, nil); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("forget flow of %s to %s: %w", f.client, f.dialled, err)
	}
	return nil
}

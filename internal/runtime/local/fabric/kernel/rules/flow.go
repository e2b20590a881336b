package rules

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// flow is a connection that the kernel keeps account of.
type flow struct {
	protocol uint8
	// client and dialled are the ends as the client sees them; node is the end
	// that answers, which is dialled unless the flow was translated.
	client, dialled, node netip.AddrPort
	// seen is the client's end as the node sees it. The port is another one than
	// the client's if that is in use already, since two flows of a client may
	// differ in nothing but the endpoint.
	seen netip.AddrPort
	// tuple and id name the flow to the kernel.
	tuple, id []byte
}

// choice is which flows the kernel lists; zero fields mean all. Kernels before 5.8
// heed the mark alone and list more.
type choice struct {
	mark uint32
	// dialled and node are the addresses of flow's fields.
	dialled, node netip.Addr
}

// flows lists those of the chosen flows for which fn says yes.
func (c *Conn) flows(which choice, fn func(flow) bool) ([]flow, error) {
	for range attempts {
		out, err := c.listFlows(which, fn)
		if !errors.Is(err, errInterrupted) {
			return out, err
		}
	}
	return nil, errInterrupted
}

func (w choice) request(b *buffer) {
	if w.mark != 0 {
		b.u32(attrMark, w.mark)
		b.u32(attrMarkMask, ^uint32(0))
	}
	if !w.dialled.IsValid() && !w.node.IsValid() {
		return
	}
	filter := b.nest(attrFilter)
	flags := func(kind uint16, a netip.Addr, flag uint32) {
		if a.IsValid() {
			b.attr(kind, binary.NativeEndian.AppendUint32(nil, flag))
		}
	}
	flags(attrFilterOriginal, w.dialled, filterDestination)
	flags(attrFilterReply, w.node, filterSource)
	b.end(filter)
	tuple := func(kind uint16, a netip.Addr, field uint16) {
		if a.IsValid() {
			nest := b.nest(kind)
			ip := b.nest(attrTupleIP)
			b.attr(field, a.AsSlice())
			b.end(ip)
			b.end(nest)
		}
	}
	tuple(attrOriginal, w.dialled, attrDestination)
	tuple(attrReply, w.node, attrSource)
}

func (c *Conn) listFlows(which choice, fn func(flow) bool) ([]flow, error) {
	const getFlow = unix.NFNL_SUBSYS_CTNETLINK<<8 | 1 // IPCTNL_MSG_CT_GET
	var b buffer
	seq := c.nft.next()
	at := b.message(getFlow, unix.NLM_F_DUMP, seq)
	b.netfilter(unix.AF_INET, 0)
	which.request(&b)
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
	attrReply    = 2
	attrMark     = 8
	attrID       = 12
	attrMarkMask = 21
	attrFilter   = 25

	attrTupleIP       = 1
	attrTupleProtocol = 2

	attrSource      = 1 // of attrTupleIP
	attrDestination = 2

	attrFilterOriginal = 1 // of attrFilter: which fields of the tuple count
	attrFilterReply    = 2
	filterSource       = 1
	filterDestination  = 2

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
		case attrReply:
			_, f.node, f.seen = decodeTuple(value)
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

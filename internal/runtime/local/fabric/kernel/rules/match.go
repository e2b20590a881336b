package rules

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// What a rule asks of a packet.

func (b *ruleBuilder) interfaceIs(key uint32, word, name string) *ruleBuilder {
	b.loadMeta(key, 0)
	var padded [unix.IFNAMSIZ]byte
	copy(padded[:], name)
	b.compare(unix.NFT_CMP_EQ, padded[:])
	return b.say("%s %q", word, name)
}

func (b *ruleBuilder) from(name string) *ruleBuilder {
	return b.interfaceIs(unix.NFT_META_IIFNAME, "iifname", name)
}

func (b *ruleBuilder) outOf(name string) *ruleBuilder {
	return b.interfaceIs(unix.NFT_META_OIFNAME, "oifname", name)
}

func (b *ruleBuilder) linkIn(set string) *ruleBuilder {
	b.loadMeta(unix.NFT_META_IIFNAME, 0)
	b.expression("payload", func(o *buffer) { // a name takes the whole first register
		o.u32(unix.NFTA_PAYLOAD_DREG, unix.NFT_REG_2)
		o.u32(unix.NFTA_PAYLOAD_BASE, unix.NFT_PAYLOAD_NETWORK_HEADER)
		o.u32(unix.NFTA_PAYLOAD_OFFSET, offsetSource)
		o.u32(unix.NFTA_PAYLOAD_LEN, 4)
	})
	b.lookup(set, nil)
	return b.say("iifname . ip saddr @%s", set)
}

func (b *ruleBuilder) protocol(p uint8) *ruleBuilder {
	b.loadMeta(unix.NFT_META_L4PROTO, 0)
	b.compare(unix.NFT_CMP_EQ, []byte{p})
	return b.say("meta l4proto %s", protocolName(p))
}

// Bits of a connection's state.
const (
	stateInvalid     = 1
	stateEstablished = 2
	stateRelated     = 4
)

func (b *ruleBuilder) state(bits uint32, words string) *ruleBuilder {
	b.expression("ct", func(o *buffer) {
		o.u32(unix.NFTA_CT_KEY, unix.NFT_CT_STATE)
		o.u32(unix.NFTA_CT_DREG, register(0))
	})
	b.mask(binary.NativeEndian.AppendUint32(nil, bits))
	b.compare(unix.NFT_CMP_NEQ, make([]byte, 4))
	return b.say("ct state %s", words)
}

// answers asks for TCP segments that do not open a connection.
func (b *ruleBuilder) answers() *ruleBuilder {
	const offsetFlags, syn, ack = 13, 0x02, 0x10
	b.loadPayload(unix.NFT_PAYLOAD_TRANSPORT_HEADER, offsetFlags, 1, 0)
	b.mask([]byte{syn | ack})
	b.compare(unix.NFT_CMP_NEQ, []byte{syn})
	return b.say("tcp flags & (syn | ack) != syn")
}

// noRequest asks for ICMP that is no echo request.
func (b *ruleBuilder) noRequest() *ruleBuilder {
	const echoRequest = 8
	b.loadPayload(unix.NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, 0)
	b.compare(unix.NFT_CMP_NEQ, []byte{echoRequest})
	return b.say("icmp type != %d", echoRequest)
}

func (b *ruleBuilder) sourcePort(p uint16) *ruleBuilder {
	b.loadPayload(unix.NFT_PAYLOAD_TRANSPORT_HEADER, offsetSourcePort, 2, 0)
	return b.between(p, p).sayRange("th sport", p, p)
}

// dialled asks for the port that the client dialled.
func (b *ruleBuilder) dialled(first, last uint16) *ruleBuilder {
	if first == 0 && last == 65535 {
		return b
	}
	b.loadPort(0)
	return b.between(first, last).sayRange("th dport", first, last)
}

func (b *ruleBuilder) port(p uint16) *ruleBuilder { return b.dialled(p, p) }

func (b *ruleBuilder) between(first, last uint16) *ruleBuilder {
	low, high := binary.BigEndian.AppendUint16(nil, first), binary.BigEndian.AppendUint16(nil, last)
	if first == last {
		b.compare(unix.NFT_CMP_EQ, low)
		return b
	}
	b.compare(unix.NFT_CMP_GTE, low)
	b.compare(unix.NFT_CMP_LTE, high)
	return b
}

func (b *ruleBuilder) sayRange(what string, first, last uint16) *ruleBuilder {
	if first == last {
		return b.say("%s %d", what, first)
	}
	return b.say("%s %d-%d", what, first, last)
}

// icmp asks for a type or a code, the first two bytes of the header.
func (b *ruleBuilder) icmp(what string, offset uint32, value uint8) *ruleBuilder {
	b.loadPayload(unix.NFT_PAYLOAD_TRANSPORT_HEADER, offset, 1, 0)
	b.compare(unix.NFT_CMP_EQ, []byte{value})
	return b.say("icmp %s %d", what, value)
}

// address asks for the source or the destination.
func (b *ruleBuilder) address(offset uint32, p netip.Prefix) *ruleBuilder {
	if p.Bits() == 0 {
		return b
	}
	a := p.Masked().Addr().As4()
	b.loadAddress(offset, 0)
	if p.IsSingleIP() {
		b.compare(unix.NFT_CMP_EQ, a[:])
		return b.say("ip %s %s", direction(offset), p.Addr())
	}
	b.mask(binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-p.Bits())))
	b.compare(unix.NFT_CMP_EQ, a[:])
	return b.say("ip %s %s", direction(offset), p.Masked())
}

func (b *ruleBuilder) addressIn(offset uint32, set string) *ruleBuilder {
	b.loadAddress(offset, 0)
	b.lookup(set, nil)
	return b.say("ip %s @%s", direction(offset), set)
}

func direction(offset uint32) string {
	if offset == offsetSource {
		return "saddr"
	}
	return "daddr"
}

func (b *ruleBuilder) destinationIn(set string) *ruleBuilder {
	b.loadAddress(offsetDestination, 0)
	b.loadPort(1)
	b.lookup(set, nil)
	return b.say("ip daddr . th dport @%s", set)
}

func (b *ruleBuilder) sourceIn(set string) *ruleBuilder {
	b.loadAddress(offsetSource, 0)
	b.loadPayload(unix.NFT_PAYLOAD_TRANSPORT_HEADER, offsetSourcePort, 2, 1)
	b.lookup(set, nil)
	return b.say("ip saddr . th sport @%s", set)
}

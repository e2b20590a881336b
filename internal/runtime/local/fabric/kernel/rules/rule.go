package rules

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// rule is a rule of a chain. Its text, in nft's language, says all of it: rules
// of equal text are equal.
type rule struct {
	text string
	// expressions are what the kernel runs, as in NFTA_RULE_EXPRESSIONS.
	expressions []byte
}

// tag is a digest of the rule's text.
func (r rule) tag() []byte {
	h := fnv.New128a()
	h.Write([]byte(r.text))
	return h.Sum(nil)
}

// ruleBuilder puts a rule together from left to right.
type ruleBuilder struct {
	words []string
	out   buffer
}

// The registers that expressions use, by their offset in words of four bytes.
// nft lists rules only if they use the registers that it would.
func register(word int) uint32 {
	if word == 0 {
		return unix.NFT_REG_1
	}
	return unix.NFT_REG32_00 + uint32(word)
}

// Verdicts that golang.org/x/sys/unix does not have.
const (
	verdictDrop   = 0
	verdictAccept = 1
)

func when() *ruleBuilder { return &ruleBuilder{} }

func (b *ruleBuilder) say(format string, args ...any) *ruleBuilder {
	b.words = append(b.words, fmt.Sprintf(format, args...))
	return b
}

func (b *ruleBuilder) rule() rule {
	return rule{text: strings.Join(b.words, " "), expressions: b.out.b}
}

// expression adds one with the attributes that fill gives it.
func (b *ruleBuilder) expression(name string, fill func(o *buffer)) {
	elem := b.out.nest(unix.NFTA_LIST_ELEM)
	b.out.str(unix.NFTA_EXPR_NAME, name)
	data := b.out.nest(unix.NFTA_EXPR_DATA)
	fill(&b.out)
	b.out.end(data)
	b.out.end(elem)
}

func (b *ruleBuilder) loadMeta(key uint32, word int) {
	b.expression("meta", func(o *buffer) {
		o.u32(unix.NFTA_META_DREG, register(word))
		o.u32(unix.NFTA_META_KEY, key)
	})
}

func (b *ruleBuilder) loadPayload(base, offset, size uint32, word int) {
	b.expression("payload", func(o *buffer) {
		o.u32(unix.NFTA_PAYLOAD_DREG, register(word))
		o.u32(unix.NFTA_PAYLOAD_BASE, base)
		o.u32(unix.NFTA_PAYLOAD_OFFSET, offset)
		o.u32(unix.NFTA_PAYLOAD_LEN, size)
	})
}

// Where the addresses are in an IPv4 header, and ports in TCP's and UDP's.
const (
	offsetSource          = 12
	offsetDestination     = 16
	offsetSourcePort      = 0
	offsetDestinationPort = 2
)

func (b *ruleBuilder) loadAddress(offset uint32, word int) {
	b.loadPayload(unix.NFT_PAYLOAD_NETWORK_HEADER, offset, 4, word)
}

func (b *ruleBuilder) loadPort(word int) {
	b.loadPayload(unix.NFT_PAYLOAD_TRANSPORT_HEADER, offsetDestinationPort, 2, word)
}

func (b *ruleBuilder) compare(op uint32, value []byte) {
	b.expression("cmp", func(o *buffer) {
		o.u32(unix.NFTA_CMP_SREG, register(0))
		o.u32(unix.NFTA_CMP_OP, op)
		nest := o.nest(unix.NFTA_CMP_DATA)
		o.attr(unix.NFTA_DATA_VALUE, value)
		o.end(nest)
	})
}

func (b *ruleBuilder) mask(mask []byte) { b.bits(mask, make([]byte, len(mask))) }

// bits makes register 0 what is left of it by a mask, with those of flip changed.
func (b *ruleBuilder) bits(mask, flip []byte) {
	b.expression("bitwise", func(o *buffer) {
		o.u32(unix.NFTA_BITWISE_SREG, register(0))
		o.u32(unix.NFTA_BITWISE_DREG, register(0))
		o.u32(unix.NFTA_BITWISE_LEN, uint32(len(mask)))
		data := func(kind uint16, value []byte) {
			nest := o.nest(kind)
			o.attr(unix.NFTA_DATA_VALUE, value)
			o.end(nest)
		}
		data(unix.NFTA_BITWISE_MASK, mask)
		data(unix.NFTA_BITWISE_XOR, flip)
	})
}

// lookup looks register 0 and those behind it up; to is where the value of a map
// goes, nil in a plain set.
func (b *ruleBuilder) lookup(set string, to *uint32) { b.lookupOf(register(0), set, to) }

func (b *ruleBuilder) lookupOf(from uint32, set string, to *uint32) {
	b.expression("lookup", func(o *buffer) {
		o.str(unix.NFTA_LOOKUP_SET, set)
		o.u32(unix.NFTA_LOOKUP_SREG, from)
		if to != nil {
			o.u32(unix.NFTA_LOOKUP_DREG, *to)
		}
	})
}

func (b *ruleBuilder) verdict(code int32, chain string) {
	b.expression("immediate", func(o *buffer) {
		o.u32(unix.NFTA_IMMEDIATE_DREG, unix.NFT_REG_VERDICT)
		data := o.nest(unix.NFTA_IMMEDIATE_DATA)
		verdict(o, code, chain)
		o.end(data)
	})
}

// verdict adds the data of a verdict.
func verdict(o *buffer, code int32, chain string) {
	nest := o.nest(unix.NFTA_DATA_VERDICT)
	o.u32(unix.NFTA_VERDICT_CODE, uint32(code))
	if chain != "" {
		o.str(unix.NFTA_VERDICT_CHAIN, chain)
	}
	o.end(nest)
}

// What a rule asks.

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

// What a rule does.

func (b *ruleBuilder) accept() rule {
	b.verdict(verdictAccept, "")
	return b.say("accept").rule()
}

// notTracked spares the kernel to keep account of the packet's flow.
func (b *ruleBuilder) notTracked() *ruleBuilder {
	b.expression("notrack", func(*buffer) {})
	return b.say("notrack")
}

func (b *ruleBuilder) untracked() rule { return b.notTracked().accept() }

func (b *ruleBuilder) drop() rule {
	b.verdict(verdictDrop, "")
	return b.say("drop").rule()
}

func (b *ruleBuilder) jump(chain string) rule {
	b.verdict(unix.NFT_JUMP, chain)
	return b.say("jump %s", chain).rule()
}

func (b *ruleBuilder) goTo(chain string) rule {
	b.verdict(unix.NFT_GOTO, chain)
	return b.say("goto %s", chain).rule()
}

func (b *ruleBuilder) reset() rule {
	b.expression("reject", func(o *buffer) {
		o.u32(unix.NFTA_REJECT_TYPE, unix.NFT_REJECT_TCP_RST)
		o.u8(unix.NFTA_REJECT_ICMP_CODE, 0)
	})
	return b.say("reject with tcp reset").rule()
}

// setUntracked marks the flow as one that was let in from everywhere: the packet, of
// which a socket comes, and what the kernel keeps of a flow that is forwarded.
func (b *ruleBuilder) setUntracked() *ruleBuilder {
	bit := binary.NativeEndian.AppendUint32(nil, uint32(markUntracked))
	b.expression("immediate", func(o *buffer) {
		o.u32(unix.NFTA_IMMEDIATE_DREG, register(0))
		data := o.nest(unix.NFTA_IMMEDIATE_DATA)
		o.attr(unix.NFTA_DATA_VALUE, bit)
		o.end(data)
	})
	b.expression("ct", func(o *buffer) {
		o.u32(unix.NFTA_CT_KEY, unix.NFT_CT_MARK)
		o.u32(unix.NFTA_CT_SREG, register(0))
	})
	b.loadMeta(unix.NFT_META_MARK, 0)
	b.bits(binary.NativeEndian.AppendUint32(nil, ^uint32(markUntracked)), bit)
	b.storeMeta(unix.NFT_META_MARK)
	return b.say("ct mark set %#08x meta mark set meta mark | %#08x", uint32(markUntracked), uint32(markUntracked))
}

func (b *ruleBuilder) storeMeta(key uint32) {
	b.expression("meta", func(o *buffer) {
		o.u32(unix.NFTA_META_KEY, key)
		o.u32(unix.NFTA_META_SREG, register(0))
	})
}

// profile goes to the chain that the packet's source or destination has: of names
// it by a number, chains has its chain. It is one rule, since a lookup in vain ends the
// rule. Between lookups the number is the packet's priority, of which nobody makes use:
// nft cannot list rules that look up what they have looked up.
func (b *ruleBuilder) profile(offset uint32, of, chains string) rule {
	b.loadAddress(offset, 0)
	return b.lookupPriority("ip "+direction(offset), of).dispatch(chains)
}

// profileOfTarget is profile for the address that a map has for the packet's mark.
func (b *ruleBuilder) profileOfTarget(addresses, of, chains string) rule {
	b.loadMeta(unix.NFT_META_MARK, 0)
	b.lookupPriority("meta mark", addresses)
	b.loadMeta(unix.NFT_META_PRIORITY, 0)
	return b.lookupPriority("meta priority", of).dispatch(chains)
}

// lookupPriority makes what a map has for register 0 the packet's priority.
func (b *ruleBuilder) lookupPriority(key, set string) *ruleBuilder {
	to := register(0)
	b.lookup(set, &to)
	b.storeMeta(unix.NFT_META_PRIORITY)
	return b.say("meta priority set %s map @%s", key, set)
}

func (b *ruleBuilder) dispatch(chains string) rule {
	verdict := uint32(unix.NFT_REG_VERDICT)
	b.loadMeta(unix.NFT_META_PRIORITY, 0)
	b.lookup(chains, &verdict)
	return b.say("meta priority vmap @%s", chains).rule()
}

// dispatchDestination goes to the chain that a map has for where the packet goes.
func (b *ruleBuilder) dispatchDestination(set string) rule {
	b.loadAddress(offsetDestination, 0)
	b.loadPort(1)
	to := uint32(unix.NFT_REG_VERDICT)
	b.lookup(set, &to)
	return b.say("ip daddr . th dport vmap @%s", set).rule()
}

// markBy marks the packet with what a map has for where it goes.
func (b *ruleBuilder) markBy(set string) *ruleBuilder {
	b.loadAddress(offsetDestination, 0)
	b.loadPort(1)
	to := register(0)
	b.lookup(set, &to)
	b.storeMeta(unix.NFT_META_MARK)
	return b.say("meta mark set ip daddr . th dport map @%s", set)
}

// markInTurn marks one packet after the other with the values of a map whose keys
// are 0 to n-1.
func (b *ruleBuilder) markInTurn(n int, set string) *ruleBuilder {
	b.expression("numgen", func(o *buffer) {
		o.u32(unix.NFTA_NG_DREG, register(0))
		o.u32(unix.NFTA_NG_MODULUS, uint32(n))
		o.u32(unix.NFTA_NG_TYPE, unix.NFT_NG_INCREMENTAL)
	})
	to := register(0)
	b.lookup(set, &to)
	b.storeMeta(unix.NFT_META_MARK)
	return b.say("meta mark set numgen inc mod %d map @%s", n, set)
}

// Attributes of the expression tproxy (linux/netfilter/nf_tables.h).
const (
	attrTproxyFamily  = 1
	attrTproxyAddress = 2
	attrTproxyPort    = 3
)

// lead hands the packet to the socket that listens at the address and port which maps
// have for its mark, and leaves it as it is: to that socket's connection it was sent.
// If nobody listens there, or not transparently (see Conn.LeadTo), the rule ends.
func (b *ruleBuilder) lead(addresses, ports string) *ruleBuilder {
	b.loadMeta(unix.NFT_META_MARK, 0)
	to := register(0)
	b.lookup(addresses, &to)
	second := uint32(unix.NFT_REG_2)
	b.expression("meta", func(o *buffer) {
		o.u32(unix.NFTA_META_DREG, second)
		o.u32(unix.NFTA_META_KEY, unix.NFT_META_MARK)
	})
	b.lookupOf(second, ports, &second)
	b.expression("tproxy", func(o *buffer) {
		o.u32(attrTproxyFamily, unix.NFPROTO_IPV4)
		o.u32(attrTproxyAddress, to)
		o.u32(attrTproxyPort, second)
	})
	return b.say("tproxy ip to meta mark map @%s:meta mark map @%s", addresses, ports)
}

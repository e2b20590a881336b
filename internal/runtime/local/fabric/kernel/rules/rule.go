package rules

import (
	"fmt"
	"hash/fnv"
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

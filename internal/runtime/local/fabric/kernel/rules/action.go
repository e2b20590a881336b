package rules

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

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

package rules

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// batch is a list of changes of the kernel's tables that come about all at once
// or not at all.
type batch struct {
	buffer
	sock *socket
	// first is the sequence number of the batch's begin, what says for each
	// message from there what it does.
	first uint32
	what  []string
	sets  uint32
	last  int // where the last message begins
}

// begin opens a batch that is carried out only if the kernel's tables are of the
// given generation, which each batch raises by one.
func begin(s *socket, generation uint32) *batch {
	b := &batch{sock: s}
	b.control(unix.NFNL_MSG_BATCH_BEGIN, func() { b.u32(unix.NFNL_BATCH_GENID, generation) })
	return b
}

func (b *batch) control(kind uint16, fill func()) {
	seq := b.sock.next()
	if b.what == nil {
		b.first = seq
	}
	b.what = append(b.what, "batch")
	at := b.message(kind, 0, seq)
	b.netfilter(unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)
	fill()
	b.finish(at)
}

func (b *batch) add(kind, flags uint16, family uint8, what string, fill func()) {
	b.what = append(b.what, what)
	b.last = len(b.b)
	at := b.message(unix.NFNL_SUBSYS_NFTABLES<<8|kind, flags, b.sock.next())
	b.netfilter(family, 0)
	fill()
	b.finish(at)
}

// commit sends the batch and says whether it was carried out. errStale means that
// it was not, because the tables are of another generation.
func (b *batch) commit() error {
	// The acknowledgement of the last message says that all is done.
	b.b[b.last+6] |= unix.NLM_F_ACK
	last := b.sock.seq
	b.control(unix.NFNL_MSG_BATCH_END, func() {})
	err := b.sock.request(&b.buffer, last, nil)
	var failed *requestError
	switch {
	case errors.Is(err, unix.ERESTART):
		return errStale
	case errors.As(err, &failed) && int(failed.seq-b.first) < len(b.what):
		return fmt.Errorf("%s: %w", b.what[failed.seq-b.first], err)
	}
	return err
}

// errStale: somebody changed the tables since.
var errStale = errors.New("the tables have changed")

// empty reports whether the batch changes nothing.
func (b *batch) empty() bool { return len(b.what) == 1 }

func (b *batch) addTable(family uint8) {
	b.add(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, family, "add table", func() {
		b.str(unix.NFTA_TABLE_NAME, tableName)
	})
}

func (b *batch) deleteTable(family uint8) {
	b.add(unix.NFT_MSG_DELTABLE, 0, family, "delete table", func() {
		b.str(unix.NFTA_TABLE_NAME, tableName)
	})
}

func (b *batch) addChain(c *chain) {
	b.add(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, c.family, "add chain "+c.name, func() {
		b.str(unix.NFTA_CHAIN_TABLE, tableName)
		b.str(unix.NFTA_CHAIN_NAME, c.name)
		if c.base == nil {
			return
		}
		hook := b.nest(unix.NFTA_CHAIN_HOOK)
		b.u32(unix.NFTA_HOOK_HOOKNUM, c.base.hook)
		b.u32(unix.NFTA_HOOK_PRIORITY, uint32(c.base.priority))
		b.end(hook)
		b.u32(unix.NFTA_CHAIN_POLICY, verdictDrop)
		b.str(unix.NFTA_CHAIN_TYPE, "filter")
	})
}

func (b *batch) deleteChain(c *chain) {
	b.add(unix.NFT_MSG_DELCHAIN, 0, c.family, "delete chain "+c.name, func() {
		b.str(unix.NFTA_CHAIN_TABLE, tableName)
		b.str(unix.NFTA_CHAIN_NAME, c.name)
	})
}

func (b *batch) flushChain(c *chain) {
	b.add(unix.NFT_MSG_DELRULE, 0, c.family, "flush chain "+c.name, func() {
		b.str(unix.NFTA_RULE_TABLE, tableName)
		b.str(unix.NFTA_RULE_CHAIN, c.name)
	})
}

// addRules adds the rules of a chain. Each carries a digest of its text, so that
// the kernel's can be compared with ours without reading expressions.
func (b *batch) addRules(c *chain) {
	for _, r := range c.rules {
		b.add(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, c.family, "add rule to "+c.name, func() {
			b.str(unix.NFTA_RULE_TABLE, tableName)
			b.str(unix.NFTA_RULE_CHAIN, c.name)
			b.attr(unix.NFTA_RULE_EXPRESSIONS|unix.NLA_F_NESTED, r.expressions)
			b.attr(unix.NFTA_RULE_USERDATA, r.tag())
		})
	}
}

func (b *batch) addSet(s *set) {
	b.sets++
	b.add(unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE, unix.NFPROTO_IPV4, "add set "+s.name, func() {
		b.str(unix.NFTA_SET_TABLE, tableName)
		b.str(unix.NFTA_SET_NAME, s.name)
		b.u32(unix.NFTA_SET_KEY_TYPE, s.key.magic())
		b.u32(unix.NFTA_SET_KEY_LEN, s.key.size())
		b.u32(unix.NFTA_SET_ID, b.sets)
		b.attr(unix.NFTA_SET_USERDATA, s.byteOrder())
		switch {
		case s.chains:
			b.u32(unix.NFTA_SET_FLAGS, unix.NFT_SET_MAP)
			b.u32(unix.NFTA_SET_DATA_TYPE, unix.NFT_DATA_VERDICT)
		case s.data != nil:
			b.u32(unix.NFTA_SET_FLAGS, unix.NFT_SET_MAP)
			b.u32(unix.NFTA_SET_DATA_TYPE, s.data.magic())
			b.u32(unix.NFTA_SET_DATA_LEN, s.data.size())
		}
	})
}

func (b *batch) deleteSet(s *set) {
	b.add(unix.NFT_MSG_DELSET, 0, unix.NFPROTO_IPV4, "delete set "+s.name, func() {
		b.str(unix.NFTA_SET_TABLE, tableName)
		b.str(unix.NFTA_SET_NAME, s.name)
	})
}

// An attribute is at most 64 KiB, and elements are one attribute of a message. An
// element takes less than 256 bytes.
const elementsPerMessage = 250

// elements adds or deletes elements, given by their keys.
func (b *batch) elements(s *set, keys []string, remove bool) {
	kind, flags, what := uint16(unix.NFT_MSG_NEWSETELEM), uint16(unix.NLM_F_CREATE), "add elements to "
	if remove {
		kind, flags, what = unix.NFT_MSG_DELSETELEM, 0, "delete elements of "
	}
	for len(keys) > 0 {
		n := min(len(keys), elementsPerMessage)
		b.add(kind, flags, unix.NFPROTO_IPV4, what+s.name, func() {
			b.str(unix.NFTA_SET_ELEM_LIST_TABLE, tableName)
			b.str(unix.NFTA_SET_ELEM_LIST_SET, s.name)
			list := b.nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS)
			for _, key := range keys[:n] {
				b.element(s, key, remove)
			}
			b.end(list)
		})
		keys = keys[n:]
	}
}

func (b *batch) element(s *set, key string, remove bool) {
	elem := b.nest(unix.NFTA_LIST_ELEM)
	nest := b.nest(unix.NFTA_SET_ELEM_KEY)
	b.attr(unix.NFTA_DATA_VALUE, []byte(key))
	b.end(nest)
	if !remove && (s.chains || s.data != nil) {
		data := b.nest(unix.NFTA_SET_ELEM_DATA)
		if s.chains {
			verdict(&b.buffer, unix.NFT_GOTO, s.elements[key])
		} else {
			b.attr(unix.NFTA_DATA_VALUE, []byte(s.elements[key]))
		}
		b.end(data)
	}
	b.end(elem)
}

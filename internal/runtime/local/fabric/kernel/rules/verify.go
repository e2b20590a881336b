package rules

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// Verify reports whether the kernel's table is as the last Apply left it. That
// costs one question as long as nobody has changed any table of the namespace,
// and a listing of ours when somebody has. Where the answer is no, or not known,
// the next Apply replaces all of it.
func (c *Conn) Verify() (intact bool, err error) {
	if c.applied == nil {
		return false, nil
	}
	for range attempts {
		generation, err := c.currentGeneration()
		if err != nil {
			c.applied = nil
			return false, err
		}
		if generation == c.generation {
			return true, nil
		}
		intact, err = c.same(c.applied)
		if errors.Is(err, errInterrupted) {
			continue // it is listed again, at another generation
		}
		if err != nil || !intact {
			c.applied = nil
			return false, err
		}
		c.generation = generation
	}
	c.applied = nil
	return false, nil
}

// same lists the kernel's table and compares it with t.
func (c *Conn) same(t *Table) (bool, error) {
	chains, err := c.listChains()
	if err != nil || !slices.Equal(chains, t.chainLines()) {
		return false, err
	}
	rules, err := c.listRules()
	if err != nil || !maps.EqualFunc(rules, t.ruleTags(), slices.Equal) {
		return false, err
	}
	sets, err := c.listSets()
	if err != nil || !slices.Equal(sets, slices.Sorted(maps.Keys(t.sets))) {
		return false, err
	}
	for _, name := range sets {
		elements, err := c.listElements(t.sets[name])
		if err != nil || !maps.Equal(elements, t.sets[name].elements) {
			return false, err
		}
	}
	return true, nil
}

// list asks for objects of our table and passes on the attributes of each.
func (c *Conn) list(kind uint16, family uint8, fill func(*buffer), fn func(kind uint16, value []byte), each func()) error {
	var b buffer
	seq := c.nft.next()
	at := b.message(unix.NFNL_SUBSYS_NFTABLES<<8|kind, unix.NLM_F_DUMP, seq)
	b.netfilter(family, 0)
	fill(&b)
	b.finish(at)
	err := c.nft.request(&b, seq, func(r reply) {
		attributes(r.data[min(len(r.data), sizeofNfgenmsg):], fn)
		each()
	})
	if errors.Is(err, unix.ENOENT) { // there is no such table
		return nil
	}
	if err != nil {
		return fmt.Errorf("list rules of %s: %w", c.ns.Path(), err)
	}
	return nil
}

// chainLine is what has to be right about a chain beside its rules.
func chainLine(family uint8, name string, hook uint32, priority int32, policy uint32, isBase bool) string {
	if !isBase {
		return fmt.Sprint(family, " ", name)
	}
	return fmt.Sprint(family, " ", name, " ", hook, " ", priority, " ", policy)
}

func (t *Table) chainLines() []string {
	var out []string
	for _, c := range t.chains {
		if c.base == nil {
			out = append(out, chainLine(c.family, c.name, 0, 0, 0, false))
			continue
		}
		out = append(out, chainLine(c.family, c.name, c.base.hook, c.base.priority, verdictDrop, true))
	}
	slices.Sort(out)
	return out
}

func (c *Conn) listChains() ([]string, error) {
	var out []string
	for _, family := range families {
		var table, name string
		var hook, policy uint32
		var priority int32
		var isBase bool
		err := c.list(unix.NFT_MSG_GETCHAIN, family, func(*buffer) {}, func(kind uint16, value []byte) {
			switch kind {
			case unix.NFTA_CHAIN_TABLE:
				table = text(value)
			case unix.NFTA_CHAIN_NAME:
				name = text(value)
			case unix.NFTA_CHAIN_POLICY:
				policy = bigEndian32(value)
			case unix.NFTA_CHAIN_HOOK:
				isBase = true
				attributes(value, func(kind uint16, value []byte) {
					switch kind {
					case unix.NFTA_HOOK_HOOKNUM:
						hook = bigEndian32(value)
					case unix.NFTA_HOOK_PRIORITY:
						priority = int32(bigEndian32(value))
					}
				})
			}
		}, func() {
			if table == tableName {
				out = append(out, chainLine(family, name, hook, priority, policy, isBase))
			}
			isBase = false
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(out)
	return out, nil
}

// ruleTags are the tags of the rules of each chain that has any.
func (t *Table) ruleTags() map[string][]string {
	out := map[string][]string{}
	for _, c := range t.chains {
		for _, r := range c.rules {
			out[c.name] = append(out[c.name], string(r.tag()))
		}
	}
	return out
}

func (c *Conn) listRules() (map[string][]string, error) {
	out := map[string][]string{}
	for _, family := range families {
		var chain, tag string
		err := c.list(unix.NFT_MSG_GETRULE, family, func(b *buffer) { b.str(unix.NFTA_RULE_TABLE, tableName) }, func(kind uint16, value []byte) {
			switch kind {
			case unix.NFTA_RULE_CHAIN:
				chain = text(value)
			case unix.NFTA_RULE_USERDATA:
				tag = string(value)
			}
		}, func() {
			out[chain] = append(out[chain], tag)
			tag = ""
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (c *Conn) listSets() ([]string, error) {
	var out []string
	for _, family := range families {
		var name string
		err := c.list(unix.NFT_MSG_GETSET, family, func(b *buffer) { b.str(unix.NFTA_SET_TABLE, tableName) }, func(kind uint16, value []byte) {
			if kind == unix.NFTA_SET_NAME {
				name = text(value)
			}
		}, func() { out = append(out, name) })
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(out)
	return out, nil
}

func (c *Conn) listElements(s *set) (map[string]string, error) {
	out := make(map[string]string, len(s.elements))
	element := func(_ uint16, value []byte) {
		var key, data string
		attributes(value, func(kind uint16, value []byte) {
			switch kind {
			case unix.NFTA_SET_ELEM_KEY:
				attributes(value, func(_ uint16, value []byte) { key = string(value) })
			case unix.NFTA_SET_ELEM_DATA:
				attributes(value, func(kind uint16, value []byte) { data = elementData(kind, value) })
			}
		})
		out[key] = data
	}
	err := c.list(unix.NFT_MSG_GETSETELEM, unix.NFPROTO_IPV4, func(b *buffer) {
		b.str(unix.NFTA_SET_ELEM_LIST_TABLE, tableName)
		b.str(unix.NFTA_SET_ELEM_LIST_SET, s.name)
	}, func(kind uint16, value []byte) {
		if kind == unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			attributes(value, element)
		}
	}, func() {})
	return out, err
}

// elementData is the value of an element, or the name of the chain that it goes to.
func elementData(kind uint16, value []byte) (data string) {
	if kind == unix.NFTA_DATA_VALUE {
		return string(value)
	}
	code := uint32(0)
	attributes(value, func(kind uint16, value []byte) {
		switch kind {
		case unix.NFTA_VERDICT_CHAIN:
			data = text(value)
		case unix.NFTA_VERDICT_CODE:
			code = bigEndian32(value)
		}
	})
	if int32(code) != unix.NFT_GOTO {
		return fmt.Sprint("verdict ", int32(code))
	}
	return data
}

func text(value []byte) string { return unix.ByteSliceToString(value) }

func bigEndian32(value []byte) uint32 {
	if len(value) < 4 {
		return 0
	}
	return uint32(value[0])<<24 | uint32(value[1])<<16 | uint32(value[2])<<8 | uint32(value[3])
}

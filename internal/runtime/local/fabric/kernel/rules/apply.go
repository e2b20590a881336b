package rules

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/larder-cache/larder/internal/netns"
	"golang.org/x/sys/unix"
)

// Conn changes the rules and the flows of one namespace. It touches no table but
// ours. It is for one goroutine at a time.
type Conn struct {
	// nft is for tables and flows, diag for sockets; that is opened when needed.
	nft, diag *socket
	ns        *netns.Namespace
	// applied is what the kernel has, as far as we know; nil if we do not.
	applied *Table
	// generation is of the kernel's tables after our last change.
	generation uint32
}

// Open connects to the namespace with a path. The rules there stay as they are.
func Open(namespace string) (*Conn, error) {
	ns, err := netns.Open(namespace)
	if err != nil {
		return nil, err
	}
	s, err := openSocket(ns, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, errors.Join(err, ns.Close())
	}
	return &Conn{nft: s, ns: ns}, nil
}

// Close lets go of the namespace; its rules stay in force.
func (c *Conn) Close() error {
	errs := []error{c.nft.close(), c.ns.Close()}
	if c.diag != nil {
		errs = append(errs, c.diag.close())
	}
	return errors.Join(errs...)
}

// attempts is how often a change is tried when others change the tables of the
// namespace at the same time.
const attempts = 8

// Apply makes the namespace's table t, in one batch: packets meet the old table or
// the new one, never anything between. The first time, and whenever the kernel's
// table may not be what the last Apply left, all of it is replaced; otherwise only
// what is different is sent. After an error it is unknown which of the two tables
// is in force, and the next Apply replaces all of it.
func (c *Conn) Apply(t *Table) error {
	for range attempts {
		err := c.change(t)
		if err == nil {
			c.applied = t
			return nil
		}
		if errors.Is(err, errStale) {
			_, err = c.Verify()
		} else {
			c.applied = nil
			err = fmt.Errorf("rules of %s: %w", c.ns.Path(), err)
		}
		if err != nil {
			return err
		}
	}
	c.applied = nil
	return fmt.Errorf("rules of %s: %w", c.ns.Path(), errStale)
}

// change sends one batch, or nothing if the table is t already.
func (c *Conn) change(t *Table) error {
	if c.applied == nil {
		generation, err := c.currentGeneration()
		if err != nil {
			return err
		}
		c.generation = generation
	}
	b := begin(c.nft, c.generation)
	if c.applied == nil {
		replace(b, t)
	} else {
		difference(b, c.applied, t)
	}
	if b.empty() {
		return nil
	}
	if err := b.commit(); err != nil {
		return err
	}
	c.generation++
	if c.generation == 0 { // which the kernel leaves out
		c.generation++
	}
	return nil
}

func (c *Conn) currentGeneration() (uint32, error) {
	var b buffer
	var generation uint32
	seq := c.nft.next()
	at := b.message(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN, unix.NLM_F_ACK, seq)
	b.netfilter(unix.AF_UNSPEC, 0)
	b.finish(at)
	err := c.nft.request(&b, seq, func(r reply) {
		attributes(r.data[min(len(r.data), sizeofNfgenmsg):], func(kind uint16, value []byte) {
			if kind == unix.NFTA_GEN_ID {
				generation = bigEndian32(value)
			}
		})
	})
	if err != nil {
		return 0, fmt.Errorf("generation of the tables of %s: %w", c.ns.Path(), err)
	}
	return generation, nil
}

var families = [...]uint8{unix.NFPROTO_IPV4, unix.NFPROTO_IPV6}

// replace adds a whole table in place of whatever has its name.
func replace(b *batch, t *Table) {
	for _, family := range families {
		b.addTable(family) // so that there is one to delete
		b.deleteTable(family)
		b.addTable(family)
	}
	for _, name := range slices.Sorted(maps.Keys(t.sets)) {
		b.addSet(t.sets[name])
	}
	chains := slices.Sorted(maps.Keys(t.chains))
	for _, name := range chains {
		b.addChain(t.chains[name])
	}
	for _, name := range chains {
		b.addRules(t.chains[name])
	}
	for _, name := range slices.Sorted(maps.Keys(t.sets)) {
		s := t.sets[name]
		b.elements(s, slices.Sorted(maps.Keys(s.elements)), false)
	}
}

// difference adds what makes one table another. The order is that of references:
// what is new first, then what may refer to it, and what nothing refers to any
// more last.
func difference(b *batch, from, to *Table) {
	newSets, changedSets, goneSets := compare(from.sets, to.sets, func(a, b *set) bool { return a == b })
	newChains, changedChains, goneChains := compare(from.chains, to.chains, (*chain).equal)
	for _, name := range newSets {
		b.addSet(to.sets[name])
	}
	for _, name := range newChains {
		b.addChain(to.chains[name])
	}
	for _, name := range slices.Concat(changedChains, goneChains) {
		b.flushChain(from.chains[name])
	}
	for _, name := range slices.Concat(newChains, changedChains) {
		b.addRules(to.chains[name])
	}
	for _, name := range newSets {
		b.elements(to.sets[name], slices.Sorted(maps.Keys(to.sets[name].elements)), false)
	}
	for _, name := range changedSets {
		changeElements(b, from.sets[name], to.sets[name])
	}
	for _, name := range goneSets {
		b.deleteSet(from.sets[name])
	}
	for _, name := range goneChains {
		b.deleteChain(from.chains[name])
	}
}

// compare tells by name what is new, changed and gone, each sorted.
func compare[T any](from, to map[string]*T, equal func(a, b *T) bool) (added, changed, gone []string) {
	for name, now := range to {
		switch was := from[name]; {
		case was == nil:
			added = append(added, name)
		case !equal(was, now):
			changed = append(changed, name)
		}
	}
	for name := range from {
		if to[name] == nil {
			gone = append(gone, name)
		}
	}
	slices.Sort(added)
	slices.Sort(changed)
	slices.Sort(gone)
	return added, changed, gone
}

// changeElements deletes what is gone or has another value, and adds what is new
// or has; of equal sets that is nothing. A set of a name never changes its types.
func changeElements(b *batch, from, to *set) {
	var gone, added []string
	kept := len(from.elements)
	for key, value := range from.elements {
		now, ok := to.elements[key]
		switch {
		case !ok:
			kept--
			gone = append(gone, key)
		case now != value:
			gone = append(gone, key)
			added = append(added, key)
		}
	}
	if kept < len(to.elements) {
		for key := range to.elements {
			if _, ok := from.elements[key]; !ok {
				added = append(added, key)
			}
		}
	}
	slices.Sort(gone)
	slices.Sort(added)
	b.elements(to, gone, true)
	b.elements(to, added, false)
}

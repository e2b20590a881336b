package rules

import (
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// tableName is the name of our table in every namespace, in the families ip and
// ip6. All else in a namespace is somebody else's.
const tableName = "larder"

// Table is all that the kernel of a namespace shall hold of ours. It never
// changes once it is compiled; tables made by one Compiler share the parts that
// are equal.
type Table struct {
	chains map[string]*chain
	sets   map[string]*set
}

// chain is a list of rules. Base chains are where the kernel enters.
type chain struct {
	name   string
	family uint8 // unix.NFPROTO_IPV4, or NFPROTO_IPV6 in the table that shuts IPv6 out
	base   *base
	rules  []rule
}

// base is where and when the kernel enters a chain. What passes its end is dropped.
type base struct {
	hook     uint32
	priority int32
}

// set is a set of keys, or a map of them to data or to chains.
type set struct {
	name string
	key  datatype
	// data is the type of the values; empty in a plain set.
	data datatype
	// chains is set where the values are names of chains to go to.
	chains bool
	// elements are values by key, both as they are in the kernel's registers. A
	// value that is a chain is its name.
	elements map[string]string
}

// datatype is what nft calls the type of an element: fields one after the other,
// each in registers of four bytes unless it is alone.
type datatype []field

type field struct {
	name string
	// magic is nft's number of the type: the kernel keeps it for whoever lists.
	magic, size uint32
}

var (
	fieldAddr   = field{"ipv4_addr", 7, 4}
	fieldPort   = field{"inet_service", 13, 2}
	fieldMark   = field{"mark", 19, 4}
	fieldIfname = field{"ifname", 41, unix.IFNAMSIZ}
)

const bitsOfMagic = 6

func (d datatype) magic() (m uint32) {
	for _, f := range d {
		m = m<<bitsOfMagic | f.magic
	}
	return m
}

func (d datatype) size() (n uint32) {
	if len(d) == 1 {
		return d[0].size
	}
	for _, f := range d {
		n += padded(f.size)
	}
	return n
}

// byteOrder tells nft how to print keys and values: marks are numbers of the host,
// all else is as on the wire.
func (s *set) byteOrder() []byte {
	const typeOfKey, typeOfData, host, network = 0, 1, 1, 2
	entry := func(out []byte, kind byte, d datatype) []byte {
		order := uint32(network)
		if slices.Contains(d, fieldMark) {
			order = host
		}
		return binary.NativeEndian.AppendUint32(append(out, kind, 4), order)
	}
	out := entry(nil, typeOfKey, s.key)
	if s.data != nil {
		out = entry(out, typeOfData, s.data)
	}
	return out
}

func padded(n uint32) uint32 { return (n + 3) &^ 3 }

func (d datatype) String() string {
	names := make([]string, len(d))
	for i, f := range d {
		names[i] = f.name
	}
	return strings.Join(names, " . ")
}

// format prints an element as nft does.
func (d datatype) format(value string) string {
	out := make([]string, len(d))
	b := []byte(value)
	for i, f := range d {
		switch f {
		case fieldAddr:
			out[i] = netip.AddrFrom4([4]byte(b[:4])).String()
		case fieldPort:
			out[i] = fmt.Sprint(binary.BigEndian.Uint16(b))
		case fieldIfname:
			out[i] = fmt.Sprintf("%q", unix.ByteSliceToString(b[:f.size]))
		default:
			out[i] = fmt.Sprintf("%#08x", binary.NativeEndian.Uint32(b))
		}
		b = b[min(int(padded(f.size)), len(b)):]
	}
	return strings.Join(out, " . ")
}

func protocolName(p uint8) string {
	switch p {
	case unix.IPPROTO_TCP:
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	case unix.IPPROTO_ICMP:
		return "icmp"
	}
	return fmt.Sprint(p)
}

// The keys and values of sets.

func addrKey(a netip.Addr) string {
	b := a.As4()
	return string(b[:])
}

func portKey(a netip.AddrPort) string {
	b := a.Addr().As4()
	return string([]byte{b[0], b[1], b[2], b[3], byte(a.Port() >> 8), byte(a.Port()), 0, 0})
}

func portOnly(a netip.AddrPort) string { return string([]byte{byte(a.Port() >> 8), byte(a.Port())}) }

func linkKey(name string, a netip.Addr) string {
	var b [unix.IFNAMSIZ]byte
	copy(b[:], name)
	return string(b[:]) + addrKey(a)
}

func markKey[N uint32 | mark](n N) string {
	return string(binary.NativeEndian.AppendUint32(nil, uint32(n)))
}

func (t *Table) chain(name string) *chain {
	c := newChain(name)
	t.chains[name] = c
	return c
}

func newChain(name string) *chain { return &chain{name: name, family: unix.NFPROTO_IPV4} }

func (t *Table) set(name string, key datatype, data datatype, size int) *set {
	s := &set{name: name, key: key, data: data, elements: make(map[string]string, size)}
	t.sets[name] = s
	return s
}

// plainSet is a set of keys. If an earlier table has it with the same ones, it is
// taken over and none is made.
func (t *Table) plainSet(before *Table, name string, key datatype, keys iter.Seq[string]) {
	if before != nil {
		old := before.sets[name]
		n, same := 0, true
		for k := range keys {
			if _, same = old.elements[k]; !same {
				break
			}
			n++
		}
		if same && n == len(old.elements) {
			t.sets[name] = old
			return
		}
	}
	s := t.set(name, key, nil, 0)
	for k := range keys {
		s.elements[k] = ""
	}
}

func (t *Table) verdictMap(name string, key datatype, size int) *set {
	s := t.set(name, key, nil, size)
	s.chains = true
	return s
}

// String prints the table as nft lists it, sets before chains, both sorted by
// name.
func (t *Table) String() string {
	var b strings.Builder
	for _, family := range []struct {
		name   string
		number uint8
	}{{"ip", unix.NFPROTO_IPV4}, {"ip6", unix.NFPROTO_IPV6}} {
		fmt.Fprintf(&b, "table %s %s {\n", family.name, tableName)
		for _, name := range slices.Sorted(maps.Keys(t.sets)) {
			if family.number == unix.NFPROTO_IPV4 {
				t.sets[name].print(&b)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(t.chains)) {
			if c := t.chains[name]; c.family == family.number {
				c.print(&b)
			}
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func (s *set) print(b *strings.Builder) {
	kind, to := "set", ""
	switch {
	case s.chains:
		kind, to = "map", " : verdict"
	case s.data != nil:
		kind, to = "map", " : "+s.data.String()
	}
	fmt.Fprintf(b, "\t%s %s {\n\t\ttype %s%s\n", kind, s.name, s.key, to)
	for n, key := range slices.Sorted(maps.Keys(s.elements)) {
		sep := "\t\t           "
		if n == 0 {
			sep = "\t\telements = "
		}
		b.WriteString(sep + s.key.format(key))
		switch value := s.elements[key]; {
		case s.chains:
			b.WriteString(" : goto " + value)
		case s.data != nil:
			b.WriteString(" : " + s.data.format(value))
		}
		b.WriteString("\n")
	}
	b.WriteString("\t}\n")
}

func (c *chain) print(b *strings.Builder) {
	fmt.Fprintf(b, "\tchain %s {\n", c.name)
	if c.base != nil {
		hook := [...]string{"prerouting", "input", "forward", "output", "postrouting"}[c.base.hook]
		fmt.Fprintf(b, "\t\ttype filter hook %s priority %d; policy drop;\n", hook, c.base.priority)
	}
	for _, r := range c.rules {
		b.WriteString("\t\t" + r.text + "\n")
	}
	b.WriteString("\t}\n")
}

// share puts chains of an earlier table in place of equal ones, so that telling
// them apart costs no more than comparing pointers.
func (t *Table) share(before *Table) {
	if before == nil {
		return
	}
	for name, c := range t.chains {
		if old := before.chains[name]; old != nil && old.equal(c) {
			t.chains[name] = old
		}
	}
}

func (c *chain) equal(o *chain) bool {
	if c == o {
		return true
	}
	sameBase := c.base == nil && o.base == nil || c.base != nil && o.base != nil && *c.base == *o.base
	return sameBase && c.family == o.family && slices.EqualFunc(c.rules, o.rules, func(a, b rule) bool { return a.text == b.text })
}

func (s *set) clone() *set {
	out := *s
	out.elements = maps.Clone(s.elements)
	return &out
}

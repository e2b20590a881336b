package dns

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

var testZone = Zone{Domain: "cache.larder.internal", Names: map[string][]netip.Addr{
	"c.abc123.0001.use1.cache.larder.internal":  {netip.MustParseAddr("127.10.16.9")},
	"rg-ro.abc123.use1.cache.larder.internal":   {netip.MustParseAddr("127.10.16.10"), netip.MustParseAddr("127.10.16.11")},
	"without.abc123.use1.cache.larder.internal": nil,
	"elsewhere.example.com":                     {netip.MustParseAddr("127.10.16.12")},
}}

// brief is an answer in one line: code, flags, addresses, who says that there is none.
func brief(m *dns.Msg) string {
	out := []string{dns.RcodeToString[m.Rcode]}
	if m.Authoritative {
		out = append(out, "aa")
	}
	if m.RecursionAvailable {
		out = append(out, "ra")
	}
	for _, rr := range m.Answer {
		switch r := rr.(type) {
		case *dns.A:
			out = append(out, r.A.String())
		default:
			out = append(out, dns.TypeToString[r.Header().Rrtype])
		}
	}
	for _, rr := range m.Ns {
		out = append(out, "ns:"+dns.TypeToString[rr.Header().Rrtype])
	}
	return strings.Join(out, " ")
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	zone := compile(testZone)
	const node = "c.abc123.0001.use1.cache.larder.internal."
	for _, tt := range []struct {
		name, asked string
		qtype       uint16
		want        string
	}{
		{"address", node, dns.TypeA, "NOERROR aa 127.10.16.9"},
		{"in other case", "C.aBc123.0001.USE1.cache.Larder.internal.", dns.TypeA, "NOERROR aa 127.10.16.9"},
		{"several addresses", "rg-ro.abc123.use1.cache.larder.internal.", dns.TypeA, "NOERROR aa 127.10.16.10 127.10.16.11"},
		{"anything", node, dns.TypeANY, "NOERROR aa 127.10.16.9"},
		{"IPv6 address", node, dns.TypeAAAA, "NOERROR aa ns:SOA"},
		{"unknown type", node, 65280, "NOERROR aa ns:SOA"},
		{"name without an address", "without.abc123.use1.cache.larder.internal.", dns.TypeA, "NOERROR aa ns:SOA"},
		{"name above others", "0001.use1.cache.larder.internal.", dns.TypeA, "NOERROR aa ns:SOA"},
		{"no such name", "d.abc123.0001.use1.cache.larder.internal.", dns.TypeA, "NXDOMAIN aa ns:SOA"},
		{"below a name", "x." + node, dns.TypeA, "NXDOMAIN aa ns:SOA"},
		{"the domain", "cache.larder.internal.", dns.TypeA, "NOERROR aa ns:SOA"},
		{"its authority", "cache.larder.internal.", dns.TypeSOA, "NOERROR aa SOA"},
		{"its server", "CACHE.larder.internal.", dns.TypeNS, "NOERROR aa NS"},
		{"the domain above", "larder.internal.", dns.TypeA, "REFUSED"},
		{"the root", ".", dns.TypeNS, "REFUSED"},
		{"a stranger", "www.example.com.", dns.TypeA, "REFUSED"},
		{"a stranger that ends alike", "xcache.larder.internal.", dns.TypeA, "REFUSED"},
		{"a stranger in the zone's own list", "elsewhere.example.com.", dns.TypeA, "REFUSED"},
		{"the whole zone", "cache.larder.internal.", dns.TypeAXFR, "REFUSED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := new(dns.Msg).SetQuestion(tt.asked, tt.qtype)
			m := zone.answer(q, dns.MinMsgSize)
			if got := brief(m); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if m.Id != q.Id || !m.Response || len(m.Question) != 1 || m.Question[0] != q.Question[0] {
				t.Errorf("the answer is not to the question: %v", m)
			}
			for _, rr := range m.Answer {
				if a, ok := rr.(*dns.A); ok && (a.Hdr.Name != tt.asked || a.Hdr.Ttl != TTL) {
					t.Errorf("record is %v", a)
				}
			}
		})
	}
}

func TestUnusualQuestions(t *testing.T) {
	t.Parallel()
	zone := compile(testZone)
	const node = "c.abc123.0001.use1.cache.larder.internal."
	for _, tt := range []struct {
		name string
		edit func(*dns.Msg)
		want string
	}{
		{"another class", func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, "REFUSED"},
		{"any class", func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassANY }, "NOERROR aa 127.10.16.9"},
		{"an update", func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }, "NOTIMP"},
		{"no question", func(m *dns.Msg) { m.Question = nil }, "FORMERR"},
		{"two questions", func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, "FORMERR"},
		{"extensions", func(m *dns.Msg) { m.SetEdns0(4096, false) }, "NOERROR aa 127.10.16.9"},
		{"unknown extensions", func(m *dns.Msg) { m.SetEdns0(4096, false); m.IsEdns0().SetVersion(1) }, "BADVERS"},
		{"recursion wanted", func(m *dns.Msg) { m.RecursionDesired = true }, "NOERROR aa 127.10.16.9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := new(dns.Msg).SetQuestion(node, dns.TypeA)
			tt.edit(q)
			m := zone.answer(q, dns.MinMsgSize)
			got := brief(m)
			if m.Rcode == dns.RcodeBadVers {
				got = "BADVERS"
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if (m.IsEdns0() != nil) != (q.IsEdns0() != nil) {
				t.Error("extensions are answered with none, or none with some")
			}
		})
	}
}

// An answer that is too large for a datagram is cut, and says so.
func TestTruncates(t *testing.T) {
	t.Parallel()
	var many []netip.Addr
	for n := range 100 {
		many = append(many, netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}))
	}
	zone := compile(Zone{Domain: "d.test", Names: map[string][]netip.Addr{"many.d.test": many}})
	for _, tt := range []struct {
		takes     uint16 // by its extensions; 0: none
		limit     int
		size      int
		truncated bool
	}{
		{0, dns.MinMsgSize, dns.MinMsgSize, true},
		{1, dns.MinMsgSize, dns.MinMsgSize, true},
		{900, dns.MinMsgSize, 900, true},
		{65535, dns.MinMsgSize, udpSize, true},
		{0, dns.MaxMsgSize, dns.MaxMsgSize, false},
	} {
		t.Run(fmt.Sprint(tt.takes, " ", tt.limit), func(t *testing.T) {
			t.Parallel()
			q := new(dns.Msg).SetQuestion("many.d.test.", dns.TypeA)
			if tt.takes > 0 {
				q.SetEdns0(tt.takes, false)
			}
			m := zone.answer(q, tt.limit)
			if m.Truncated != tt.truncated || m.Len() > tt.size || len(m.Answer) == 0 {
				t.Errorf("truncated %v, %d bytes, %d records", m.Truncated, m.Len(), len(m.Answer))
			}
		})
	}
}

// FuzzAnswer: whatever comes over the network is answered or dropped, within the
// size that the peer takes, and nothing is said about names of others.
func FuzzAnswer(f *testing.F) {
	for _, name := range []string{"c.abc123.0001.use1.cache.larder.internal.", "cache.larder.internal.", "www.example.com."} {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeANY, dns.TypeAXFR} {
			m := new(dns.Msg).SetQuestion(name, qtype)
			m.SetEdns0(1232, true)
			b, err := m.Pack()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	zone := compile(testZone)
	f.Fuzz(func(t *testing.T, b []byte) {
		q := new(dns.Msg)
		if q.Unpack(b) != nil {
			return
		}
		m := zone.answer(q, dns.MinMsgSize)
		out, err := m.Pack()
		if err != nil {
			// A question that could be read but not be written is not sent back.
			return
		}
		if len(out) > udpSize {
			t.Errorf("%d bytes for a datagram", len(out))
		}
		for _, rr := range m.Answer {
			if !dns.IsSubDomain("cache.larder.internal.", rr.Header().Name) {
				t.Errorf("answered %v", rr)
			}
		}
	})
}

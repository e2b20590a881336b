package dns

import (
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// TTL is how many seconds an answer may be kept, one that says that there is no
// such name included.
const TTL = 5

// udpSize is the largest answer over UDP that is sent to who can take it: it needs
// no fragments on any network.
const udpSize = 1232

// Zone is a domain that a server answers for.
type Zone struct {
	// Domain has no dot at its ends, e.g. "cache.larder.internal".
	Domain string
	// Names are the IPv4 addresses by name, in lower case and without the final
	// dot. A name outside of the domain is never answered.
	Names map[string][]netip.Addr
}

// compiled is a zone in the form that answers need. It never changes.
type compiled struct {
	// origin is the domain in lower case with the final dot.
	origin string
	names  map[string][]netip.Addr
	// above are names that others end in: they exist, but have no addresses.
	above map[string]bool
	soa   dns.SOA
}

func compile(z Zone) *compiled {
	origin := dns.CanonicalName(z.Domain)
	c := &compiled{origin: origin, names: make(map[string][]netip.Addr, len(z.Names)), above: map[string]bool{}}
	for name, addresses := range z.Names {
		name = dns.CanonicalName(name)
		if !dns.IsSubDomain(origin, name) {
			continue
		}
		c.names[name] = addresses
		for up := parent(name); len(up) > len(origin) && !c.above[up]; up = parent(up) {
			c.above[up] = true
		}
	}
	c.soa = dns.SOA{
		Hdr: dns.RR_Header{Name: origin, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: TTL},
		Ns:  "ns." + origin, Mbox: "hostmaster." + origin,
		Serial: 1, Refresh: TTL, Retry: TTL, Expire: TTL, Minttl: TTL,
	}
	return c
}

// parent is a name without its first label. Labels of names here hold no dots.
func parent(name string) string {
	_, rest, _ := strings.Cut(name, ".")
	return rest
}

// answer makes the answer to a message, for a peer that takes answers up to limit
// bytes, or more if the message says so. It is a function of both.
func (c *compiled) answer(q *dns.Msg, limit int) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = false
	m.Rcode = c.fill(m, q)
	if o := q.IsEdns0(); o != nil {
		m.SetEdns0(udpSize, false)
		if o.Version() != 0 {
			m.Answer, m.Ns, m.Authoritative = nil, nil, false
			m.Rcode = dns.RcodeBadVers
		}
		if limit < dns.MaxMsgSize {
			limit = min(max(int(o.UDPSize()), limit), udpSize)
		}
	}
	m.Truncate(limit)
	return m
}

// fill puts the records into an answer and gives its code.
func (c *compiled) fill(m, q *dns.Msg) int {
	switch {
	case q.Opcode != dns.OpcodeQuery:
		return dns.RcodeNotImplemented
	case len(q.Question) != 1:
		return dns.RcodeFormatError
	}
	asked := q.Question[0]
	name := dns.CanonicalName(asked.Name)
	if asked.Qclass != dns.ClassINET && asked.Qclass != dns.ClassANY || !dns.IsSubDomain(c.origin, name) {
		return dns.RcodeRefused
	}
	if asked.Qtype == dns.TypeAXFR || asked.Qtype == dns.TypeIXFR {
		return dns.RcodeRefused
	}
	m.Authoritative = true
	addresses, known := c.names[name]
	if asked.Qtype == dns.TypeA || asked.Qtype == dns.TypeANY {
		for _, a := range addresses {
			m.Answer = append(m.Answer, &dns.A{
				// As asked: a resolver may check that the case of each letter came back.
				Hdr: dns.RR_Header{Name: asked.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: TTL},
				A:   a.Unmap().AsSlice(),
			})
		}
	}
	if name == c.origin {
		known = true
		m.Answer = append(m.Answer, c.apex(asked.Qtype)...)
	}
	if len(m.Answer) > 0 {
		return dns.RcodeSuccess
	}
	m.Ns = []dns.RR{dns.Copy(&c.soa)}
	if known || c.above[name] {
		return dns.RcodeSuccess
	}
	return dns.RcodeNameError
}

// apex are the records of the domain itself.
func (c *compiled) apex(qtype uint16) []dns.RR {
	var out []dns.RR
	if qtype == dns.TypeSOA || qtype == dns.TypeANY {
		out = append(out, dns.Copy(&c.soa))
	}
	if qtype == dns.TypeNS || qtype == dns.TypeANY {
		out = append(out, &dns.NS{Hdr: dns.RR_Header{Name: c.origin, Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: TTL}, Ns: c.soa.Ns})
	}
	return out
}

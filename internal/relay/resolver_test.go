package relay

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/dns"
	"github.com/larder-cache/larder/internal/network"
)

// asking opens the two sockets of a resolver on one port.
func asking(t *testing.T) (at string, sockets []Socket) {
	t.Helper()
	s := listening(t)
	p, err := net.ListenPacket("udp4", s.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	f, err := p.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return s.Address, []Socket{{Address: "dns/tcp/" + s.Address, FD: s.FD}, {Address: "dns/udp/" + s.Address, FD: fd}}
}

func resolves(t *testing.T, at, want string) {
	t.Helper()
	for _, protocol := range []string{"udp", "tcp"} {
		client := mdns.Client{Net: protocol, Timeout: 10 * time.Second}
		m, _, err := client.Exchange(new(mdns.Msg).SetQuestion("a.d.test.", mdns.TypeA), at)
		if err != nil {
			t.Fatalf("%s: %v", protocol, err)
		}
		if len(m.Answer) != 1 || m.Answer[0].(*mdns.A).A.String() != want {
			t.Errorf("%s: %v, want %s", protocol, m.Answer, want)
		}
	}
}

// Names are answered by whichever relay has the sockets, and by both while one
// takes over.
func TestResolver(t *testing.T) {
	t.Parallel()
	oldPath, ended := start(t, Options{})
	newPath, _ := start(t, Options{})
	older, newer := dial(t, oldPath), dial(t, newPath)
	at, sockets := asking(t)
	resolver := func(address string) []Resolver {
		return []Resolver{{
			ID: "resolver", Addresses: []string{sockets[0].Address, sockets[1].Address, "dns/udp/192.0.2.1:53"},
			Zone: dns.Zone{Domain: "d.test", Names: map[string][]netip.Addr{"a.d.test": {netip.MustParseAddr(address)}}},
		}}
	}
	a := put(t, older, Document{Revision: 1, Resolvers: resolver("10.0.0.1")}, sockets...)
	if len(a.Missing) != 1 || a.Missing[0] != "dns/udp/192.0.2.1:53" || len(a.Refused) != 0 {
		t.Errorf("applied %+v", a)
	}
	resolves(t, at, "10.0.0.1")
	put(t, older, Document{Revision: 2, Resolvers: resolver("10.0.0.2")})
	resolves(t, at, "10.0.0.2")
	handed, err := older.HandOver(t.Context())
	if err != nil || len(handed) != 2 {
		t.Fatal(handed, err)
	}
	put(t, newer, Document{Revision: 3, Resolvers: resolver("10.0.0.2")}, handed...)
	resolves(t, at, "10.0.0.2")
	if err := older.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-ended // it had no connections
	resolves(t, at, "10.0.0.2")
	put(t, newer, Document{Revision: 4})
	if _, err := net.Dial("tcp", at); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("a resolver that is gone: %v", err)
	}
}

// A listener whose clients all have one address in the network judges that
// address, not theirs.
func TestSource(t *testing.T) {
	t.Parallel()
	path, _ := start(t, Options{})
	c := dial(t, path)
	s := listening(t)
	access := everyone()
	access.RefuseAfter = 50 * time.Millisecond
	admit := func(allow string) Access {
		access.Nodes, access.Filters = map[string]int{"n": 0}, []network.Filter{{Allow: []netip.Prefix{netip.MustParsePrefix(allow)}}}
		return access
	}
	put(t, c, Document{Revision: 1, Access: admit("10.0.0.9/32"), Listeners: []Listener{{
		ID: "a", Addresses: []string{s.Address}, Source: netip.MustParseAddr("10.0.0.9"), Backends: []Backend{{Node: "n", Socket: echoEngine(t)}},
	}}}, s)
	echoes(t, s.Address)
	// The host's own address does not help: that is not who knocks.
	if err := c.Enforce(t.Context(), admit("10.0.0.4/32"), 2); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("a client whose source is not admitted got %d bytes, %v", n, err)
	}
}

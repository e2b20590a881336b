package dns

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/larder-cache/larder/internal/core"
)

// sockets are a UDP and a TCP socket on one loopback port, as a caller would hold them.
func sockets(t *testing.T) (address string, fds map[string]int) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address = l.Addr().String()
	p, err := net.ListenPacket("udp4", address)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	fds = map[string]int{}
	tcp, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	udp, err := p.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close(); udp.Close() })
	fds["tcp"], fds["udp"] = int(tcp.Fd()), int(udp.Fd())
	return address, fds
}

func newServer(t *testing.T) *Server {
	s := NewServer(core.SystemClock{}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	t.Cleanup(s.Close)
	return s
}

func apply(t *testing.T, s *Server, views ...View) {
	t.Helper()
	if err := s.Apply(views); err != nil {
		t.Fatal(err)
	}
}

// ask asks for the addresses of a name.
func ask(t *testing.T, network, address, name string) string {
	t.Helper()
	c := dns.Client{Net: network, Timeout: 5 * time.Second}
	m, _, err := c.Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA), address)
	if err != nil {
		t.Fatalf("%s: %v", network, err)
	}
	return brief(m)
}

func silent(t *testing.T, network, address string) {
	t.Helper()
	c := dns.Client{Net: network, Timeout: 50 * time.Millisecond}
	if m, _, err := c.Exchange(new(dns.Msg).SetQuestion("a.d.test.", dns.TypeA), address); err == nil {
		t.Errorf("%s is answered: %v", network, m)
	}
}

func oneName(a string) Zone {
	return Zone{Domain: "d.test", Names: map[string][]netip.Addr{"a.d.test": {netip.MustParseAddr(a)}}}
}

func TestServes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	address, fds := sockets(t)
	other, otherFDs := sockets(t)
	apply(t, s, View{oneName("10.0.0.1"), fds}, View{oneName("10.0.0.2"), map[string]int{"other udp": otherFDs["udp"]}})
	for _, network := range []string{"udp", "tcp"} {
		if got := ask(t, network, address, "A.d.test"); got != "NOERROR aa 10.0.0.1" {
			t.Errorf("%s: %s", network, got)
		}
	}
	if got := ask(t, "udp", other, "a.d.test"); got != "NOERROR aa 10.0.0.2" {
		t.Errorf("another view: %s", got)
	}
	apply(t, s, View{oneName("10.0.0.3"), fds})
	for _, network := range []string{"udp", "tcp"} {
		if got := ask(t, network, address, "a.d.test"); got != "NOERROR aa 10.0.0.3" {
			t.Errorf("%s, after a change: %s", network, got)
		}
	}
	silent(t, "udp", other)
	apply(t, s)
	silent(t, "udp", address)
	silent(t, "tcp", address)
	apply(t, s, View{oneName("10.0.0.4"), fds})
	if got := ask(t, "tcp", address, "a.d.test"); got != "NOERROR aa 10.0.0.4" {
		t.Errorf("opened again: %s", got)
	}
}

// Two servers hold the same sockets while one takes over from the other: no
// question stays without an answer.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	address, fds := sockets(t)
	first, second := newServer(t), newServer(t)
	apply(t, first, View{oneName("10.0.0.1"), fds})
	begun, stop, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	begin := sync.OnceFunc(func() { close(begun) })
	go func() {
		defer close(done)
		defer begin()
		for {
			select {
			case <-stop:
				return
			default:
				begin()
				if got := ask(t, "udp", address, "a.d.test"); got != "NOERROR aa 10.0.0.1" {
					t.Errorf("got %s", got)
				}
			}
		}
	}()
	<-begun
	for range 20 {
		apply(t, second, View{oneName("10.0.0.1"), fds})
		apply(t, first)
		first, second = second, first
	}
	close(stop)
	<-done
}

func TestBadSocket(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	address, fds := sockets(t)
	fds["no socket"] = 1 << 20
	if err := s.Apply([]View{{oneName("10.0.0.1"), fds}}); err == nil {
		t.Error("a descriptor that is none is taken")
	}
	if got := ask(t, "udp", address, "a.d.test"); got != "NOERROR aa 10.0.0.1" {
		t.Errorf("beside it: %s", got)
	}
}

// Clients that connect and say nothing keep nobody away for long, and take no more
// than their share of descriptors.
func TestSilentStreams(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	address, fds := sockets(t)
	apply(t, s, View{oneName("10.0.0.1"), fds})
	var wg sync.WaitGroup
	closed := make(chan struct{}, 2*maxStreams)
	for range 2 * maxStreams {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		wg.Go(func() {
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := c.Read(make([]byte, 1)); err != nil && !isTimeout(err) {
				closed <- struct{}{}
			}
		})
	}
	for range maxStreams {
		<-closed
	}
	if n := s.streams.Load(); n > maxStreams {
		t.Errorf("%d connections are open", n)
	}
	wg.Wait()
	if n := len(closed); n != maxStreams {
		t.Errorf("%d of the others are closed after a while, want %d", n, maxStreams)
	}
	if got := ask(t, "tcp", address, "a.d.test"); got != "NOERROR aa 10.0.0.1" {
		t.Errorf("afterwards: %s", got)
	}
}

func isTimeout(err error) bool {
	n, ok := err.(net.Error)
	return ok && n.Timeout()
}

// Garbage is neither answered at length nor does it end anything.
func TestGarbage(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	address, fds := sockets(t)
	apply(t, s, View{oneName("10.0.0.1"), fds})
	for _, network := range []string{"udp", "tcp"} {
		for _, garbage := range []string{"", "x", "GET / HTTP/1.1\r\n\r\n", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", string(make([]byte, 12)), string(make([]byte, 4000))} {
			c, err := net.Dial(network, address)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = c.Write([]byte(garbage))
			c.Close()
		}
		if got := ask(t, network, address, "a.d.test"); got != "NOERROR aa 10.0.0.1" {
			t.Errorf("%s: %s", network, got)
		}
	}
}

// BenchmarkAsk is one question and its answer over UDP, the client included.
func BenchmarkAsk(b *testing.B) {
	s := NewServer(core.SystemClock{}, slog.New(slog.DiscardHandler))
	defer s.Close()
	p, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	f, err := p.(*net.UDPConn).File()
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := s.Apply([]View{{oneName("10.0.0.1"), map[string]int{"udp": int(f.Fd())}}}); err != nil {
		b.Fatal(err)
	}
	conn, err := dns.Dial("udp", p.LocalAddr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	c := dns.Client{Timeout: 5 * time.Second}
	for b.Loop() {
		if _, _, err := c.ExchangeWithConn(new(dns.Msg).SetQuestion("a.d.test.", dns.TypeA), conn); err != nil {
			b.Fatal(err)
		}
	}
}

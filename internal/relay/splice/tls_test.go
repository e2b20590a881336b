package splice

import (
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"testing"
	"time"
)

func tlsClient(c net.Conn, cfg *tls.Config) *tls.Conn { return tls.Client(c, cfg) }

func TestModeSwitch(t *testing.T) {
	t.Parallel()
	server, client := certificate(t, "cache.test")
	r := newRig(t, Config{})
	fd, addr := r.listen()
	ls := Listener{ID: "a", Sockets: []int{fd}, Backends: []Backend{r.engine(named('x'))}, TLS: server}
	apply := func(m Mode) {
		ls.Mode = m
		r.apply([]Listener{ls})
	}
	apply(Plain)
	old := r.dial(addr)
	ask(t, old)
	apply(Preferred)
	ask(t, old)
	plain, secure, silent := r.dial(addr), tlsClient(r.dial(addr), client), r.dial(addr)
	ask(t, plain)
	ask(t, secure)
	until(t, "the silent client is accepted", func() bool { return r.s.Open() == 4 })
	apply(Required)
	mustBeReset(t, old)
	mustBeReset(t, plain)
	ask(t, secure)
	if _, err := silent.Write([]byte("PING\r\n")); err != nil {
		t.Fatal(err)
	}
	mustBeReset(t, silent)
	late := r.dial(addr)
	if _, err := late.Write([]byte("PING\r\n")); err != nil {
		t.Fatal(err)
	}
	mustBeReset(t, late)
	apply(Plain)
	ask(t, secure)
	ask(t, r.dial(addr))
	if err := tlsClient(r.dial(addr), client).Handshake(); err == nil {
		t.Error("TLS is still served after it was turned off")
	}
}

// A certificate is replaced for new connections only.
func TestCertificateSwap(t *testing.T) {
	t.Parallel()
	server, client := certificate(t, "old.test")
	server2, client2 := certificate(t, "new.test")
	r := newRig(t, Config{})
	fd, addr := r.listen()
	ls := Listener{ID: "a", Sockets: []int{fd}, Backends: []Backend{r.engine(named('x'))}, Mode: Required, TLS: server}
	r.apply([]Listener{ls})
	before := tlsClient(r.dial(addr), client)
	ask(t, before)
	ls.TLS = server2
	r.apply([]Listener{ls})
	ask(t, before)
	ask(t, tlsClient(r.dial(addr), client2))
	if err := tlsClient(r.dial(addr), client).Handshake(); err == nil {
		t.Error("the old certificate is still shown")
	}
}

func TestSessionTickets(t *testing.T) {
	t.Parallel()
	server, client := certificate(t, "cache.test")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		r := newRig(t, Config{})
		fd, addr := r.listen()
		r.apply([]Listener{{ID: "a", Sockets: []int{fd}, Backends: []Backend{r.engine(named('x'))}, Mode: Required, TLS: server}})
		cfg := client.Clone()
		cfg.MaxVersion = version
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for i := range 2 {
			c := tlsClient(r.dial(addr), cfg)
			ask(t, c)
			if c.ConnectionState().DidResume != (i == 1) {
				t.Errorf("%s: connection %d resumed: %v", tls.VersionName(version), i, i == 0)
			}
			c.Close()
		}
	}
}

// Clients that stay silent, or stop within the handshake, are let go after the
// time for it, and meanwhile block nobody.
func TestHandshakeTimeout(t *testing.T) {
	t.Parallel()
	server, client := certificate(t, "cache.test")
	for _, tc := range []struct {
		name  string
		mode  Mode
		first []byte
		ends  bool
	}{
		{"required, silent", Required, nil, true},
		{"required, within the handshake", Required, []byte{0x16, 3, 1, 2}, true},
		{"preferred, within the handshake", Preferred, []byte{0x16}, true},
		{"preferred, silent", Preferred, nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Config{HandshakeTimeout: time.Second, Loops: 1})
			fd, addr := r.listen()
			r.apply([]Listener{{ID: "a", Sockets: []int{fd}, Backends: []Backend{r.engine(named('x'))}, Mode: tc.mode, TLS: server}})
			stuck := r.dial(addr)
			if _, err := stuck.Write(tc.first); err != nil {
				t.Fatal(err)
			}
			ask(t, tlsClient(r.dial(addr), client))
			if !tc.ends {
				// The time of one that came later and does not end its handshake is over.
				later := r.dial(addr)
				if _, err := later.Write([]byte{0x16}); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadAll(later); err == nil {
					t.Error("no reset")
				}
				ask(t, stuck)
				return
			}
			if _, err := io.ReadAll(stuck); err == nil {
				t.Error("no reset")
			}
		})
	}
}

// Handshakes under way end with the splicer.
func TestCloseDuringHandshake(t *testing.T) {
	t.Parallel()
	server, _ := certificate(t, "cache.test")
	r := newRig(t, Config{})
	fd, addr := r.listen()
	r.apply([]Listener{{ID: "a", Sockets: []int{fd}, Backends: []Backend{r.engine(named('x'))}, Mode: Required, TLS: server}})
	c := r.dial(addr)
	if _, err := c.Write([]byte{0x16, 3, 1}); err != nil {
		t.Fatal(err)
	}
	until(t, "the client is accepted", func() bool { return r.s.Open() == 1 })
	r.s.Close()
	mustBeReset(t, c)
	if r.s.Open() != 0 {
		t.Error("connections left after Close")
	}
}

// Idle connections, TLS ones too, cost no goroutine.
func TestNoGoroutinePerConnection(t *testing.T) {
	server, client := certificate(t, "cache.test")
	r := newRig(t, Config{})
	fd, addr := r.listen()
	r.apply([]Listener{{ID: "a", Sockets: []int{fd}, Backends: []Backend{r.engine(named('x'))}, Mode: Preferred, TLS: server}})
	engineSide := func() int { return int(r.s.Stats()["a"].Open) } // one goroutine each in the test's engine
	before := runtime.NumGoroutine()
	for i := range 100 {
		var c net.Conn = r.dial(addr)
		if i%2 == 0 {
			c = tlsClient(c, client)
		}
		ask(t, c)
	}
	until(t, "goroutines are as before", func() bool { return runtime.NumGoroutine()-engineSide() <= before+1 })
}

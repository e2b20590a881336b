package splice

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/network"
)

// from connects from a source address of the caller's choice.
func (r *rig) from(source, address string) *net.TCPConn {
	r.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	c, err := d.DialContext(r.t.Context(), "tcp", address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

// silent fails the test if a connection gets anything within a moment: a byte, or
// its end.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a refused client got %d bytes, %v", n, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
}

// isReset fails the test unless the next thing that a connection gets is RST.
func isReset(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("expected a reset, got %d bytes, %v", n, err)
	}
}

// window is a policy for one VPC, 10.1.0.0/16 in the window 127.31.0.0/16, with the
// host at 10.1.0.4.
func window(refuseAfter time.Duration, filters map[string]network.Filter) Access {
	g := network.Guard{Nodes: map[string]int{}, Windows: map[string]network.Window{"": {
		Loopback: netip.MustParsePrefix("127.31.0.0/16"), CIDR: netip.MustParsePrefix("10.1.0.0/16"), Host: netip.MustParseAddr("10.1.0.4"),
	}}}
	for node, f := range filters {
		g.Nodes[node] = len(g.Filters)
		g.Filters = append(g.Filters, f)
	}
	return Access{RefuseAfter: refuseAfter, Guard: g}
}

func allow(sources ...string) network.Filter {
	var f network.Filter
	for _, s := range sources {
		f.Allow = append(f.Allow, netip.MustParsePrefix(s))
	}
	return f
}

func TestRefusedClientHearsNothing(t *testing.T) {
	t.Parallel()
	server, _ := certificate(t, "cache.test")
	for _, tc := range []struct {
		name string
		mode Mode
		say  string
	}{
		{"plaintext", Plain, "PING\r\n"},
		{"plaintext, silent", Plain, ""},
		{"either, plaintext", Preferred, "PING\r\n"},
		{"either, TLS", Preferred, "\x16\x03\x01"},
		{"TLS", Required, "\x16\x03\x01"},
		{"plaintext where TLS is required", Required, "PING\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Config{MaxHeld: 10})
			fd, addr := r.listen()
			engine := r.engine(echo)
			ls := []Listener{{ID: "a", Sockets: []int{fd}, Backends: []Backend{engine}, Mode: tc.mode, TLS: server}}
			r.s.Apply(ls, window(200*time.Millisecond, map[string]network.Filter{engine.Node: allow("10.1.9.0/24")}))
			began := time.Now()
			c := r.dial(addr)
			if _, err := c.Write([]byte(tc.say)); err != nil {
				t.Fatal(err)
			}
			silent(t, c)
			if st := r.s.Stats()["a"]; st.Refused != 1 || st.Accepted != 0 || st.Open != 0 || r.s.Open() != 0 {
				t.Errorf("%+v, %d open", st, r.s.Open())
			}
			isReset(t, c)
			if took := time.Since(began); took < 200*time.Millisecond {
				t.Errorf("reset after %v", took)
			}
			until(t, "nobody is counted as held", func() bool { return r.s.held.Load() == 0 })
		})
	}
}

// A client that waits for nothing any more is forgotten at once, and beyond the
// bound none waits.
func TestHeldClientsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{MaxHeld: 2})
	fd, addr := r.listen()
	engine := r.engine(echo)
	ls := []Listener{{ID: "a", Sockets: []int{fd}, Backends: []Backend{engine}, MaxConns: 1}}
	r.s.Apply(ls, window(time.Hour, map[string]network.Filter{engine.Node: allow("10.1.9.0/24")}))
	first, second := r.dial(addr), r.dial(addr)
	silent(t, first)
	silent(t, second)
	third, err := net.Dial("tcp", addr)
	if err == nil {
		isReset(t, third)
		third.Close()
	} else if !errors.Is(err, unix.ECONNRESET) {
		t.Error(err)
	}
	// They take no place from a client that is let in.
	if got := ask(t, r.from("127.31.9.9", addr)); got != '?' {
		t.Errorf("%c", got)
	}
	first.Close()
	until(t, "one is forgotten", func() bool { return r.s.held.Load() == 1 })
	silent(t, r.dial(addr))
}

// As a packet filter drops the first packet and lets its repetition in.
func TestHeldClientGetsInWithTheRule(t *testing.T) {
	t.Parallel()
	server, trust := certificate(t, "cache.test")
	for name, mode := range map[string]Mode{"plaintext": Plain, "either": Preferred, "TLS": Required} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Config{MaxHeld: 10})
			fd, addr := r.listen()
			engine := r.engine(echo)
			ls := []Listener{{ID: "a", Sockets: []int{fd}, Backends: []Backend{engine}, Mode: mode, TLS: server}}
			r.s.Apply(ls, window(time.Hour, nil))
			var c net.Conn = r.dial(addr)
			got := make(chan error, 1)
			if mode == Required {
				c = tls.Client(c, trust)
			}
			go func() {
				_, err := c.Write([]byte("?"))
				if err == nil {
					_, err = io.ReadFull(c, make([]byte, 1))
				}
				got <- err
			}()
			until(t, "it is held", func() bool { return r.s.held.Load() == 1 })
			r.s.Enforce(window(time.Hour, map[string]network.Filter{engine.Node: allow("10.1.0.4/32")}))
			if err := <-got; err != nil {
				t.Error(err)
			}
			if st := r.s.Stats()["a"]; st.Accepted != 1 || st.Open != 1 || r.s.Open() != 1 {
				t.Errorf("%+v, %d open", st, r.s.Open())
			}
		})
	}
}

// Of several engines, a client gets those that admit it.
func TestBackendsThatAdmit(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	fd, addr := r.listen()
	a, b := r.engine(named('a')), r.engine(named('b'))
	r.s.Apply([]Listener{{ID: "a", Sockets: []int{fd}, Backends: []Backend{a, b}}}, window(0, map[string]network.Filter{
		a.Node: allow("10.1.1.0/24"), b.Node: allow("10.1.2.0/24", "10.1.3.0/24"),
	}))
	for source, want := range map[string]byte{"127.31.1.1": 'a', "127.31.2.1": 'b', "127.31.3.1": 'b'} {
		for range 4 {
			if got := ask(t, r.from(source, addr)); got != want {
				t.Errorf("%s reached %c", source, got)
			}
		}
	}
}

// What a change of the policy does to connections that there are.
func TestRevoke(t *testing.T) {
	t.Parallel()
	untracked := allow("0.0.0.0/0")
	untracked.Untracked = true
	for _, tc := range []struct {
		name          string
		before, after network.Filter
		cut           bool
	}{
		{"tracked, revoked", allow("10.1.0.0/16"), network.Filter{}, false},
		{"untracked, revoked", untracked, network.Filter{}, true},
		{"untracked, narrowed to others", untracked, allow("10.1.9.0/24"), true},
		{"untracked, narrowed to it", untracked, allow("10.1.0.4/32"), false},
		{"tracked when it came", allow("10.1.0.0/16"), untracked, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Config{Loops: 2})
			fd, addr := r.listen()
			engine := r.engine(echo)
			ls := []Listener{{ID: "a", Sockets: []int{fd}, Backends: []Backend{engine}}}
			r.s.Apply(ls, window(0, map[string]network.Filter{engine.Node: tc.before}))
			c := r.dial(addr)
			ask(t, c)
			r.s.Enforce(window(0, map[string]network.Filter{engine.Node: tc.after}))
			if tc.cut {
				isReset(t, c)
				return
			}
			ask(t, c)
			r.s.Enforce(window(0, map[string]network.Filter{engine.Node: {}}))
			if tc.before.Untracked {
				isReset(t, c) // it stays what it was when it came
				return
			}
			ask(t, c)
		})
	}
}

// A connection that outlives its node's place in the policy ends with the node.
func TestRevokeOfNodeThatIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	fd, addr := r.listen()
	engine := r.engine(echo)
	open := allow("0.0.0.0/0")
	open.Untracked = true
	r.s.Apply([]Listener{{ID: "a", Sockets: []int{fd}, Backends: []Backend{engine}}}, window(0, map[string]network.Filter{engine.Node: open}))
	c := r.dial(addr)
	ask(t, c)
	r.s.Apply([]Listener{{ID: "a", Sockets: []int{fd}}}, window(0, nil))
	ask(t, c)
}

// TestRelayDecidesAsThePolicy holds what clients meet at real sockets against the
// policy that was compiled from the groups and rules.
func TestRelayDecidesAsThePolicy(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	fd, addr := r.listen()
	at := netip.MustParseAddrPort(addr)
	random := rand.New(rand.NewPCG(7, 11))
	engines := []Backend{r.engine(named('0')), r.engine(named('1'))}
	vpc := network.VPC{ID: "vpc-a", CIDR: netip.MustParsePrefix("10.1.0.0/28")}
	var in, out int
	for round := range 25 {
		w := drawWorld(random, vpc)
		p := network.Compile(w)
		var targets []network.Target
		for n, e := range engines {
			targets = append(targets, network.Target{Node: e.Node, VPC: vpc.ID, Address: member(n), Port: int(at.Port())})
		}
		access := Access{Guard: p.Guard(map[string]network.Window{
			"": {Loopback: netip.MustParsePrefix("127.31.0.0/16"), CIDR: vpc.CIDR, Host: member(2)},
		}, targets)}
		r.s.Apply([]Listener{{ID: "a", Sockets: []int{fd}, Backends: engines}}, access)
		for n := range 17 {
			source, dialled := member(n), fmt.Sprintf("127.31.0.%d", n+4)
			if n == 2 {
				dialled = "127.0.0.1"
			}
			var want [2]bool
			for i := range engines {
				want[i], _ = p.Allows(network.Flow{Protocol: network.TCP, SourceVPC: vpc.ID, Source: source, VPC: vpc.ID, Destination: member(i), Port: int(at.Port())})
			}
			got, ok := reached(t, dialled, addr)
			switch {
			case ok && want[got-'0']:
				in++
			case !ok && !want[0] && !want[1]:
				out++
			default:
				t.Fatalf("round %d, %v: reached %c %v, the policy says %v: %+v", round, source, got, ok, want, w)
			}
		}
	}
	if in < 50 || out < 50 {
		t.Errorf("the worlds are dull: %d flows let in, %d refused", in, out)
	}
}

// member is the address of the nth interface; the first two are the engines', the
// third the host's.
func member(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, 0, byte(n + 4)}) }

func drawWorld(r *rand.Rand, vpc network.VPC) network.World {
	w := network.World{VPCs: []network.VPC{vpc}}
	for g := range 4 {
		group := network.Group{ID: fmt.Sprint("sg-", g), VPC: vpc.ID}
		for k := range 1 + r.IntN(3) {
			rule := network.Rule{ID: fmt.Sprintf("sgr-%d-%d", g, k), Egress: r.IntN(3) == 0, Protocol: network.TCP, To: 65535 * r.IntN(2)}
			if r.IntN(2) == 0 {
				rule.Group = fmt.Sprint("sg-", r.IntN(4))
			} else {
				rule.CIDR = netip.MustParsePrefix([]string{"0.0.0.0/0", "10.1.0.4/30", "10.1.0.8/29", "10.1.0.6/32"}[r.IntN(4)])
			}
			group.Rules = append(group.Rules, rule)
		}
		w.Groups = append(w.Groups, group)
	}
	for n := range 8 {
		i := network.Interface{ID: fmt.Sprint("eni-", n), VPC: vpc.ID, Addresses: []netip.Addr{member(n)}, Passive: n < 2}
		for range 1 + r.IntN(2) {
			i.Groups = append(i.Groups, fmt.Sprint("sg-", r.IntN(4)))
		}
		w.Interfaces = append(w.Interfaces, i)
	}
	return w
}

// reached says which engine answers a client from source.
func reached(t *testing.T, source, addr string) (byte, bool) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: 20 * time.Second}
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if errors.Is(err, unix.ECONNRESET) {
		return '-', false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	b := []byte{'?'}
	if _, err = c.Write(b); err == nil {
		_, err = io.ReadFull(c, b)
	}
	if err != nil && !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
		t.Fatal(err)
	}
	return b[0], err == nil
}

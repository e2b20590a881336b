package rules

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/netns"
	"github.com/larder-cache/larder/internal/network"
	"golang.org/x/sys/unix"
)

const (
	portEcho     = 7000
	portBehind   = 61007
	testDeadline = 5 * time.Second
)

// echo answers on an address of a namespace with what it gets.
func echo(t testing.TB, ns *netns.Namespace, at netip.AddrPort) {
	t.Helper()
	var listener net.Listener
	err := ns.Do(func() (err error) {
		c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
			return errors.Join(raw.Control(func(fd uintptr) { err = Transparent(int(fd)) }), err)
		}}
		listener, err = c.Listen(t.Context(), "tcp4", at.String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
}

// client is a connection of an instance that has had an answer.
type client struct {
	t testing.TB
	net.Conn
}

func (l *lan) client(t testing.TB, from int, to netip.AddrPort) *client {
	t.Helper()
	return l.clientFrom(t, from, 0, to)
}

// clientFrom comes from a port that it shares with others.
func (l *lan) clientFrom(t testing.TB, from, port int, to netip.AddrPort) *client {
	t.Helper()
	d := net.Dialer{Timeout: testDeadline}
	if port != 0 {
		d.LocalAddr = &net.TCPAddr{IP: instanceAddress(from).AsSlice(), Port: port}
		d.Control = func(_, _ string, raw syscall.RawConn) error {
			return raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
		}
	}
	var c net.Conn
	err := l.inst[from].Do(func() (err error) {
		c, err = d.Dial("tcp4", to.String())
		return err
	})
	if err != nil {
		t.Fatalf("instance %d to %s: %v", from, to, err)
	}
	t.Cleanup(func() { c.Close() })
	out := &client{t, c}
	out.alive("at first")
	return out
}

func (c *client) alive(when string) {
	c.t.Helper()
	c.SetDeadline(time.Now().Add(testDeadline))
	if _, err := c.Write([]byte("x")); err != nil {
		c.t.Fatalf("%s: %s is dead: %v", when, c.LocalAddr(), err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		c.t.Fatalf("%s: %s is dead: %v", when, c.LocalAddr(), err)
	}
}

// wasReset expects that the client is told, though it sends nothing.
func (c *client) wasReset(when string) {
	c.t.Helper()
	c.SetDeadline(time.Now().Add(testDeadline))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		c.t.Errorf("%s: %s was not reset but got %v", when, c.LocalAddr(), err)
	}
}

// echoes is a world with an echo on two nodes, the second behind a relay, one
// endpoint, and rules of the nodes' group.
func echoes(rules ...network.Rule) (network.World, Inputs) {
	w := network.World{
		VPCs:   []network.VPC{{ID: "vpc", CIDR: drawnRange}},
		Groups: []network.Group{{ID: "sg-node", VPC: "vpc", Rules: append(rules, allOut())}, {ID: "sg-app", VPC: "vpc", Rules: []network.Rule{allOut(), rule4(false, network.TCP, portEcho, portEcho, "0.0.0.0/0")}}},
		Interfaces: []network.Interface{
			{ID: "0", VPC: "vpc", Addresses: []netip.Addr{nodeAddress(0)}, Groups: []string{"sg-node"}, Passive: true},
			{ID: "1", VPC: "vpc", Addresses: []netip.Addr{nodeAddress(1)}, Groups: []string{"sg-node"}, Passive: true},
			{ID: "2", VPC: "vpc", Addresses: []netip.Addr{instanceAddress(2)}, Groups: []string{"sg-app"}},
		},
	}
	in := Inputs{
		Links:     map[string]netip.Addr{"i-0": instanceAddress(0), "i-1": instanceAddress(1), "i-2": instanceAddress(2)},
		Nodes:     []Service{{network.TCP, nodePort(0)}, {network.TCP, nodePort(1)}},
		Endpoints: []Endpoint{{At: netip.AddrPortFrom(endpointAddress(0), portEcho), Targets: []netip.AddrPort{nodePort(0)}}},
		Inserted:  []Insertion{{Node: nodePort(1), Relay: netip.AddrPortFrom(nodeAddress(1), portBehind)}},
	}
	return w, in
}

func nodePort(n int) netip.AddrPort { return netip.AddrPortFrom(nodeAddress(n), portEcho) }

func (l *lan) echoes(t *testing.T) {
	t.Helper()
	echo(t, l.vpc, nodePort(0))
	echo(t, l.vpc, netip.AddrPortFrom(nodeAddress(1), portBehind))
	echo(t, l.inst[2], netip.AddrPortFrom(instanceAddress(2), portEcho))
}

func cutting(t *testing.T, want int, cut func() (int, error)) {
	t.Helper()
	if n, err := cut(); err != nil || n != want {
		t.Fatalf("cut %d flows (%v), want %d", n, err, want)
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "cut")
	l.echoes(t)
	w, in := echoes(in(network.TCP, portEcho, portEcho, "10.1.0.0/24"))
	apply(t, l.conn, Compile(w, "vpc", in))
	primary := in.Endpoints[0].At
	gone := func(a netip.Addr) func() (int, error) {
		return func() (int, error) { return l.conn.CutClients(func(o netip.Addr) bool { return o == a }) }
	}

	a, b, relayed := l.client(t, 0, nodePort(0)), l.client(t, 1, nodePort(0)), l.client(t, 0, nodePort(1))
	cutting(t, 0, gone(nodeAddress(0)))
	cutting(t, 2, gone(instanceAddress(0)))
	a.wasReset("its client is gone")
	relayed.wasReset("its client is gone")
	b.alive("another client is gone")

	// Past a relay nobody goes any more.
	relayed = l.client(t, 1, nodePort(1))
	cutting(t, 1, func() (int, error) { return l.conn.CutDirect([]netip.Addr{nodeAddress(0), nodeAddress(1)}) })
	b.wasReset("it went past the relay")
	relayed.alive("it did not go past the relay")

	// The endpoint moves: whoever came through it goes, others stay.
	moved := func() (int, error) { return l.conn.CutOthers(in.Endpoints) }
	direct, through := l.client(t, 0, nodePort(0)), l.client(t, 0, primary)
	cutting(t, 0, moved)
	in.Endpoints[0].Targets[0] = nodePort(1)
	apply(t, l.conn, Compile(w, "vpc", in))
	through.alive("the endpoint has moved")
	next := l.client(t, 0, primary)
	cutting(t, 1, moved)
	through.wasReset("the endpoint has left its node")
	direct.alive("the endpoint has moved")
	next.alive("the endpoint was cut from its old node")
	in.Endpoints[0].Targets = nil
	cutting(t, 1, moved)
	next.wasReset("the endpoint leads nowhere")

	// Listeners live on.
	l.client(t, 0, primary)
	l.client(t, 0, nodePort(0))
}

// Two flows of a client may differ in nothing but the address that it dialled. Each
// can be cut.
func TestCutOfTwins(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "twins")
	l.echoes(t)
	w, in := echoes(in(network.TCP, portEcho, portEcho, "10.1.0.0/24"))
	apply(t, l.conn, Compile(w, "vpc", in))
	const port = 7999
	direct, through := l.clientFrom(t, 0, port, nodePort(0)), l.clientFrom(t, 0, port, in.Endpoints[0].At)
	in.Endpoints[0].Targets = nil
	cutting(t, 1, func() (int, error) { return l.conn.CutOthers(in.Endpoints) })
	through.wasReset("the endpoint was cut")
	direct.alive("the endpoint was cut")
}

// Who came in while there were no rules goes when they are back, and nobody else.
func TestCutUnjudged(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "unjudged")
	l.echoes(t)
	w, in := echoes(in(network.TCP, portEcho, portEcho, "10.1.0.32/32"))
	table := Compile(w, "vpc", in)
	apply(t, l.conn, table)
	legal := l.client(t, 0, nodePort(0))
	run(t, l.vpc, "nft", "flush", "ruleset")
	stranger := l.client(t, 1, nodePort(0))
	hidden := l.client(t, 1, netip.AddrPortFrom(nodeAddress(1), portBehind))
	if intact(t, l.conn) {
		t.Error("the flush went unnoticed")
	}
	apply(t, l.conn, table)
	cutting(t, 2, func() (int, error) { return l.conn.CutUnjudged(in.Links) })
	stranger.wasReset("rules are in force again")
	hidden.wasReset("rules are in force again")
	legal.alive("rules are in force again")
}

func TestCutUntracked(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "untracked")
	l.echoes(t)
	everyone, range0 := rule4(false, network.TCP, portEcho, portEcho, "0.0.0.0/0"), rule4(false, network.TCP, 0, 65535, "10.1.0.32/32")
	apply := func(rules ...network.Rule) *network.Policy {
		w, in := echoes(rules...)
		apply(t, l.conn, Compile(w, "vpc", in))
		return network.Compile(w)
	}
	cut := func(want int, p *network.Policy) {
		t.Helper()
		cutting(t, want, func() (int, error) { return l.conn.CutUntracked(p, "vpc") })
	}
	apply(range0)
	tracked := l.client(t, 0, nodePort(0))
	p := apply(everyone)
	direct, endpoint, relayed := l.client(t, 0, nodePort(0)), l.client(t, 1, netip.AddrPortFrom(endpointAddress(0), portEcho)), l.client(t, 1, nodePort(1))
	cut(0, p)
	direct.alive("nothing was revoked")
	cut(2, apply(range0))
	endpoint.wasReset("everyone was revoked")
	relayed.wasReset("everyone was revoked")
	direct.alive("its range is still admitted")
	cut(1, apply())
	direct.wasReset("its range was revoked, too")
	tracked.alive("tracked flows go on after their rule")
}

// Between instances there is no socket to reset: the flow stops.
func TestCutForwarded(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "forwarded")
	l.echoes(t)
	w, in := echoes()
	apply(t, l.conn, Compile(w, "vpc", in))
	c := l.client(t, 0, netip.AddrPortFrom(instanceAddress(2), portEcho))
	w.Groups[1].Rules = w.Groups[1].Rules[:1]
	apply(t, l.conn, Compile(w, "vpc", in))
	c.alive("not cut yet")
	cutting(t, 1, func() (int, error) { return l.conn.CutUntracked(network.Compile(w), "vpc") })
	c.SetDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	w.Groups[1].Rules = append(w.Groups[1].Rules, rule4(false, network.TCP, portEcho, portEcho, "0.0.0.0/0"))
	apply(t, l.conn, Compile(w, "vpc", in))
	c.SetDeadline(time.Now().Add(testDeadline))
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Errorf("admitted again, the byte should have come back: %v", err)
	}
}

// What the nodes say to each other inside has no mark, so no cut of a node's clients
// ends its replication.
func TestInsideIsNotCut(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "inside")
	l.echoes(t)
	w, in := echoes()
	apply(t, l.conn, Compile(w, "vpc", in))
	var c net.Conn
	err := l.vpc.Do(func() (err error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: nodeAddress(1).AsSlice()}, Timeout: testDeadline}
		c, err = d.Dial("tcp4", nodePort(0).String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	inside := &client{t, c}
	inside.alive("at first")
	cutting(t, 0, func() (int, error) { return l.conn.CutClients(func(netip.Addr) bool { return true }) })
	cutting(t, 0, func() (int, error) { return l.conn.CutDirect([]netip.Addr{nodeAddress(0), nodeAddress(1)}) })
	cutting(t, 0, func() (int, error) { return l.conn.CutOthers([]Endpoint{{At: nodePort(0)}}) })
	cutting(t, 0, func() (int, error) { return l.conn.CutUnjudged(in.Links) })
	inside.alive("everything was cut")
	cutting(t, 2, func() (int, error) { return l.conn.CutInside(func(a netip.Addr) bool { return a == nodeAddress(0) }) })
	inside.SetDeadline(time.Now().Add(testDeadline))
	if _, err := inside.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.ECONNABORTED) {
		t.Errorf("the node that it is connected to is gone, and it got %v", err)
	}
}

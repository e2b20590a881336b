package rules

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/network"
	"golang.org/x/sys/unix"
)

// While the whole table is replaced again and again, nothing slips through, and
// who is connected stays so.
func TestNoMomentWithoutRules(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "moment")
	l.echoes(t)
	w, in := echoes(in(network.TCP, portEcho, portEcho, "10.1.0.32/32"))
	in.Nodes = append(in.Nodes, Service{network.UDP, at(nodeAddress(0), 1000)})
	table := Compile(w, "vpc", in)
	apply(t, l.conn, table)
	c := l.client(t, 0, in.Endpoints[0].At)

	var fd int
	err := l.inst[0].Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	sent, ended := 0, make(chan struct{})
	go func() {
		defer close(ended)
		defer unix.Close(fd)
		to := &unix.SockaddrInet4{Addr: nodeAddress(0).As4(), Port: 1000}
		for ; !stop.Load(); sent++ {
			if err := unix.Sendto(fd, []byte("let me in"), 0, to); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for range 100 {
		l.conn.applied = nil // as after a start
		apply(t, l.conn, table)
		c.alive("the table was replaced")
	}
	stop.Store(true)
	<-ended
	buf := make([]byte, 64)
	for _, fd := range l.udp {
		if n, _, err := unix.Recvfrom(fd, buf, 0); !errors.Is(err, unix.EAGAIN) {
			t.Errorf("%q slipped through (%v)", buf[:n], err)
		}
	}
	if sent < 100 {
		t.Errorf("only %d attempts: nothing was tried", sent)
	}
}

// A flow that goes on while somebody has thrown the rules away is still known, and
// not taken for a new one, when they are back.
func TestFlowsOutliveAFlush(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "flush")
	l.echoes(t)
	w, in := echoes(in(network.TCP, portEcho, portEcho, "10.1.0.32/32"))
	apply(t, l.conn, Compile(w, "vpc", in))
	c := l.client(t, 0, nodePort(0))
	w, in = echoes() // revoked, but the flow is tracked
	table := Compile(w, "vpc", in)
	apply(t, l.conn, table)
	run(t, l.vpc, "nft", "flush", "ruleset")
	for range 100 {
		c.alive("without rules")
	}
	if intact(t, l.conn) {
		t.Error("the flush went unnoticed")
	}
	apply(t, l.conn, table)
	c.alive("with rules again")
}

// Nodes begin nothing towards instances.
func TestNodesBeginNothing(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "begin")
	w, in := matrix([]network.Rule{allOut()}, []network.Rule{in(network.AnyProtocol, 0, 0, "0.0.0.0/0")})
	send := func() (err error) {
		doErr := l.vpc.Do(func() error {
			var c net.Conn
			if c, err = net.Dial("udp4", at(instanceAddress(appTwo), 1000).String()); err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write([]byte("hello"))
			return nil
		})
		return errors.Join(err, doErr)
	}
	if err := send(); err != nil {
		t.Fatalf("without rules: %v", err)
	}
	apply(t, l.conn, Compile(w, "vpc", in))
	if err := send(); !errors.Is(err, syscall.EPERM) {
		t.Errorf("got %v", err)
	}
}

// No packet of IPv6 passes, whatever addresses somebody has given to links.
func TestNoIPv6(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "six")
	run(t, l.vpc, "sysctl", "-qw", "net.ipv6.conf.i-0.disable_ipv6=0")
	run(t, l.inst[0], "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=0")
	ipBatch(t, l.vpc, []string{"addr add fd00::1/64 dev i-0 nodad", "neigh replace fd00::2 lladdr 02:00:00:00:02:00 dev i-0 nud permanent"})
	ipBatch(t, l.inst[0], []string{"addr add fd00::2/64 dev eth0 nodad", "neigh replace fd00::1 lladdr 02:00:00:00:01:00 dev eth0 nud permanent"})
	var listener net.Listener
	err := l.vpc.Do(func() (err error) {
		listener, err = net.Listen("tcp6", "[fd00::1]:7000")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dial := func(patience time.Duration) error {
		return l.inst[0].Do(func() error {
			c, err := net.DialTimeout("tcp6", "[fd00::1]:7000", patience)
			if err == nil {
				c.Close()
			}
			return err
		})
	}
	if err := dial(testDeadline); err != nil {
		t.Fatalf("without rules: %v", err)
	}
	w, in := matrix([]network.Rule{allOut(), in(network.AnyProtocol, 0, 0, "::/0")}, nil)
	in.Links["i-0"] = netip.MustParseAddr("10.1.0.32")
	apply(t, l.conn, Compile(w, "vpc", in))
	if err := dial(100 * time.Millisecond); err == nil {
		t.Error("let in")
	}
}

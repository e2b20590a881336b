package rules

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/network"
	"golang.org/x/sys/unix"
)

// Segments of connections that exist pass with one rule, which does not ask where they
// come from: routing does. Another instance cannot end a connection by a reset with the
// client's address, though it knows everything about it.
func TestSpoofedReset(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "reset")
	l.echoes(t)
	w, in := echoes(in(network.TCP, portEcho, portEcho, "10.1.0.0/24"))
	in.Resolver = addr("10.1.0.2") // for barrier
	apply(t, l.conn, Compile(w, "vpc", in))
	for _, to := range []netip.AddrPort{nodePort(0), in.Endpoints[0].At, nodePort(1)} {
		c := l.client(t, 0, to)
		l.forge(t, 1, c)
		c.alive("another instance has sent a reset in its name")
	}
	run(t, l.vpc, "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0")
	c := l.client(t, 0, nodePort(0))
	l.forge(t, 1, c)
	c.SetDeadline(time.Now().Add(testDeadline))
	if _, err := c.Write([]byte("x")); err == nil {
		_, err = c.Read(make([]byte, 1))
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the forged reset is none: %v", err)
		}
	}
}

// forge has an instance send the reset that a client would, and returns when it has
// been dealt with.
func (l *lan) forge(t *testing.T, from int, c *client) {
	t.Helper()
	source, destination := c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()
	segment := make([]byte, 20)
	binary.BigEndian.PutUint16(segment, source.Port())
	binary.BigEndian.PutUint16(segment[2:], destination.Port())
	binary.BigEndian.PutUint32(segment[4:], sequence(t, c))
	segment[12], segment[13] = 5<<4, 0x04 // length, RST
	a, b := source.Addr().As4(), destination.Addr().As4()
	pseudo := append(append(append(a[:], b[:]...), 0, unix.IPPROTO_TCP, 0, 20), segment...)
	binary.BigEndian.PutUint16(segment[16:], checksum(pseudo))
	header := make([]byte, 20)
	header[0], header[8], header[9] = 4<<4|5, 64, unix.IPPROTO_TCP // the kernel fills in the rest
	copy(header[12:], source.Addr().AsSlice())
	copy(header[16:], destination.Addr().AsSlice())
	err := l.inst[from].Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Sendto(fd, append(header, segment...), 0, &unix.SockaddrInet4{Addr: destination.Addr().As4()}); err != nil {
			return err
		}
		return barrier()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sequence is the number of the next byte that a client will send.
func sequence(t *testing.T, c *client) uint32 {
	t.Helper()
	const sendQueue, offWithoutProbe = 2, -1
	raw, err := c.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	controlErr := raw.Control(func(fd uintptr) {
		set := func(name, value int) error { return unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, name, value) }
		err = errors.Join(set(unix.TCP_REPAIR, 1), set(unix.TCP_REPAIR_QUEUE, sendQueue))
		if err == nil {
			n, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUEUE_SEQ)
		}
		err = errors.Join(err, set(unix.TCP_REPAIR, offWithoutProbe))
	})
	if err := errors.Join(controlErr, err); err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

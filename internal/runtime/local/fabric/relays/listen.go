package relays

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/relay"
)

// takeOver collects the listening sockets of the relays that still accept.
func (r *Relays) takeOver(ctx context.Context) map[string]int {
	inherited := map[string]int{}
	for _, p := range r.older {
		if p.draining {
			continue
		}
		got, err := p.client.HandOver(ctx)
		if err != nil {
			r.cfg.Log.Warn("relay does not hand its sockets over", "pid", p.client.PID(), "err", err)
			continue
		}
		for _, s := range got {
			if _, twice := inherited[s.Address]; twice {
				relay.CloseSockets([]relay.Socket{s})
				continue
			}
			inherited[s.Address] = s.FD
		}
	}
	return inherited
}

// addresses are all that a document names.
func addresses(d relay.Document) []string {
	var all []string
	for _, l := range d.Listeners {
		all = append(all, l.Addresses...)
	}
	for _, r := range d.Resolvers {
		all = append(all, r.Addresses...)
	}
	return all
}

// open finds or opens a socket for each address of the document that the active
// relay lacks. reasons says why an address cannot be had.
func (r *Relays) open(inherited map[string]int) (sockets []relay.Socket, reasons map[string]error) {
	reasons = map[string]error{}
	for _, a := range addresses(r.doc) {
		if r.active.held[a] {
			continue
		}
		fd, ok := inherited[a]
		delete(inherited, a)
		if !ok {
			var err error
			if fd, err = r.cfg.Listen(a); err != nil {
				reasons[a] = err
				continue
			}
		}
		sockets = append(sockets, relay.Socket{Address: a, FD: fd})
	}
	for a, fd := range inherited {
		relay.CloseSockets([]relay.Socket{{Address: a, FD: fd}})
	}
	return sockets, reasons
}

// Options of a listening socket; accepted ones inherit them. The keepalive times
// are the engines' own: a client that vanished is noticed within ten minutes.
var options = []struct{ level, name, value int }{
	{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1}, // connections of an earlier relay may linger
	{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 300},
	{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 100},
	{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
	{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
}

// backlog is cut by the kernel to net.core.somaxconn.
const backlog = 65535

// What stands before the address of a resolver's socket: one IP:PORT is opened
// twice.
const (
	Datagrams = "udp/"
	Streams   = "tcp/"
)

// Listen opens a listening socket at IP:PORT or tcp/IP:PORT, or one for datagrams at
// udp/IP:PORT, in the network namespace of the thread that calls it.
func Listen(address string) (int, error) {
	if at, ok := strings.CutPrefix(address, Datagrams); ok {
		return bound(at, unix.SOCK_DGRAM)
	}
	at := strings.TrimPrefix(address, Streams)
	fd, err := bound(at, unix.SOCK_STREAM)
	if err != nil {
		return -1, err
	}
	if err := unix.Listen(fd, backlog); err != nil {
		unix.Close(fd)
		return -1, refused(at, err)
	}
	return fd, nil
}

// bound opens a socket with an address.
func bound(address string, kind int) (int, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return -1, refused(address, err)
	}
	family, sa := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()})
	if at.Addr().Is4() {
		family, sa = unix.AF_INET, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, refused(address, err)
	}
	for _, o := range options {
		if err == nil && kind == unix.SOCK_STREAM {
			err = unix.SetsockoptInt(fd, o.level, o.name, o.value)
		}
	}
	if err == nil {
		err = unix.Bind(fd, sa)
	}
	if err != nil {
		unix.Close(fd)
		return -1, refused(address, err)
	}
	return fd, nil
}

// refused says why an address cannot be had.
func refused(address string, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("address %s is taken by another process", address)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("address %s is none of this host's", address)
	}
	return fmt.Errorf("listen on %s: %w", address, err)
}

package relays

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

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

// open finds or opens a socket for each address of the document that the active
// relay lacks. reasons says why an address cannot be had.
func (r *Relays) open(inherited map[string]int) (sockets []relay.Socket, reasons map[string]error) {
	reasons = map[string]error{}
	for _, l := range r.listeners {
		for _, a := range l.Addresses {
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

// Listen opens a listening socket at IP:PORT, in the network namespace of the thread
// that calls it.
func Listen(address string) (int, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return -1, fmt.Errorf("listen on %s: %w", address, err)
	}
	family, sa := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()})
	if at.Addr().Is4() {
		family, sa = unix.AF_INET, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("listen on %s: %w", address, err)
	}
	for _, o := range options {
		if err == nil {
			err = unix.SetsockoptInt(fd, o.level, o.name, o.value)
		}
	}
	if err == nil {
		err = unix.Bind(fd, sa)
	}
	if err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		unix.Close(fd)
		if errors.Is(err, unix.EADDRINUSE) {
			return -1, fmt.Errorf("address %s is taken by another process", address)
		}
		return -1, fmt.Errorf("listen on %s: %w", address, err)
	}
	return fd, nil
}

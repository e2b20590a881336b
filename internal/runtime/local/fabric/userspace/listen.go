package userspace

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/relay"
	"github.com/larder-cache/larder/internal/runtime/local"
)

// plan is what the endpoints ask for.
type plan struct {
	doc relay.Document
	// places are, by endpoint, the places to listen at: of each place at least
	// one address must be had.
	places map[string][]place
}

type place []string

// planFor translates the endpoints, but for who may connect. An address that two of
// them name is the first one's.
func planFor(eps []local.Endpoint) plan {
	p := plan{places: map[string][]place{}}
	owned := map[string]bool{}
	for _, ep := range eps {
		l := relay.Listener{
			ID: ep.ID, VPC: ep.Network, CutRemoved: ep.CutRemoved, MaxConns: ep.MaxConns,
			TLS: relay.TLS{Mode: ep.TLS.Mode, ChainPEM: ep.TLS.ChainPEM, KeyPEM: ep.TLS.KeyPEM},
		}
		for _, b := range ep.Backends {
			l.Backends = append(l.Backends, relay.Backend{Node: b.Node, Socket: b.Socket, Login: b.Login})
		}
		for _, e := range ep.Listen {
			if e.IsZero() {
				continue
			}
			at := listenOn(e, hostAddresses)
			p.places[ep.ID] = append(p.places[ep.ID], at)
			for _, a := range at {
				if !owned[a] {
					owned[a] = true
					l.Addresses = append(l.Addresses, a)
				}
			}
		}
		p.doc.Listeners = append(p.doc.Listeners, l)
	}
	return p
}

// missed says for each endpoint which place it lacks, and why.
func (p plan) missed(reasons map[string]error) map[string]error {
	failed := map[string]error{}
	owner := map[string]string{}
	for _, l := range p.doc.Listeners {
		for _, a := range l.Addresses {
			owner[a] = l.ID
		}
	}
	for id, places := range p.places {
		for _, at := range places {
			if err := at.missed(id, owner, reasons); err != nil {
				failed[id] = err
			}
		}
	}
	return failed
}

func (at place) missed(id string, owner map[string]string, reasons map[string]error) error {
	err := errors.New("this host has no address to listen on")
	for _, a := range at {
		switch {
		case owner[a] != id:
			err = fmt.Errorf("address %s is that of %q", a, owner[a])
		case reasons[a] != nil:
			err = reasons[a]
		default:
			return nil
		}
	}
	return err
}

// listenOn says where to listen for an endpoint: at its address, if this host has
// it. A name, or an address that only exists outside (of a container's host, of
// a load balancer), is reached through one of the host's own, so it is all of
// those. It is not the wildcard address, which would collide with every
// endpoint that has the same port in a loopback window.
func listenOn(e core.Endpoint, host func() []netip.Addr) place {
	port := uint16(e.Port)
	if ip, err := netip.ParseAddr(e.Address); err == nil && (ip.IsLoopback() || slices.Contains(host(), ip)) {
		return place{netip.AddrPortFrom(ip, port).String()}
	}
	var all place
	for _, ip := range host() {
		all = append(all, netip.AddrPortFrom(ip, port).String())
	}
	return all
}

// hostAddresses are the addresses of this host under which others can reach it,
// and the loopback addresses.
func hostAddresses() []netip.Addr {
	var all []netip.Addr
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, n := range nets {
		p, err := netip.ParsePrefix(n.String())
		if err == nil && !p.Addr().IsLinkLocalUnicast() {
			all = append(all, p.Addr())
		}
	}
	return all
}

// takeOver collects the listening sockets of the relays that still accept.
func (f *Fabric) takeOver(ctx context.Context) map[string]int {
	inherited := map[string]int{}
	for _, p := range f.older {
		if p.draining {
			continue
		}
		got, err := p.client.HandOver(ctx)
		if err != nil {
			f.cfg.Log.Warn("relay does not hand its sockets over", "pid", p.client.PID(), "err", err)
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
func (f *Fabric) open(inherited map[string]int) (sockets []relay.Socket, reasons map[string]error) {
	reasons = map[string]error{}
	for _, l := range f.plan.doc.Listeners {
		for _, a := range l.Addresses {
			if f.active.held[a] {
				continue
			}
			fd, ok := inherited[a]
			delete(inherited, a)
			if !ok {
				var err error
				if fd, err = listen(a); err != nil {
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

// listen opens a listening socket.
func listen(address string) (int, error) {
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

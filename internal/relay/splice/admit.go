package splice

import (
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// enforce puts a policy in force on this loop. Connections that were admitted
// untracked end with the permission, clients that are held get in with it, and
// all others are left alone.
func (l *loop) enforce(access *Access) {
	l.access = access
	for _, c := range l.slots {
		switch {
		case c.phase == unused:
		case c.phase == held:
			if l.admitted(c) {
				l.release(c)
				l.begin(c)
			}
		case c.untracked && l.knows(c.backend) && !access.Admits(c.backend.node, c.source):
			l.reset(c)
		}
	}
}

// knows reports whether the policy says anything of a backend: of a node that is
// gone it does not, and then it is the node's end that ends its connections.
func (l *loop) knows(b *backend) bool {
	_, ok := l.access.Nodes[b.node]
	return ok
}

// admitted reports whether a backend of the client's listener admits it.
func (l *loop) admitted(c *conn) bool {
	return slices.ContainsFunc(c.ls.route.backends, func(b *backend) bool { return l.access.Admits(b.node, c.source) })
}

// hold keeps a refused client in silence until it is reset. It takes no
// connection from those who are let in: it counts with the others that are held,
// and there are only so many of them.
func (l *loop) hold(c *conn) {
	if l.access.RefuseAfter <= 0 || l.s.held.Load() >= int64(l.s.cfg.MaxHeld) {
		l.refuse(c)
		return
	}
	c.ls.stats.Refused++
	c.ls.stats.Open--
	l.s.open.Add(-1)
	l.s.held.Add(1)
	c.phase = held
	l.refused = append(l.refused, expiry{c.ref, l.s.cfg.Clock.Now().Add(l.access.RefuseAfter)})
}

// release takes a client from those that are held.
func (l *loop) release(c *conn) {
	c.ls.stats.Open++
	l.s.open.Add(1)
	l.s.held.Add(-1)
	c.phase = sniffing
}

// turnAway resets the clients that were held long enough.
func (l *loop) turnAway(now time.Time) {
	for len(l.refused) > 0 && !l.refused[0].at.After(now) {
		if c := l.at(l.refused[0].ref); c != nil && c.phase == held {
			l.reset(c)
		}
		l.refused = l.refused[1:]
	}
}

// address is that of a peer; zero for what is no IP socket.
func address(peer unix.Sockaddr) netip.Addr {
	switch a := peer.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(a.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(a.Addr)
	}
	return netip.Addr{}
}

package splice

import (
	"maps"
	"time"

	"golang.org/x/sys/unix"
)

const (
	clientEvents = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET
	engineEvents = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET
	// accepts is how many clients one listener accepts before others have their turn.
	accepts = 64
	// acceptPause is how long nothing is accepted when the kernel has no more
	// descriptors or memory to give.
	acceptPause = 100 * time.Millisecond
	// complainEvery is how often the log hears of it.
	complainEvery = time.Minute
)

// apply puts the routes in force on this loop.
func (l *loop) apply(routes []*route) {
	listeners := make(map[string]*listener, len(routes))
	accepting := map[int]*listener{}
	for _, r := range routes {
		ls := l.listeners[r.ID]
		if ls == nil {
			ls = l.retired[r.ID]
		}
		if ls == nil {
			ls = &listener{}
		}
		delete(l.retired, r.ID)
		ls.route = r
		listeners[r.ID] = ls
		for _, fd := range r.Sockets {
			accepting[fd] = ls
		}
	}
	for id, ls := range l.listeners {
		if listeners[id] == nil {
			// A way in from outside ends with its connections, the node of an endpoint
			// that is gone with its own.
			cut := ls.route.CutRemoved || ls.route.Source.IsValid()
			ls.route = &route{Listener: Listener{ID: id, CutRemoved: cut}}
			l.retired[id] = ls
		}
	}
	maps.DeleteFunc(l.retired, func(_ string, ls *listener) bool { return ls.stats.Open == 0 })
	before := l.accepting
	l.listeners, l.accepting = listeners, accepting
	for fd := range before {
		if accepting[fd] == nil {
			_ = l.watch(unix.EPOLL_CTL_DEL, fd, 0, unix.EpollEvent{})
		}
	}
	for fd := range accepting {
		if before[fd] == nil && l.resume.IsZero() {
			l.listen(fd)
		}
	}
	for _, c := range l.slots {
		if c.phase != unused && !c.allowed() {
			l.reset(c)
		}
	}
}

// deafen stops watching the listening sockets.
func (l *loop) deafen() {
	for fd := range l.accepting {
		_ = l.watch(unix.EPOLL_CTL_DEL, fd, 0, unix.EpollEvent{})
	}
	clear(l.accepting)
}

// allowed reports whether the route in force still lets the connection be.
func (c *conn) allowed() bool {
	r := c.ls.route
	if c.backend != nil && r.CutRemoved && !r.has(c.backend) {
		return false
	}
	return c.phase < dialing || c.tls != nil || r.Mode != Required
}

// listen watches a listening socket. Exclusive: of several loops, one wakes.
func (l *loop) listen(fd int) {
	err := l.watch(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLEXCLUSIVE, event(int32(fd), 0, kindListener))
	if err != nil && err != unix.EEXIST {
		l.s.cfg.Log.Error("relay cannot watch a listener", "listener", l.accepting[fd].route.ID, "err", err)
	}
}

func (l *loop) accept(fd int, ls *listener) {
	for range accepts {
		client, peer, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
			l.welcome(client, peer, ls)
		case unix.EAGAIN:
			return
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			l.pause(err)
			return
		}
		// Any other error is that of the connection, which is gone from the queue.
	}
}

// welcome begins with a client that was accepted.
func (l *loop) welcome(fd int, peer unix.Sockaddr, ls *listener) {
	c := l.newConn(fd, ls)
	c.source = ls.route.Source
	if !c.source.IsValid() {
		c.source = l.access.Source(ls.route.VPC, address(peer))
	}
	switch {
	case len(ls.route.backends) == 0:
		l.refuse(c)
	case l.watch(unix.EPOLL_CTL_ADD, fd, clientEvents, event(c.slot, c.gen, kindClient)) != nil:
		l.refuse(c)
	case !l.admitted(c):
		l.hold(c)
	default:
		l.begin(c)
	}
}

// begin serves a client that the policy lets in.
func (l *loop) begin(c *conn) {
	if l.crowded(c.ls) {
		l.refuse(c)
		return
	}
	c.ls.stats.Accepted++
	switch c.ls.route.Mode {
	case Plain:
		l.join(c)
		return
	case Required:
		l.deadline(c)
	}
	if c.client.readable {
		l.proceed(c)
	}
}

// crowded reports whether there are as many clients as there may be. Those that
// have not said a first byte yet are no node's, but bounded all the same.
func (l *loop) crowded(ls *listener) bool {
	if most := l.s.cfg.MaxConns; most > 0 && l.s.Open() > most {
		return true
	}
	most := ls.route.MaxConns * len(ls.route.backends)
	return most > 0 && ls.stats.Open > int64(most)
}

// pause stops accepting for a while: a listener with a client that cannot be
// accepted would otherwise wake the loop without end.
func (l *loop) pause(cause error) {
	if !l.resume.IsZero() {
		return
	}
	now := l.s.cfg.Clock.Now()
	if now.Sub(l.complained) > complainEvery {
		l.complained = now
		l.s.cfg.Log.Warn("relay cannot accept, clients wait", "err", cause, "connections", l.s.Open())
	}
	for fd := range l.accepting {
		_ = l.watch(unix.EPOLL_CTL_DEL, fd, 0, unix.EpollEvent{})
	}
	l.resume = now.Add(acceptPause)
}

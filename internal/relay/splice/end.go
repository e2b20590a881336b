package splice

import "golang.org/x/sys/unix"

// refuse resets a client that gets no engine.
func (l *loop) refuse(c *conn) {
	c.ls.stats.Refused++
	l.reset(c)
}

// reset ends a connection at once: the client gets RST.
func (l *loop) reset(c *conn) {
	if c.phase == handshaking {
		c.tls.sock.stop()
		return
	}
	_ = unix.SetsockoptLinger(c.client.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	l.end(c)
}

// hangUp ends a connection after the engine has, in order: the client reads all
// that the engine sent, then the end.
func (l *loop) hangUp(c *conn) {
	if c.tls != nil {
		l.closeNotify(c)
	}
	if !c.client.ending {
		l.drain(c)
	}
	l.end(c)
}

// drain reads what the client has sent and nobody wants. What is left unread when a
// socket is closed makes the kernel send RST, which can overtake what the client
// has not read yet.
func (l *loop) drain(c *conn) {
	const pieces = 16
	_ = unix.Shutdown(c.client.fd, unix.SHUT_WR)
	for range pieces {
		if n, _ := unix.Read(c.client.fd, l.buf); n <= 0 {
			return
		}
	}
}

func (l *loop) end(c *conn) {
	_ = unix.Close(c.client.fd)
	if c.engine.fd >= 0 {
		_ = unix.Close(c.engine.fd)
	}
	if c.backend != nil {
		c.backend.conns.Add(-1)
	}
	l.drop(&c.client)
	l.drop(&c.engine)
	if c.phase == held {
		l.s.held.Add(-1)
	} else {
		c.ls.stats.Open--
		l.s.open.Add(-1)
	}
	*c = conn{ref: c.ref}
	l.free = append(l.free, c.slot)
}

// deadline has expired called for the connection in a while.
func (l *loop) deadline(c *conn) {
	l.deadlines = append(l.deadlines, expiry{c.ref, l.s.cfg.Clock.Now().Add(l.s.cfg.HandshakeTimeout)})
}

// expired ends a connection that has made no progress where it must.
func (l *loop) expired(c *conn) {
	switch {
	case c.phase == handshaking, c.phase == sniffing && c.ls.route.Mode == Required:
		l.reset(c)
	case c.closing && !c.moved:
		l.reset(c)
	case c.closing:
		c.moved = false
		l.deadline(c)
	}
}

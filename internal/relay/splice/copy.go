package splice

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// splice moves what can be moved, both ways.
func (l *loop) splice(c *conn) {
	if !l.flush(c, &c.client) || !l.flush(c, &c.engine) {
		return
	}
	if c.engine.readable && !c.engine.eof && len(c.client.out) == 0 && !l.down(c) {
		return
	}
	if c.client.readable && !c.client.eof && len(c.engine.out) == 0 && !l.up(c) {
		return
	}
	if c.client.eof && !c.engine.shut && len(c.engine.out) == 0 {
		c.engine.shut = true
		_ = unix.Shutdown(c.engine.fd, unix.SHUT_WR)
	}
	switch {
	case c.engine.eof && len(c.client.out) == 0:
		l.hangUp(c)
	case c.engine.gone && !c.closing && len(c.client.out) > 0:
		c.closing = true
		l.deadline(c)
	case c.client.gone && len(c.engine.out) > 0:
		l.reset(c) // nobody is left to want an answer from an engine that stalls
	case c.engine.readable && !c.engine.eof && len(c.client.out) == 0,
		c.client.readable && !c.client.eof && len(c.engine.out) == 0:
		l.later(c)
	}
}

// up moves bytes from the client to the engine. False means that the connection
// has ended.
func (l *loop) up(c *conn) bool {
	n, err := l.readClient(c)
	c.ls.stats.BytesIn += int64(n)
	if c.tls != nil && len(l.cipher) > 0 && !l.write(c, &c.client, l.cipher) {
		return false
	}
	if n > 0 && !l.write(c, &c.engine, l.buf[:n]) {
		return false
	}
	switch {
	case err == nil || wouldBlock(err):
		return true
	case errors.Is(err, io.EOF):
		c.client.eof = true
		return true
	}
	l.reset(c)
	return false
}

// down moves bytes from the engine to the client.
func (l *loop) down(c *conn) bool {
	n, err := read(&c.engine, l.buf)
	c.ls.stats.BytesOut += int64(n)
	if n > 0 && !l.writeClient(c, l.buf[:n]) {
		return false
	}
	switch {
	case err == nil || wouldBlock(err):
		return true
	case errors.Is(err, io.EOF):
		c.engine.eof = true
		return true
	}
	l.reset(c)
	return false
}

func (l *loop) readClient(c *conn) (int, error) {
	if c.tls != nil {
		return l.readTLS(c)
	}
	return read(&c.client, l.buf)
}

func (l *loop) writeClient(c *conn, b []byte) bool {
	if c.tls != nil {
		return l.writeTLS(c, b)
	}
	return l.write(c, &c.client, b)
}

// read reads once. A short read has emptied the socket, so that the next event
// tells of more; only the end comes without one when it was seen before.
func read(s *side, p []byte) (int, error) {
	for {
		n, err := unix.Read(s.fd, p)
		switch {
		case n > 0:
			s.readable = n == len(p) || s.ending
			return n, nil
		case err == nil:
			s.readable = false
			return 0, io.EOF
		case err == unix.EINTR:
			continue
		case wouldBlock(err):
			s.readable = false
		}
		return 0, err
	}
}

// write sends b, and keeps what the socket does not take. False means that the
// connection has ended.
func (l *loop) write(c *conn, s *side, b []byte) bool {
	if len(s.out) == 0 {
		n, err := writeSome(s.fd, b)
		if err != nil {
			return l.unwritable(c, s, err)
		}
		b = b[n:]
	}
	if len(b) == 0 {
		return true
	}
	if s.out == nil {
		s.out = l.buffer()
	}
	s.out = append(s.out, b...)
	l.arm(c, s)
	return true
}

// flush sends what was kept.
func (l *loop) flush(c *conn, s *side) bool {
	if len(s.out) == 0 {
		return true
	}
	n, err := writeSome(s.fd, s.out[s.sent:])
	if err != nil {
		return l.unwritable(c, s, err)
	}
	c.moved = c.moved || n > 0 && s == &c.client
	if s.sent += n; s.sent < len(s.out) {
		return true
	}
	l.drop(s)
	l.arm(c, s)
	return true
}

// unwritable ends the connection, but for what an engine said before it closed.
func (l *loop) unwritable(c *conn, s *side, err error) bool {
	if s == &c.engine && errors.Is(err, unix.EPIPE) {
		l.drop(s)
		s.shut, s.readable, s.ending = true, true, true
		c.client.eof = true
		return true
	}
	l.reset(c)
	return false
}

// arm watches the engine's socket for space while something waits for it.
func (l *loop) arm(c *conn, s *side) {
	want := len(s.out) > 0
	if s != &c.engine || s.armed == want {
		return
	}
	s.armed = want
	events := uint32(engineEvents)
	if want {
		events |= unix.EPOLLOUT
	}
	_ = l.watch(unix.EPOLL_CTL_MOD, s.fd, events, event(c.slot, c.gen, kindEngine))
}

// writeSome writes without waiting; 0 means that the socket is full.
func writeSome(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Write(fd, b)
		switch {
		case err == nil:
			return n, nil
		case err == unix.EINTR:
			continue
		case wouldBlock(err):
			return 0, nil
		}
		return 0, err
	}
}

// fdReader reads from a descriptor.
type fdReader int

// Read implements io.Reader.
func (fd fdReader) Read(p []byte) (int, error) { return unix.Read(int(fd), p) }

func wouldBlock(err error) bool {
	return err == unix.EAGAIN || err == errWouldBlock
}

// buffer is empty and has room for a chunk.
func (l *loop) buffer() []byte {
	if n := len(l.spare); n > 0 {
		b := l.spare[n-1]
		l.spare = l.spare[:n-1]
		return b
	}
	return make([]byte, 0, chunk)
}

// drop forgets what was kept.
func (l *loop) drop(s *side) {
	const spares = 16
	if cap(s.out) == chunk && len(l.spare) < spares {
		l.spare = append(l.spare, s.out[:0])
	}
	s.out, s.sent = nil, 0
}

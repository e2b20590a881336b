package splice

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// phase is how far a connection has come. A plaintext client goes from dialing
// on, one that may speak TLS from sniffing:
//
//	sniffing -> handshaking -> dialing -> loggingIn -> splicing
//	    |                        ^  |                     ^
//	    +------ plaintext -------+  +---- no login -------+
type phase uint8

const (
	unused      phase = iota
	sniffing          // no byte from the client yet
	handshaking       // a goroutine owns the client's socket
	dialing           // no engine has taken the connection yet
	loggingIn         // the engine's reply to the login is awaited
	splicing
)

// generations fit into an event beside the kind.
const generations = 1 << (32 - kindBits)

// conn is a client and the engine it is connected to.
type conn struct {
	ref
	phase  phase
	queued bool // in loop.again
	ls     *listener
	// backend is nil until the engine is connected.
	backend        *backend
	client, engine side
	// tls is nil for a plaintext client.
	tls *session
	// left is how many bytes a closing connection still had for its client when
	// last looked at.
	left int
}

// side is one of the two sockets.
type side struct {
	fd int
	// readable: there may be something to read; the next event is what sets it again.
	readable bool
	// ending: the peer sends no more, so reading goes on until the end is read.
	ending bool
	// eof: the end has been read. shut: the end has been passed on to the peer.
	eof, shut bool
	// out[sent:] is what the socket has not taken.
	out  []byte
	sent int
	// gone: the peer takes nothing any more.
	gone bool
	// armed: the engine's socket is watched for space. The client's always is, as
	// TCP, other than a unix socket, tells of space only to who lacked it.
	armed bool
}

func (l *loop) newConn(fd int, ls *listener) *conn {
	if len(l.free) == 0 {
		l.slots = append(l.slots, &conn{ref: ref{slot: int32(len(l.slots))}})
		l.free = append(l.free, int32(len(l.slots)-1))
	}
	c := l.slots[l.free[len(l.free)-1]]
	l.free = l.free[:len(l.free)-1]
	*c = conn{
		ref: ref{slot: c.slot, gen: (c.gen + 1) % generations},
		ls:  ls, client: side{fd: fd}, engine: side{fd: -1}, phase: sniffing,
	}
	ls.stats.Open++
	l.s.open.Add(1)
	return c
}

// proceed takes a connection one step further. It is called when something may
// have changed, and may end the connection.
func (l *loop) proceed(c *conn) {
	switch c.phase {
	case sniffing:
		l.sniff(c)
	case handshaking:
		c.tls.sock.wake()
	case dialing:
		if c.client.gone {
			l.reset(c)
		}
	case loggingIn:
		l.logIn(c)
	case splicing:
		l.splice(c)
	}
}

// later lets others have their turn first.
func (l *loop) later(c *conn) {
	if !c.queued {
		c.queued = true
		l.again = append(l.again, c.ref)
	}
}

// dial connects the client to an engine, or resets it where none takes it.
func (l *loop) dial(c *conn) {
	b, fd, err := c.ls.route.connect(c.ls.turn)
	c.ls.turn++
	switch {
	case errors.Is(err, errBusy):
		now := l.s.cfg.Clock.Now()
		c.phase = dialing
		l.waiting = append(l.waiting, expiry{c.ref, now.Add(giveUpDial)})
	case err != nil:
		l.refuse(c)
	default:
		l.attach(c, b, fd)
	}
}

// dialAgain is dial for a client that has waited since w.
func (l *loop) dialAgain(c *conn, w expiry) {
	b, fd, err := c.ls.route.connect(c.ls.turn)
	switch {
	case errors.Is(err, errBusy):
		l.waiting = append(l.waiting, w)
	case err != nil:
		l.refuse(c)
	default:
		l.attach(c, b, fd)
	}
}

func (l *loop) attach(c *conn, b *backend, fd int) {
	c.engine.fd = fd
	c.backend = b
	b.conns.Add(1)
	if err := l.watch(unix.EPOLL_CTL_ADD, fd, engineEvents, event(c.slot, c.gen, kindEngine)); err != nil {
		l.refuse(c)
		return
	}
	c.phase = splicing
	if b.login != nil {
		c.phase = loggingIn
		l.write(c, &c.engine, b.login)
		return
	}
	if c.client.readable {
		l.proceed(c)
	}
}

// logIn awaits the engine's reply to the login. What the client has sent
// meanwhile waits in its socket.
func (l *loop) logIn(c *conn) {
	if c.client.gone {
		l.reset(c)
		return
	}
	if !c.engine.readable {
		return
	}
	// Peeking leaves an incomplete reply where it is, so nothing is kept here.
	n, _, err := unix.Recvfrom(c.engine.fd, l.buf[:maxLoginReply], unix.MSG_PEEK)
	if err != nil {
		if wouldBlock(err) {
			c.engine.readable = false
			return
		}
		l.reset(c)
		return
	}
	rest, done := loginReply(l.buf[:n])
	if !done && n > 0 {
		c.engine.readable = c.engine.ending
		if c.engine.ending {
			l.reset(c) // it ended within its reply
		}
		return
	}
	if _, err := io.ReadFull(fdReader(c.engine.fd), l.buf[:n-len(rest)]); err != nil {
		l.reset(c)
		return
	}
	c.phase = splicing
	l.splice(c)
}

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
		if len(c.client.out) > 0 {
			c.left = 0
			l.deadline(c)
		}
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

package splice

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// tlsHandshake is the first byte of a TLS client; no command of an engine
// begins with it.
const tlsHandshake = 0x16

// session is the TLS side of a client.
type session struct {
	conn *tls.Conn
	sock *socket
}

// sniff looks at the first byte of a client that may speak TLS.
func (l *loop) sniff(c *conn) {
	if !c.client.readable {
		return
	}
	var first [1]byte
	n, _, err := unix.Recvfrom(c.client.fd, first[:], unix.MSG_PEEK)
	switch {
	case err != nil && wouldBlock(err):
		c.client.readable = false
	case err != nil || n == 0:
		l.reset(c)
	case first[0] == tlsHandshake && c.ls.route.Mode != Plain:
		l.handshake(c)
	case c.ls.route.Mode == Required:
		l.refuse(c)
	default:
		l.join(c)
	}
}

// handshake has a goroutine do the handshake; the client's socket is its own
// until handshaken.
func (l *loop) handshake(c *conn) {
	sock := &socket{fd: c.client.fd, ready: make(chan struct{}, 1), aborted: make(chan struct{})}
	c.tls = &session{conn: tls.Server(sock, c.ls.route.TLS), sock: sock}
	c.phase = handshaking
	if c.ls.route.Mode == Preferred {
		l.deadline(c)
	}
	r, conn := c.ref, c.tls.conn
	go func() {
		err := conn.Handshake()
		l.post(func() { l.handshaken(r, err) })
	}()
}

// handshaken takes the client back into the loop.
func (l *loop) handshaken(r ref, err error) {
	c := l.at(r)
	c.phase = sniffing
	switch {
	case c.tls.sock.stopped():
		l.reset(c)
	case err != nil:
		l.s.cfg.Log.Debug("tls handshake", "listener", c.ls.route.ID, "err", err)
		c.ls.stats.Refused++
		c.tls = nil
		l.hangUp(c)
	default:
		c.tls.sock.loop, c.tls.sock.conn = l, c
		// The client's first bytes may have been read together with the end of the
		// handshake; no event will tell of them.
		c.client.readable = true
		l.join(c)
	}
}

// readTLS fills the loop's buffer with what the client sent. It may return both
// bytes and an error, and leave an alert or a key update for the client in cipher.
func (l *loop) readTLS(c *conn) (n int, err error) {
	if l.raw == nil {
		l.raw = make([]byte, chunk)
	}
	l.cipher = l.cipher[:0]
	for n < len(l.buf) && err == nil {
		var m int
		m, err = c.tls.conn.Read(l.buf[n:])
		n += m
	}
	if err == nil {
		c.client.readable = true // the buffer is full, there may be more
	}
	if len(c.tls.sock.in) > 0 {
		c.tls.sock.in = bytes.Clone(c.tls.sock.in) // the loop's buffer is others' next
	}
	return n, err
}

// writeTLS sends b to the client, as few records.
func (l *loop) writeTLS(c *conn, b []byte) bool {
	l.cipher = l.cipher[:0]
	if _, err := c.tls.conn.Write(b); err != nil {
		l.reset(c)
		return false
	}
	return l.write(c, &c.client, l.cipher)
}

// closeNotify tells the client that the end is no truncation.
func (l *loop) closeNotify(c *conn) {
	l.cipher = l.cipher[:0]
	if c.tls.conn.CloseWrite() == nil {
		_, _ = writeSome(c.client.fd, l.cipher)
	}
}

// socket is the client's socket as crypto/tls uses it. During the handshake it
// waits for the loop to say that the socket is ready; afterwards it belongs to
// the loop: reads say errWouldBlock instead of waiting, which crypto/tls takes
// for a timeout after which reading may go on, and writes go to the loop's buffer.
type socket struct {
	fd      int
	ready   chan struct{}
	aborted chan struct{}
	once    sync.Once

	loop *loop
	conn *conn
	in   []byte
}

var errWouldBlock error = wouldBlockError{}

type wouldBlockError struct{}

func (wouldBlockError) Error() string   { return "would block" }
func (wouldBlockError) Timeout() bool   { return true }
func (wouldBlockError) Temporary() bool { return true }

var _ net.Error = wouldBlockError{}

// errStopped ends a handshake that the loop no longer wants.
var errStopped = errors.New("stopped")

func (s *socket) wake() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

func (s *socket) stop() { s.once.Do(func() { close(s.aborted) }) }

func (s *socket) stopped() bool {
	select {
	case <-s.aborted:
		return true
	default:
		return false
	}
}

// await waits until the socket may be ready.
func (s *socket) await() error {
	select {
	case <-s.ready:
		return nil
	case <-s.aborted:
		return errStopped
	}
}

// Read implements net.Conn.
func (s *socket) Read(p []byte) (int, error) {
	if s.loop == nil {
		for {
			n, err := unix.Read(s.fd, p)
			switch {
			case n > 0:
				return n, nil
			case err == nil:
				return 0, io.EOF
			case err == unix.EINTR:
			case err != unix.EAGAIN:
				return 0, err
			default:
				if err := s.await(); err != nil {
					return 0, err
				}
			}
		}
	}
	if len(s.in) == 0 {
		if !s.conn.client.readable {
			return 0, errWouldBlock
		}
		n, err := read(&s.conn.client, s.loop.raw)
		if err != nil {
			if wouldBlock(err) {
				err = errWouldBlock
			}
			return 0, err
		}
		s.in = s.loop.raw[:n]
	}
	n := copy(p, s.in)
	s.in = s.in[n:]
	return n, nil
}

// Write implements net.Conn.
func (s *socket) Write(p []byte) (int, error) {
	if s.loop != nil {
		s.loop.cipher = append(s.loop.cipher, p...)
		return len(p), nil
	}
	for done := 0; ; {
		n, err := writeSome(s.fd, p[done:])
		if err != nil {
			return done, err
		}
		if done += n; done == len(p) {
			return done, nil
		}
		if err := s.await(); err != nil {
			return done, err
		}
	}
}

// Close implements net.Conn; the loop is who closes the socket.
func (s *socket) Close() error { return nil }

// LocalAddr implements net.Conn; crypto/tls only shows it in errors.
func (s *socket) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr implements net.Conn.
func (s *socket) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// SetDeadline implements net.Conn; deadlines are the loop's business.
func (s *socket) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (s *socket) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

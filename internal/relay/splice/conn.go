package splice

import (
	"io"
	"net/netip"

	"golang.org/x/sys/unix"
)

// phase is how far a connection has come. A plaintext client goes from dialing
// on, one that may speak TLS from sniffing:
//
//	held -> sniffing -> handshaking -> dialing -> loggingIn -> splicing
//	           |                        ^  |                     ^
//	           +------ plaintext -------+  +---- no login -------+
//
// Only a client that the policy does not admit is held, and it leaves by way of a
// policy that does.
type phase uint8

const (
	unused      phase = iota
	held              // refused; waits for its reset
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
	// source is the client's address in the listener's VPC; zero: it has none.
	source netip.Addr
	// untracked: the policy must go on admitting the connection.
	untracked bool
	// backend is nil until the engine is connected.
	backend        *backend
	client, engine side
	// tls is nil for a plaintext client.
	tls *session
	// closing: the engine has closed, and its client has to take what is left of
	// its answers. moved: the client has taken some since last looked at.
	closing, moved bool
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
	case held:
		if c.client.ending {
			l.reset(c)
		}
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

// join connects the client to an engine, if need be once one has room, or resets
// it where there is none.
func (l *loop) join(c *conn) {
	if l.dial(c) == errBusy {
		c.phase = dialing
		l.waiting = append(l.waiting, expiry{c.ref, l.s.cfg.Clock.Now().Add(giveUpDial)})
	}
}

// dial says errBusy where it has done nothing.
func (l *loop) dial(c *conn) error {
	b, fd, err := c.ls.route.connect(c.ls.turn, func(b *backend) bool { return l.access.Admits(b.node, c.source) })
	c.ls.turn++
	switch err {
	case nil:
		l.attach(c, b, fd)
	case errNone:
		l.refuse(c)
	}
	return err
}

func (l *loop) attach(c *conn, b *backend, fd int) {
	c.engine.fd = fd
	c.backend = b
	f, _ := l.access.Filter(b.node)
	c.untracked = f.Untracked
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

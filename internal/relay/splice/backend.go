package splice

import (
	"errors"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// route is a listener as the loops share it: nothing in it changes.
type route struct {
	Listener
	backends []*backend
}

type backend struct {
	node, socket string
	addr         unix.SockaddrUnix
	// login is the whole AUTH command; nil if there is none to send.
	login []byte
	// conns counts the connections of the node, over all loops and listeners.
	conns *atomic.Int64
}

func newBackend(b Backend, conns *atomic.Int64) *backend {
	n := &backend{node: b.Node, socket: b.Socket, addr: unix.SockaddrUnix{Name: b.Socket}, conns: conns}
	if !b.Login.IsZero() {
		n.login = loginCommand(b.Login.Reveal())
	}
	return n
}

func (r *route) has(b *backend) bool {
	for _, o := range r.backends {
		if o.node == b.node && o.socket == b.socket {
			return true
		}
	}
	return false
}

var (
	// errNone: no backend of the listener takes a connection.
	errNone = errors.New("no backend")
	// errBusy: an engine is there, but its queue of unaccepted connections is full,
	// or this process has no descriptor to spare at the moment.
	errBusy = errors.New("backend busy")
)

// connect dials, of the backends that suit, the one with the fewest connections
// that takes one; turn rotates among equals.
func (r *route) connect(turn int, suits func(*backend) bool) (*backend, int, error) {
	var tried uint64
	outcome := errNone
	for range r.backends {
		best := -1
		for i := range r.backends {
			i = (i + turn) % len(r.backends)
			if i >= 64 || tried&(1<<i) != 0 || !suits(r.backends[i]) {
				continue
			}
			if best < 0 || r.backends[i].conns.Load() < r.backends[best].conns.Load() {
				best = i
			}
		}
		if best < 0 {
			break
		}
		tried |= 1 << best
		b := r.backends[best]
		if r.MaxConns > 0 && b.conns.Load() >= int64(r.MaxConns) {
			break // the others have no fewer
		}
		fd, err := b.dial()
		if err == nil {
			return b, fd, nil
		}
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
			outcome = errBusy
		}
	}
	return nil, -1, outcome
}

// dial never blocks: a unix socket connects at once or not at all.
func (b *backend) dial() (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	// The copy is because Connect writes into the address, and loops share it.
	addr := b.addr
	if err := unix.Connect(fd, &addr); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func loginCommand(password string) []byte {
	return []byte("*3\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$" + strconv.Itoa(len(password)) + "\r\n" + password + "\r\n")
}

package rules

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/larder-cache/larder/internal/netns"
	"golang.org/x/sys/unix"
)

// socket is a netlink socket of a namespace. The kernel answers a request before
// the call that sends it returns, so that reading never has to wait.
type socket struct {
	fd  int
	seq uint32
	in  []byte
}

// The kernel takes a batch as one message, which must fit into the socket's
// buffer; a table of 1,000 groups is some megabytes. Answers are small, except
// that every message of a batch may be answered with an error of its own.
const (
	sendBuffer    = 64 << 20
	receiveBuffer = 4 << 20
	readSize      = 64 << 10
)

func openSocket(ns *netns.Namespace, protocol int) (*socket, error) {
	s := &socket{in: make([]byte, readSize)}
	err := ns.Do(func() (err error) {
		s.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("netlink socket in %s: %w", ns.Path(), err)
	}
	for _, o := range []struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer},
		{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer},
		{unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1},
	} {
		if err := unix.SetsockoptInt(s.fd, o.level, o.name, o.value); err != nil {
			return nil, errors.Join(fmt.Errorf("netlink socket in %s: %w", ns.Path(), err), s.close())
		}
	}
	return s, nil
}

func (s *socket) close() error { return unix.Close(s.fd) }

// next is the sequence number of the next message.
func (s *socket) next() uint32 {
	s.seq++
	return s.seq
}

// errUnanswered: the kernel said nothing about a request, which means that it may
// or may not have carried it out.
var errUnanswered = errors.New("no answer from the kernel")

// reply is a message of the kernel.
type reply struct {
	kind  uint16
	flags uint16
	seq   uint32
	data  []byte
}

// request sends what is in b and passes on all replies that are no
// acknowledgements until one ends the request whose last message is last: its
// acknowledgement, an error, or the end of a dump. Errors about earlier messages
// count, too.
func (s *socket) request(b *buffer, last uint32, fn func(reply)) error {
	s.drain()
	if err := unix.Sendto(s.fd, b.b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	var failed error
	for {
		n, _, err := unix.Recvfrom(s.fd, s.in, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			if failed != nil {
				return failed
			}
			return errUnanswered
		case err != nil:
			return fmt.Errorf("receive: %w", err)
		}
		ended := false
		for data := s.in[:n]; len(data) >= unix.SizeofNlMsghdr; {
			size := int(binary.NativeEndian.Uint32(data))
			if size < unix.SizeofNlMsghdr || size > len(data) {
				return fmt.Errorf("message of %d bytes in %d", size, len(data))
			}
			r := reply{
				kind: binary.NativeEndian.Uint16(data[4:]), flags: binary.NativeEndian.Uint16(data[6:]),
				seq: binary.NativeEndian.Uint32(data[8:]), data: data[unix.SizeofNlMsghdr:size],
			}
			data = data[min(len(data), (size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
			if r.flags&unix.NLM_F_DUMP_INTR != 0 {
				failed = errors.Join(failed, errInterrupted)
			}
			switch r.kind {
			case unix.NLMSG_ERROR, unix.NLMSG_DONE:
				if err := r.err(); err != nil && failed == nil {
					failed = err
				}
				ended = ended || r.seq == last
			default:
				if fn != nil {
					fn(r)
				}
			}
		}
		if ended {
			return failed
		}
	}
}

// errInterrupted: what was listed changed in the meantime.
var errInterrupted = errors.New("changed while it was listed")

// requestError is an error of the kernel about one message.
type requestError struct {
	seq   uint32
	errno unix.Errno
}

func (e *requestError) Error() string { return e.errno.Error() }
func (e *requestError) Unwrap() error { return e.errno }

func (r reply) err() error {
	if len(r.data) < 4 {
		return errUnanswered
	}
	if errno := -int32(binary.NativeEndian.Uint32(r.data)); errno != 0 {
		return &requestError{seq: r.seq, errno: unix.Errno(errno)}
	}
	return nil
}

// drain forgets what is left of the answers to a request that failed.
func (s *socket) drain() {
	for {
		if _, _, err := unix.Recvfrom(s.fd, s.in, unix.MSG_DONTWAIT); err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ENOBUFS) {
			return
		}
	}
}

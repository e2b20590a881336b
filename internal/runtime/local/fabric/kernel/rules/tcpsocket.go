package rules

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// tcpSocket is a TCP socket of the namespace, whichever process has it.
type tcpSocket struct {
	local, remote netip.AddrPort
	mark          mark
	// inode names a listener to its process; transparent: see Conn.LeadTo.
	inode       uint32
	transparent bool
	// id is the kernel's struct inet_diag_sockid, with a cookie that no other
	// socket ever has: by the ends alone the kernel might find a listener.
	id []byte
}

// Sizes, places and attributes in linux/inet_diag.h.
const (
	sizeofID     = 48
	sizeofAnswer = 72
	offsetID     = 4 // in the answer
	offsetInode  = 68

	attrSocketMark    = 15
	attrSocketOptions = 22
	bitTransparent    = 1 << 5 // of the first byte of the options

	stateTimeWait = 6
	stateClosed   = 7
	stateListen   = 10

	destroySocket = 21 // SOCK_DESTROY
)

// The states of sockets to be listed.
const (
	listening = uint32(1 << stateListen)
	connected = ^uint32(1<<stateTimeWait | 1<<stateClosed | 1<<stateListen)
)

func (b *buffer) socketRequest(states uint32, id []byte) {
	b.b = append(b.b, unix.AF_INET, unix.IPPROTO_TCP, 0, 0)
	b.b = binary.NativeEndian.AppendUint32(b.b, states)
	b.b = append(b.b, id...)
}

// sockets lists the TCP sockets in some states for which fn says yes; the kernel passes on
// those only for which one of the conditions holds, if there are any. The networks have
// no IPv6, and nobody in them listens at anything but an address of theirs.
func sockets(s *socket, states uint32, where []condition, fn func(tcpSocket) bool) ([]tcpSocket, error) {
	var out []tcpSocket
	var b buffer
	seq := s.next()
	at := b.message(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP, seq)
	b.socketRequest(states, make([]byte, sizeofID))
	if len(where) > 0 && len(where) <= mostConditions {
		b.attr(attrByteCode, anyOf(where))
	}
	b.finish(at)
	err := s.request(&b, seq, func(r reply) {
		if len(r.data) < sizeofAnswer {
			return
		}
		if t := decodeSocket(r.data); fn(t) {
			t.id = slices.Clone(t.id)
			out = append(out, t)
		}
	})
	// A list that changed meanwhile still has what was there all the time.
	if err != nil && !errors.Is(err, errInterrupted) {
		return nil, fmt.Errorf("list sockets: %w", err)
	}
	return out, nil
}

// decodeSocket reads a socket. Its id is part of data.
func decodeSocket(data []byte) tcpSocket {
	id := data[offsetID : offsetID+sizeofID]
	t := tcpSocket{
		local:  netip.AddrPortFrom(netip.AddrFrom4([4]byte(id[4:8])), binary.BigEndian.Uint16(id)),
		remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte(id[20:24])), binary.BigEndian.Uint16(id[2:])),
		inode:  binary.NativeEndian.Uint32(data[offsetInode:]),
		id:     id,
	}
	attributes(data[sizeofAnswer:], func(kind uint16, value []byte) {
		switch {
		case kind == attrSocketMark && len(value) == 4:
			t.mark = mark(binary.NativeEndian.Uint32(value))
		case kind == attrSocketOptions && len(value) > 0:
			t.transparent = value[0]&bitTransparent != 0
		}
	})
	return t
}

// destroy ends a connection at once: its other end gets a reset, the process that
// has it an error. One that has ended by itself is no error.
func destroy(s *socket, t tcpSocket) error {
	var b buffer
	seq := s.next()
	at := b.message(destroySocket, unix.NLM_F_ACK, seq)
	b.socketRequest(^uint32(0), t.id)
	b.finish(at)
	err := s.request(&b, seq, nil)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESTALE):
		return nil
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("reset %s of %s: this kernel cannot end connections (it needs CONFIG_INET_DIAG_DESTROY): %w", t.remote, t.local, err)
	case err != nil:
		return fmt.Errorf("reset %s of %s: %w", t.remote, t.local, err)
	}
	return nil
}

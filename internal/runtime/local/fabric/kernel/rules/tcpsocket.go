package rules

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// tcpSocket is a connected TCP socket of the namespace, whichever process has it.
type tcpSocket struct {
	family        uint8
	local, remote netip.AddrPort
	// id is the kernel's struct inet_diag_sockid, with a cookie that no other
	// socket ever has: by the ends alone the kernel might find a listener.
	id []byte
}

// Sizes and places in linux/inet_diag.h.
const (
	sizeofRequest = 56
	sizeofID      = 48
	offsetID      = 8 // in the request; in the answer it is 4

	stateTimeWait = 6
	stateClosed   = 7
	stateListen   = 10

	destroySocket = 21 // SOCK_DESTROY
)

func (b *buffer) socketRequest(family uint8, states uint32, id []byte) {
	b.b = append(b.b, family, unix.IPPROTO_TCP, 0, 0)
	b.b = binary.NativeEndian.AppendUint32(b.b, states)
	b.b = append(b.b, id...)
}

// sockets lists the connected TCP sockets for which fn says yes.
func sockets(s *socket, fn func(tcpSocket) bool) ([]tcpSocket, error) {
	const connected = ^uint32(1<<stateTimeWait | 1<<stateClosed | 1<<stateListen)
	var out []tcpSocket
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} { // the latter may carry IPv4, too
		var b buffer
		seq := s.next()
		at := b.message(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP, seq)
		b.socketRequest(family, connected, make([]byte, sizeofID))
		b.finish(at)
		err := s.request(&b, seq, func(r reply) {
			if len(r.data) < 4+sizeofID {
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
	}
	return out, nil
}

// decodeSocket reads a socket. Its id is part of data.
func decodeSocket(data []byte) tcpSocket {
	id := data[4 : 4+sizeofID]
	address := func(b []byte) netip.Addr {
		if data[0] == unix.AF_INET {
			return netip.AddrFrom4([4]byte(b[:4]))
		}
		return netip.AddrFrom16([16]byte(b[:16])).Unmap()
	}
	return tcpSocket{
		family: data[0],
		local:  netip.AddrPortFrom(address(id[4:]), binary.BigEndian.Uint16(id)),
		remote: netip.AddrPortFrom(address(id[20:]), binary.BigEndian.Uint16(id[2:])),
		id:     id,
	}
}

// destroy ends a connection at once: its other end gets a reset, the process that
// has it an error. One that has ended by itself is no error.
func destroy(s *socket, t tcpSocket) error {
	var b buffer
	seq := s.next()
	at := b.message(destroySocket, unix.NLM_F_ACK, seq)
	b.socketRequest(t.family, ^uint32(0), t.id)
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

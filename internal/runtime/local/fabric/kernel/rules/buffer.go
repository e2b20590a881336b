package rules

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// buffer collects netlink messages and their attributes. Numbers in attributes of
// netfilter are big-endian.
type buffer struct{ b []byte }

func (b *buffer) attr(kind uint16, data []byte) {
	b.b = binary.NativeEndian.AppendUint16(b.b, uint16(unix.SizeofNlAttr+len(data)))
	b.b = binary.NativeEndian.AppendUint16(b.b, kind)
	b.b = append(b.b, data...)
	b.align()
}

func (b *buffer) align() {
	for len(b.b)%unix.NLA_ALIGNTO != 0 {
		b.b = append(b.b, 0)
	}
}

func (b *buffer) u8(kind uint16, v uint8) { b.attr(kind, []byte{v}) }

func (b *buffer) u32(kind uint16, v uint32) {
	b.attr(kind, []byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// str adds a string that ends with a NUL.
func (b *buffer) str(kind uint16, s string) {
	b.b = binary.NativeEndian.AppendUint16(b.b, uint16(unix.SizeofNlAttr+len(s)+1))
	b.b = binary.NativeEndian.AppendUint16(b.b, kind)
	b.b = append(b.b, s...)
	b.b = append(b.b, 0)
	b.align()
}

// nest begins an attribute made of others; end takes what it returned.
func (b *buffer) nest(kind uint16) int {
	at := len(b.b)
	b.b = append(b.b, 0, 0)
	b.b = binary.NativeEndian.AppendUint16(b.b, kind|unix.NLA_F_NESTED)
	return at
}

func (b *buffer) end(at int) {
	binary.NativeEndian.PutUint16(b.b[at:], uint16(len(b.b)-at))
}

// message begins a message; finish takes what it returned.
func (b *buffer) message(kind, flags uint16, seq uint32) int {
	at := len(b.b)
	b.b = append(b.b, 0, 0, 0, 0)
	b.b = binary.NativeEndian.AppendUint16(b.b, kind)
	b.b = binary.NativeEndian.AppendUint16(b.b, flags|unix.NLM_F_REQUEST)
	b.b = binary.NativeEndian.AppendUint32(b.b, seq)
	b.b = append(b.b, 0, 0, 0, 0) // the kernel knows the sender's port
	return at
}

func (b *buffer) finish(at int) {
	binary.NativeEndian.PutUint32(b.b[at:], uint32(len(b.b)-at))
}

// sizeofNfgenmsg is the size of the header that netfilter adds.
const sizeofNfgenmsg = 4

// netfilter adds the header that messages of netfilter begin with.
func (b *buffer) netfilter(family uint8, resource uint16) {
	b.b = append(b.b, family, unix.NFNETLINK_V0, byte(resource>>8), byte(resource))
}

// attributes calls fn for each attribute of a message or of a nest.
func attributes(data []byte, fn func(kind uint16, value []byte)) {
	for len(data) >= unix.SizeofNlAttr {
		n := int(binary.NativeEndian.Uint16(data))
		kind := binary.NativeEndian.Uint16(data[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
		if n < unix.SizeofNlAttr || n > len(data) {
			return
		}
		fn(kind, data[unix.SizeofNlAttr:n])
		data = data[min(len(data), (n+unix.NLA_ALIGNTO-1)&^(unix.NLA_ALIGNTO-1)):]
	}
}

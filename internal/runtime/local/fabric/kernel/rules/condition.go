package rules

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// condition is what the kernel asks of a socket before it lists it: a step of the byte
// code of sock_diag, with its argument.
type condition struct {
	code     uint8
	argument []byte
}

// Byte code in linux/inet_diag.h.
const (
	attrByteCode = 1

	codeJump  = 1
	codeLocal = 7
	codeMark  = 10

	sizeofStep = 4
)

// localIs asks for an address and port of the namespace.
func localIs(a netip.AddrPort) condition {
	b := a.Addr().As4()
	out := []byte{unix.AF_INET, 32, 0, 0}
	out = binary.NativeEndian.AppendUint32(out, uint32(a.Port()))
	return condition{codeLocal, append(out, b[:]...)}
}

// markIs asks for those bits of a mark that are in mask.
func markIs(m, mask mark) condition {
	return condition{codeMark, binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, uint32(m)), uint32(mask))}
}

// anyOf is the byte code that takes sockets for which one of the conditions holds. A
// step says how far to go on if it holds, and if not; who goes just to the end is
// taken, who goes beyond is not.
func anyOf(conditions []condition) []byte {
	var out []byte
	left := 0
	for _, c := range conditions {
		left += sizeofStep + len(c.argument) + sizeofStep
	}
	left -= sizeofStep // no jump after the last
	step := func(code uint8, holds, not int, argument []byte) {
		out = binary.NativeEndian.AppendUint16(append(out, code, uint8(holds)), uint16(not))
		out = append(out, argument...)
		left -= sizeofStep + len(argument)
	}
	for n, c := range conditions {
		size := sizeofStep + len(c.argument)
		step(c.code, size, size+sizeofStep, c.argument)
		if n < len(conditions)-1 {
			step(codeJump, sizeofStep, left, nil)
		}
	}
	return out
}

// mostConditions fit into the distances of steps.
const mostConditions = 3000

package rules

import "testing"

// Whatever a kernel sends, decoding it ends and touches nothing beyond it.
func FuzzDecode(f *testing.F) {
	var b buffer
	nest := b.nest(attrOriginal)
	ip := b.nest(attrTupleIP)
	b.attr(attrSource, []byte{10, 1, 0, 1})
	b.attr(attrDestination, []byte{10, 1, 0, 2})
	b.end(ip)
	protocol := b.nest(attrTupleProtocol)
	b.u8(attrProtocol, 6)
	b.attr(attrSourcePort, []byte{1, 2})
	b.attr(attrDestinationPort, []byte{0, 53})
	b.end(protocol)
	b.end(nest)
	f.Add(b.b)
	f.Add([]byte{3, 0, 1, 0})
	f.Add([]byte{255, 255, 1, 0, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		flow := decodeFlow(data)
		if len(flow.tuple) > len(data) || len(flow.id) > len(data) {
			t.Errorf("more came out than went in: %+v", flow)
		}
		elementData(2, data)
		if len(data) >= sizeofAnswer {
			decodeSocket(data)
		}
	})
}

func TestDecodeFlow(t *testing.T) {
	t.Parallel()
	var b buffer
	end := func(kind uint16, source, destination [4]byte, sourcePort, destinationPort byte) {
		nest := b.nest(kind)
		ip := b.nest(attrTupleIP)
		b.attr(attrSource, source[:])
		b.attr(attrDestination, destination[:])
		b.end(ip)
		protocol := b.nest(attrTupleProtocol)
		b.u8(attrProtocol, 6)
		b.attr(attrSourcePort, []byte{1, sourcePort})
		b.attr(attrDestinationPort, []byte{2, destinationPort})
		b.end(protocol)
		b.end(nest)
	}
	end(attrOriginal, [4]byte{10, 1, 0, 1}, [4]byte{10, 1, 0, 2}, 3, 4)
	end(attrOriginal+1, [4]byte{10, 1, 0, 9}, [4]byte{10, 1, 0, 1}, 5, 6) // of the way back
	b.u32(attrID, 7)
	f := decodeFlow(b.b)
	if f.protocol != 6 || f.client != addrPort("10.1.0.1:259") || f.dialled != addrPort("10.1.0.2:516") ||
		len(f.tuple) == 0 || len(f.id) != 4 {
		t.Errorf("got %+v", f)
	}
}

package relay

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"testing"
)

func frame(body string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

func TestReadFrame(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		in   []byte
		want string
		err  error
	}{
		{"whole", frame("{}"), "{}", nil},
		{"empty", frame(""), "", nil},
		{"closed before", nil, "", io.EOF},
		{"cut in the length", []byte{0, 0}, "", io.ErrUnexpectedEOF},
		{"cut in the body", frame("{}")[:5], "", errFrame},
		{"claims too much", []byte{0xff, 0xff, 0xff, 0xff}, "", errFrame},
	} {
		got, err := readFrame(bytes.NewReader(tc.in))
		if string(got) != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("%s: %q, %v", tc.name, got, err)
		}
	}
}

// A decoder that is given anything neither panics nor allocates what is claimed.
func FuzzFrame(f *testing.F) {
	f.Add(frame(`{"Op":"hello"}`))
	f.Add(frame(`{"Op":"apply","Document":{"Revision":1,"Listeners":[{"ID":"a","Addresses":["127.0.0.1:1"]}]}}`))
	f.Add([]byte{0x03, 0xff, 0xff, 0xff, '{'})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		body, err := readFrame(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(body) > len(b) {
			t.Fatal("more than was sent")
		}
		var r request
		if decode(body, &r) != nil || r.Document == nil {
			return
		}
		again, err := json.Marshal(toWire(fromWire(r.Document)))
		if err != nil {
			t.Fatal(err)
		}
		var w wireDocument
		if err := json.Unmarshal(again, &w); err != nil || w.Revision != r.Document.Revision || len(w.Listeners) != len(r.Document.Listeners) {
			t.Errorf("a document does not survive translation: %s", again)
		}
	})
}

package relay

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
)

// BuildID identifies the contents of an executable: what the Go linker recorded
// in it, or its size and age where there is no such record.
func BuildID(path string) (string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return "", fmt.Errorf("read executable: %w", err)
	}
	defer f.Close()
	if s := f.Section(".note.go.buildid"); s != nil {
		if note, err := s.Data(); err == nil {
			if id := noteText(note, f.ByteOrder); id != "" {
				return id, nil
			}
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("read executable: %w", err)
	}
	return fmt.Sprintf("%d-%d", info.Size(), info.ModTime().UnixNano()), nil
}

// noteText is the text of an ELF note that holds a Go build id, or rather its last
// part, which is a hash of the executable's contents; "" where there is none.
func noteText(note []byte, order binary.ByteOrder) string {
	const header = 12
	if len(note) < header {
		return ""
	}
	name, desc := uint64(order.Uint32(note)), uint64(order.Uint32(note[4:]))
	begin := header + (name+3)/4*4
	if begin+desc > uint64(len(note)) {
		return ""
	}
	id := string(bytes.TrimRight(note[begin:begin+desc], "\x00"))
	return id[strings.LastIndexByte(id, '/')+1:]
}

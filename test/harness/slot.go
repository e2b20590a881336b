package harness

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
)

// Deployments on one host must not share windows of 127.0.0.0/8. Each takes a
// slot of four windows, above those that an ordinary deployment would use; the
// lock of a slot's file goes with the process that holds it. A test that was killed
// leaves its deployment behind, and that keeps its windows.
const (
	firstWindow   = 100
	windowsPerOne = 8 // four windows, each even number with the odd one after it
	slots         = (252 - firstWindow) / windowsPerOne
)

type slot struct {
	number int
	file   *os.File
}

func takeSlot() (*slot, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("larder-test-slots-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for n := range slots {
		f, err := os.OpenFile(filepath.Join(dir, fmt.Sprint(n)), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		sl := &slot{number: n, file: f}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil && len(sl.listening()) == 0 {
			return sl, nil
		}
		sl.release()
	}
	return nil, errors.New("harness: all address windows are taken by other deployments")
}

// windows is the range for --windows.
func (s *slot) windows() string {
	from := firstWindow + s.number*windowsPerOne
	return fmt.Sprintf("%d-%d", from, from+windowsPerOne-1)
}

// defaultVPC is the range for --default-vpc-cidr. The host is attached to it in the
// kernel fabric, so that no two deployments may have the same one.
func (s *slot) defaultVPC(fabric string) string {
	if fabric != "kernel" {
		return "172.31.0.0/16"
	}
	return fmt.Sprintf("10.%d.0.0/16", firstWindow+s.number)
}

// has reports whether an address is in one of the windows.
func (s *slot) has(a netip.Addr) bool {
	from := firstWindow + s.number*windowsPerOne
	n := int(a.As4()[1])
	return a.As4()[0] == 127 && n >= from && n < from+windowsPerOne
}

func (s *slot) release() { _ = s.file.Close() }

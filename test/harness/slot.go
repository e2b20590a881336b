package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"

	"github.com/larder-cache/larder/internal/runtime/local/fabric/kernel"
)

// Deployments on one host must not share windows of 127.0.0.0/8. Each takes a
// slot of four windows, above those that an ordinary deployment would use; the
// lock of a slot's file goes with the process that holds it.
const (
	firstWindow   = 100
	windowsPerOne = 8 // four windows, each even number with the odd one after it
	slots         = (252 - firstWindow) / windowsPerOne
)

type slot struct {
	number int
	file   *os.File
}

// tenant is what a slot's file says: whose slot it is, or was until its process was
// killed.
type tenant struct {
	// Dir is the deployment's, and Made says that the harness made it.
	Dir  string
	Made bool
}

// takeSlot takes a slot in which nothing is left of others. Who was killed in it left
// a deployment behind, perhaps running, which is taken away first; what nobody can be
// found for keeps its slot.
func takeSlot(ctx context.Context, t tenant, fabric string) (*slot, error) {
	taken := []error{errors.New("harness: all address windows are taken by other deployments")}
	for n := range slots {
		s, err := openSlot(n)
		if err != nil {
			return nil, err
		}
		if s.lock() {
			err := s.evict(ctx)
			if err == nil && s.vacant(fabric) {
				return s, s.let(t)
			}
			taken = append(taken, err)
		}
		s.release()
	}
	return nil, errors.Join(taken...)
}

func openSlot(n int) (*slot, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("larder-test-slots-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, fmt.Sprint(n)), os.O_CREATE|os.O_RDWR, 0o600)
	return &slot{number: n, file: f}, err
}

// lock reports whether nobody else has the slot.
func (s *slot) lock() bool {
	return syscall.Flock(int(s.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

func (s *slot) release() { _ = s.file.Close() }

// let records the tenant; the zero one is nobody.
func (s *slot) let(t tenant) error {
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	if err := s.file.Truncate(0); err != nil {
		return err
	}
	_, err = s.file.WriteAt(b, 0)
	return err
}

// tenant is the recorded one.
func (s *slot) tenant() tenant {
	var t tenant
	b, _ := io.ReadAll(io.NewSectionReader(s.file, 0, 1<<16))
	_ = json.Unmarshal(b, &t) // a file that does not say it names nobody
	return t
}

// evict takes away what a dead tenant has left of its deployment.
func (s *slot) evict(ctx context.Context) error {
	t := s.tenant()
	if t.Dir != "" && !s.livesElsewhere(t) {
		if err := deploymentIn(t.Dir, s).bury(ctx); err != nil {
			return err
		}
		if t.Made {
			if err := os.RemoveAll(t.Dir); err != nil {
				return err
			}
		}
	}
	return s.let(tenant{})
}

// livesElsewhere reports whether a later deployment in the tenant's directory has
// another slot.
func (s *slot) livesElsewhere(t tenant) bool {
	for n := range slots {
		if n == s.number {
			continue
		}
		other, err := openSlot(n)
		if err != nil {
			return true // not known to be gone
		}
		lives := other.tenant().Dir == t.Dir && !other.lock()
		other.release()
		if lives {
			return true
		}
	}
	return false
}

// vacant reports whether nobody uses the slot's addresses.
func (s *slot) vacant(fabric string) bool {
	if fabric == "kernel" && kernel.Clash("vacant", netip.MustParsePrefix(s.defaultVPC(fabric))) != nil {
		return false
	}
	return len(s.listening()) == 0
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

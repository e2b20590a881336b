package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/core"
)

// lock keeps a second server away from a data directory. The kernel lets go of
// it with the process, however that ends; the file names the holder for messages
// and for `larder down`.
type lock struct{ file *os.File }

// errLocked says that another process holds the lock.
var errLocked = errors.New("the data directory is in use")

func takeLock(dataDir string) (*lock, error) {
	path := filepath.Join(dataDir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the data directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := holderOf(path)
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: another larder serve (pid %d) uses %s; stop it, or choose another --data-dir", errLocked, holder, dataDir)
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	if err := errors.Join(f.Truncate(0), write(f, strconv.Itoa(os.Getpid())+"\n")); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("writing %s: %w", path, err)
	}
	return &lock{file: f}, nil
}

// lingering is how long a lock is waited for whose holder is gone: a process that it was
// about to start has a copy of the open file until it begins to be another program.
const lingering = 5 * time.Second

// awaitLock takes the lock, and waits for no process that runs.
func awaitLock(ctx context.Context, clock core.Clock, dataDir string) (*lock, error) {
	for until := clock.Now().Add(lingering); ; {
		l, err := takeLock(dataDir)
		if err == nil || !errors.Is(err, errLocked) || clock.Now().After(until) || runs(holderOf(filepath.Join(dataDir, "lock"))) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-clock.After(5 * time.Millisecond):
		}
	}
}

// runs reports whether there is a process of that id.
func runs(pid int) bool { return pid > 0 && !errors.Is(unix.Kill(pid, 0), unix.ESRCH) }

func write(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

// holderOf is the process id in a lock file, 0 if there is none.
func holderOf(path string) int {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return pid
}

func (l *lock) release() error { return l.file.Close() }

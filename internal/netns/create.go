package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// threadSelf is the namespace of the calling thread, which may differ from that of
// the process.
const threadSelf = "/proc/thread-self/ns/net"

// Create opens the namespace of that name and makes it first if there is none; made
// says so. A new one is empty but for a loopback interface, which is down. A name
// that was left without its namespace, by a kill in between or by a reboot where
// Dir is kept, is used again. It takes privileges (CAP_SYS_ADMIN).
func Create(name string) (ns *Namespace, made bool, err error) {
	if err := checkName(name); err != nil {
		return nil, false, err
	}
	if err := shareDir(); err != nil {
		return nil, false, err
	}
	unlock, err := lockDir()
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	ns, err = Open(name)
	if err == nil {
		return ns, false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	f, err := os.OpenFile(Path(name), os.O_CREATE|os.O_RDONLY, fileMode)
	if err != nil {
		return nil, false, fmt.Errorf("create namespace: %w", err)
	}
	_ = f.Close()
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("create namespace %s: %w", name, err)
		}
		if err := unix.Mount(threadSelf, Path(name), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount namespace %s: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return nil, false, errors.Join(err, os.Remove(Path(name)))
	}
	ns, err = Open(name)
	return ns, true, err
}

// shareDir makes Dir a mount whose mounts below are seen in every mount namespace
// that has Dir, as `ip netns` does: else a namespace that has been deleted here
// would live on in the copy of some service.
func shareDir() error {
	if err := os.MkdirAll(Dir, dirMode); err != nil {
		return fmt.Errorf("namespaces: %w", err)
	}
	unlock, err := lockDir()
	if err != nil {
		return err
	}
	defer unlock()
	err = unix.Mount("", Dir, "none", unix.MS_SHARED|unix.MS_REC, "")
	if errors.Is(err, unix.EINVAL) { // not a mount yet
		if err = unix.Mount(Dir, Dir, "none", unix.MS_BIND|unix.MS_REC, ""); err == nil {
			err = unix.Mount("", Dir, "none", unix.MS_SHARED|unix.MS_REC, "")
		}
	}
	if err != nil {
		return fmt.Errorf("share %s: %w", Dir, err)
	}
	return nil
}

// lockDir keeps others, `ip netns` among them, from changing Dir.
func lockDir() (unlock func(), err error) {
	f, err := os.Open(Dir)
	if err != nil {
		return nil, fmt.Errorf("namespaces: %w", err)
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", Dir, err)
	}
	return func() { _ = f.Close() }, nil
}

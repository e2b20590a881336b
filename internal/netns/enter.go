package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// resolvConf is where programs look for their resolver.
const resolvConf = "/etc/resolv.conf"

// Enter puts the caller's thread into the namespace at a path for good, so that a
// program that replaces the process from this goroutine runs there. With a resolver
// file, that is what the program finds as /etc/resolv.conf; nobody else does. On an
// error the process may be half inside, and is to end.
func Enter(path, resolver string) error {
	runtime.LockOSThread()
	ns, err := Open(path)
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := unix.Setns(ns.FD(), unix.CLONE_NEWNET); err != nil {
		if errors.Is(err, unix.EPERM) {
			return fmt.Errorf("enter namespace %s: only root can: %w", path, err)
		}
		return fmt.Errorf("enter namespace %s: %w", path, err)
	}
	if resolver == "" {
		return nil
	}
	return resolveBy(resolver)
}

// resolveBy gives the thread a view of the file system of its own, in which the
// resolver file is in the place of the host's.
func resolveBy(resolver string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a view of the file system: %w", err)
	}
	// What is mounted here must not be seen outside; what is mounted there later may
	// be seen here.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("detach the view of the file system: %w", err)
	}
	at, err := filepath.EvalSymlinks(resolvConf)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the host has no %s to put the resolver of the instance in place of", resolvConf)
	}
	if err != nil {
		return fmt.Errorf("find %s: %w", resolvConf, err)
	}
	if err := unix.Mount(resolver, at, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s on %s: %w", resolver, at, err)
	}
	return nil
}

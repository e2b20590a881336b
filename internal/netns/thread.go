package netns

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// errExited says that the function given to Do did not return.
var errExited = errors.New("the goroutine in the namespace ended before its time")

// Do runs fn on a thread that is inside the namespace and waits for it. What fn
// opens (sockets) and starts (processes) belongs to the namespace for good; the
// goroutines that fn starts do not. /proc/sys/net is that of the namespace,
// /proc/net is not.
//
// The thread returns to its former namespace afterwards and goes on to serve
// others: it must not end, since a process started with Pdeathsig is signalled
// when the thread that started it does.
func (n *Namespace) Do(fn func() error) error {
	return onThread(func() error {
		if err := unix.Setns(n.FD(), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter namespace %s: %w", n.path, err)
		}
		return fn()
	})
}

// onThread runs fn, which may change the thread's network namespace, on a thread of
// its own. A thread that cannot go back to where it was ends.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		// The main thread's namespace is what /proc shows as that of the process,
		// and it cannot end. This goroutine occupies it, so that the next one is
		// on another.
		if unix.Gettid() == os.Getpid() {
			done <- onThread(fn)
			runtime.UnlockOSThread()
			return
		}
		var result error = errExited
		defer func() { done <- result }()
		home, err := unix.Open(threadSelf, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			runtime.UnlockOSThread()
			result = fmt.Errorf("open %s: %w", threadSelf, err)
			return
		}
		defer func() {
			if unix.Setns(home, unix.CLONE_NEWNET) == nil {
				runtime.UnlockOSThread()
			}
			_ = unix.Close(home)
		}()
		result = fn()
	}()
	return <-done
}

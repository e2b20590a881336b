package netns

import (
	"bufio"
	"errors"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// start starts a shell that has two children, inside of ns or outside, and waits
// until it has.
func start(t *testing.T, ns *Namespace) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", "sleep 600 & sleep 600 & echo started; wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	run := cmd.Start
	if ns != nil {
		run = func() error { return ns.Do(cmd.Start) }
	}
	if err := run(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	return cmd
}

func TestKillEndsWhatIsInside(t *testing.T) {
	t.Parallel()
	ns := create(t, name(t))
	inner, outer := start(t, ns), start(t, nil)
	if err := ns.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := inner.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the process inside ends with %v", err)
	}
	for end := time.Now().Add(10 * time.Second); ; {
		pids, err := processes()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(pids, ns.holds) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("its children are still inside")
		}
	}
	if err := outer.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the process outside: %v", err)
	}
	if err := ns.Kill(); err != nil {
		t.Errorf("of an empty namespace: %v", err)
	}
}

package netns

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// fromMain makes the test binary call Do from its main thread in the namespace
// that the variable names.
const fromMain = "NETNS_TEST_FROM_MAIN"

func TestMain(m *testing.M) {
	if where := os.Getenv(enterVariable); where != "" {
		enterAndRun(where)
	}
	path := os.Getenv(fromMain)
	if path == "" {
		os.Exit(m.Run())
	}
	runtime.LockOSThread()
	if err := doFromMain(path); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ok")
}

// doFromMain calls Do again and again, with the main thread free for whatever
// goroutine comes, and sees that the process never seems to move.
func doFromMain(path string) error {
	ns, err := Open(path)
	if err != nil {
		return err
	}
	home, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return err
	}
	runtime.UnlockOSThread()
	for range 1000 {
		err := ns.Do(func() error {
			if now, err := os.Readlink("/proc/self/ns/net"); err != nil || now != home {
				return fmt.Errorf("the process is in %s instead of %s (%v)", now, home, err)
			}
			if unix.Gettid() == os.Getpid() {
				return errors.New("the main thread was used")
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func TestTheMainThreadStaysOutside(t *testing.T) {
	t.Parallel()
	n := name(t)
	create(t, n)
	cmd := exec.Command(os.Args[0])
	// With one processor the goroutine of Do often finds the main thread first.
	cmd.Env = append(os.Environ(), fromMain+"="+Path(n), "GOMAXPROCS=1")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "ok") {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestDoIsInside(t *testing.T) {
	t.Parallel()
	ns := create(t, name(t))
	home, err := identity()
	if err != nil {
		t.Fatal(err)
	}
	if in := inside(t, ns); in == home {
		t.Error("Do runs outside of the namespace")
	}
	want := errors.New("as it came")
	if err := ns.Do(func() error { return want }); !errors.Is(err, want) {
		t.Errorf("Do gives %v", err)
	}
}

// Functions that leave the thread elsewhere, or never return, must not leave a
// thread of the pool in a namespace.
func TestNoThreadStaysInside(t *testing.T) {
	t.Parallel()
	ns := create(t, name(t))
	in := inside(t, ns)
	var group sync.WaitGroup
	for i := range 64 {
		group.Go(func() {
			err := ns.Do(func() error {
				if i%3 == 0 {
					runtime.Goexit()
				}
				if i%3 == 1 {
					return unix.Unshare(unix.CLONE_NEWNET)
				}
				return nil
			})
			if exited := errors.Is(err, errExited); exited != (i%3 == 0) {
				t.Errorf("Do of %d gives %v", i, err)
			}
		})
	}
	group.Wait()
	tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil || len(tasks) == 0 {
		t.Fatalf("no threads: %v", err)
	}
	for _, task := range tasks {
		if at, err := os.Readlink(task); err == nil && at == in {
			t.Errorf("%s is still inside", task)
		}
	}
}

func TestSocketsBelongToTheNamespace(t *testing.T) {
	t.Parallel()
	ns := create(t, name(t))
	var l net.Listener
	err := ns.Do(func() (err error) {
		if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		l, err = net.Listen("tcp", "127.93.17.5:0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dial := func() error {
		c, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	if err := ns.Do(dial); err != nil {
		t.Errorf("from inside: %v", err)
	}
	if err := dial(); err == nil {
		t.Error("a socket of the namespace is reached from outside")
	}
}

// A process is in the namespace from its first instruction, and lives on though it
// asked for a signal when the thread that started it ends.
func TestProcessesStartInside(t *testing.T) {
	t.Parallel()
	ns := create(t, name(t))
	want := inside(t, ns)
	cmd := exec.Command("/bin/sh", "-c", "readlink /proc/$$/ns/net; read -r line; echo \"$line\"")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout = &out
	if err := ns.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	for range 200 { // threads come and go
		inside(t, ns)
	}
	if _, err := in.Write([]byte("alive\n")); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the process ended with %v", err)
	}
	if out.String() != want+"\nalive\n" {
		t.Errorf("the process says %q, want %s", out.String(), want)
	}
}

func BenchmarkCreateAndDelete(b *testing.B) {
	n := benchName(b)
	for b.Loop() {
		ns, _, err := Create(n)
		if err != nil {
			b.Fatal(err)
		}
		_ = ns.Close()
		if err := Delete(n); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDo(b *testing.B) {
	n := benchName(b)
	ns, _, err := Create(n)
	if err != nil {
		b.Fatal(err)
	}
	defer ns.Close()
	defer func() { _ = Delete(n) }()
	for b.Loop() {
		if err := ns.Do(func() error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func benchName(b *testing.B) string {
	if os.Geteuid() != 0 {
		b.Skip("namespaces are root's to make")
	}
	return fmt.Sprintf("netnsbench-%d", os.Getpid())
}

package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// name is a namespace of this test alone, which is deleted in the end.
func name(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("namespaces are root's to make")
	}
	n := fmt.Sprintf("netnstest-%d-%s", os.Getpid(), strings.ToLower(t.Name()))
	t.Cleanup(func() {
		if err := Delete(n); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return n
}

func create(t *testing.T, name string) *Namespace {
	t.Helper()
	ns, made, err := Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if !made {
		t.Fatalf("%s was there before", name)
	}
	t.Cleanup(func() { _ = ns.Close() })
	return ns
}

// leftover puts the file of a name in place, without a namespace.
func leftover(t *testing.T, name string) {
	t.Helper()
	if err := shareDir(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(Path(name), nil, fileMode); err != nil {
		t.Fatal(err)
	}
}

// identity names the namespace of the calling thread.
func identity() (string, error) { return os.Readlink(threadSelf) }

func inside(t *testing.T, ns *Namespace) string {
	t.Helper()
	var got string
	if err := ns.Do(func() (err error) { got, err = identity(); return err }); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestLifeOfANamespace(t *testing.T) {
	t.Parallel()
	n := name(t)
	first := create(t, n)
	again, made, err := Create(n)
	if err != nil || made {
		t.Fatalf("the second Create: made %v, %v", made, err)
	}
	defer again.Close()
	opened, err := Open(n)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	for _, other := range []*Namespace{again, opened} {
		if same, err := first.Same(other); err != nil || !same {
			t.Errorf("the same name gives another namespace (%v)", err)
		}
	}
	if names, err := List(n); err != nil || !slices.Equal(names, []string{n}) {
		t.Errorf("List gives %q, %v", names, err)
	}
	if out, err := exec.Command("ip", "netns", "list").Output(); err == nil && !strings.Contains(string(out), n) {
		t.Errorf("`ip netns` does not show %s", n)
	}
	if !Exists(n) {
		t.Error("the namespace does not exist")
	}
	if !first.Named() {
		t.Error("the namespace does not know its name")
	}
	for range 2 {
		if err := Delete(n); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := List(n); err != nil || len(names) != 0 {
		t.Errorf("after Delete List gives %q, %v", names, err)
	}
	if _, err := Open(n); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a deleted namespace opens: %v", err)
	}
	if first.Named() {
		t.Error("the namespace keeps a name that was deleted")
	}
	// Whoever has it open keeps it.
	if got := inside(t, first); got == "" {
		t.Error("the namespace ended though it is open")
	}
}

func TestLeftoverOfAName(t *testing.T) {
	t.Parallel()
	n := name(t)
	leftover(t, n)
	if _, err := Open(n); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a name without namespace opens: %v", err)
	}
	if Exists(n) {
		t.Error("a name without namespace exists")
	}
	if names, err := List(n); err != nil || len(names) != 1 {
		t.Errorf("a leftover is not listed: %q, %v", names, err)
	}
	ns := create(t, n)
	home, err := Current()
	if err != nil {
		t.Fatal(err)
	}
	defer home.Close()
	if same, err := ns.Same(home); err != nil || same {
		t.Errorf("the repaired name leads to the host (%v)", err)
	}
}

func TestDeleteOfALeftover(t *testing.T) {
	t.Parallel()
	n := name(t)
	leftover(t, n)
	if err := Delete(n); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(Path(n)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the leftover is still there: %v", err)
	}
}

func TestDeleteOfANameMountedTwice(t *testing.T) {
	t.Parallel()
	n := name(t)
	create(t, n)
	if err := unix.Mount(Path(n), Path(n), "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := Delete(n); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(Path(n)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the name is still there: %v", err)
	}
}

func TestCreateAtTheSameTime(t *testing.T) {
	t.Parallel()
	n := name(t)
	var group sync.WaitGroup
	spaces := make([]*Namespace, 8)
	count := make([]bool, len(spaces))
	for i := range spaces {
		group.Go(func() {
			var err error
			if spaces[i], count[i], err = Create(n); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	made := 0
	for i, ns := range spaces {
		defer ns.Close()
		if count[i] {
			made++
		}
		if same, err := ns.Same(spaces[0]); err != nil || !same {
			t.Errorf("two creators hold different namespaces (%v)", err)
		}
	}
	if made != 1 {
		t.Errorf("%d of them made the namespace", made)
	}
}

func TestNamesStayInTheDirectory(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", ".", "..", "a/b", "../x", "a\x00b", strings.Repeat("x", 256)} {
		if ns, _, err := Create(bad); err == nil {
			_ = ns.Close()
			t.Errorf("Create(%q) works", bad)
		}
		if err := Delete(bad); err == nil {
			t.Errorf("Delete(%q) works", bad)
		}
	}
}

func TestOpenRefusesWhatIsNoNamespace(t *testing.T) {
	t.Parallel()
	if _, err := Open("/dev/null"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening a file that is no namespace gives %v", err)
	}
	ns, err := Open("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if ns.Path() != "/proc/self/ns/net" {
		t.Errorf("the path is %s", ns.Path())
	}
}

package netns

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// enterVariable makes the test program enter a namespace, with a resolver, and become
// a shell there.
const enterVariable = "LARDER_TEST_ENTER"

// enterAndRun does that in the test program that a test has started for it.
func enterAndRun(where string) {
	path, resolver, _ := strings.Cut(where, " ")
	err := Enter(path, resolver)
	if err == nil {
		err = syscall.Exec("/bin/sh", append([]string{"sh"}, os.Args[1:]...), os.Environ())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(99)
}

// A program that is entered has the namespace's network, its resolver, and its own
// exit code and input.
func TestEnter(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("namespaces are root's to make")
	}
	name := fmt.Sprintf("larder-test-enter-%d", os.Getpid())
	ns, _, err := Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = ns.Close()
		if err := Delete(name); err != nil {
			t.Error(err)
		}
	}()
	resolver := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(resolver, []byte("nameserver 192.0.2.53\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(resolvConf)
	if err != nil {
		t.Skip("the host has no resolver: ", err)
	}
	run := func(path, resolver, script string) (string, int) {
		cmd := exec.Command(os.Args[0], "-c", script)
		cmd.Env = append(os.Environ(), enterVariable+"="+path+" "+resolver)
		cmd.Stdin = strings.NewReader("told\n")
		out, err := cmd.CombinedOutput()
		if _, exited := err.(*exec.ExitError); err != nil && !exited {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	out, code := run(ns.Path(), resolver, "readlink /proc/self/ns/net; cat /etc/resolv.conf; read line; echo $line; exit 7")
	inside, err := os.Stat(ns.Path())
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("net:[%d]\nnameserver 192.0.2.53\ntold\n", inside.Sys().(*syscall.Stat_t).Ino)
	if out != want || code != 7 {
		t.Errorf("inside: %q, exit %d, want %q", out, code, want)
	}
	if after, err := os.ReadFile(resolvConf); err != nil || string(after) != string(before) {
		t.Errorf("the host's resolver is %q, %v", after, err)
	}
	if out, _ := run(ns.Path(), "", "cat /etc/resolv.conf"); out != string(before) {
		t.Errorf("without a resolver of its own: %q", out)
	}
	if out, code := run(Path(name+"-not"), "", "true"); code != 99 || !strings.Contains(out, "open namespace") {
		t.Errorf("a namespace that does not exist: %q, exit %d", out, code)
	}
}

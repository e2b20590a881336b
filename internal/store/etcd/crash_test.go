package etcd_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/etcd"
	"github.com/larder-cache/larder/internal/store/storetest"
)

// crashDir, when set, lets TestWriter write there without end.
const crashDir = "LARDER_TEST_CRASH_DIR"

var counters = store.NewTable[int]("counters")

// TestWriter counts in the store and says each number once it is stored.
func TestWriter(t *testing.T) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		t.Skip("run by TestNoAnsweredUpdateIsLostWhenTheProcessIsKilled")
	}
	b, err := etcd.OpenEmbedded(t.Context(), dir, discard)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), b, discard)
	if err != nil {
		t.Fatal(err)
	}
	for {
		var stored int
		err := s.Update(t.Context(), func(tx *store.Tx) error {
			n, ok := counters.Get(tx, "n")
			if !ok {
				n = new(int)
			}
			*n++
			counters.Put(tx, "n", n)
			stored = *n
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(stored)
	}
}

func TestNoAnsweredUpdateIsLostWhenTheProcessIsKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	last := 0
	for range 3 {
		last = countUntilKilled(t, dir, last+20)
	}
	b := openEmbedded(t, dir)
	s := storetest.Open(t, b)
	s.Local(func(r store.Reader) {
		if n, ok := counters.Get(r, "n"); !ok || *n < last {
			t.Errorf("stored %v, but %d was answered", n, last)
		}
	})
}

// countUntilKilled kills a writer when it has answered a number, and returns the
// last one that it answered.
func countUntilKilled(t *testing.T, dir string, until int) int {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestWriter$")
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := 0
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Errorf("the writer says %q", lines.Text())
			break
		}
		if n < last {
			t.Errorf("the writer stored %d after %d", n, last)
		}
		if last = n; n == until {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if last < until {
		t.Fatalf("the writer ended at %d, want %d", last, until)
	}
	return last
}

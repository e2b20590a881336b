package engine

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-cache/larder/internal/core"
)

// TestFollow: each change of a program is told once, and nothing else is.
func TestFollow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "valkey-server")
	write := func(path, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write(program, "one", 0o700)
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int64
		go Follow(t.Context(), core.SystemClock{}, []string{dir, filepath.Join(dir, "nothing")}, func() { told.Add(1) })
		synctest.Wait()
		for _, step := range []struct {
			name string
			do   func()
			want int64
		}{
			{"nothing", func() {}, 0},
			{"another file", func() { write(filepath.Join(dir, "other"), "", 0o700) }, 0},
			{"a new program", func() { write(filepath.Join(dir, "memcached"), "", 0o700) }, 1},
			{"a longer one", func() { write(program, "three", 0o700) }, 1},
			{"one of the same size in its place", func() {
				write(filepath.Join(dir, "new"), "seven", 0o700)
				if err := os.Rename(filepath.Join(dir, "new"), program); err != nil {
					t.Fatal(err)
				}
			}, 1},
			{"not to be executed", func() {
				if err := os.Chmod(program, 0o600); err != nil {
					t.Fatal(err)
				}
			}, 1},
			{"removed", func() {
				if err := os.Remove(program); err != nil {
					t.Fatal(err)
				}
			}, 1},
		} {
			told.Store(0)
			step.do()
			for range 3 {
				time.Sleep(followPeriod) // of the bubble's clock
				synctest.Wait()
			}
			if got := told.Load(); got != step.want {
				t.Errorf("%s: told %d times", step.name, got)
			}
		}
	})
}

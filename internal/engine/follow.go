package engine

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/larder-cache/larder/internal/core"
)

// followPeriod is how often it is seen whether programs have changed. That asks for
// their files, and starts none.
const followPeriod = 5 * time.Second

// Follow calls fn whenever the programs that Discover would look at have been
// installed, replaced, changed or removed, until ctx ends. One that is being written is
// seen to change more than once.
func Follow(ctx context.Context, clock core.Clock, dirs []string, fn func()) {
	was := files(dirs)
	for {
		select {
		case <-clock.After(followPeriod):
		case <-ctx.Done():
			return
		}
		if is := files(dirs); !maps.EqualFunc(was, is, sameContent) {
			was = is
			fn()
		}
	}
}

// files are those of the programs in dirs, by path.
func files(dirs []string) map[string]os.FileInfo {
	found := map[string]os.FileInfo{}
	for _, dir := range dirs {
		for _, name := range programs {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil {
				found[path] = info
			}
		}
	}
	return found
}

func sameContent(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode()
}

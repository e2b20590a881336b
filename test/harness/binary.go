package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

var build struct {
	once sync.Once
	path string
	err  error
}

// Binary is the path of the larder binary: LARDER_BINARY, or bin/larder of the
// repository, built anew (the build cache makes that quick when nothing changed).
func Binary(ctx context.Context) (string, error) {
	if path := os.Getenv("LARDER_BINARY"); path != "" {
		return path, nil
	}
	build.once.Do(func() {
		root := Root()
		build.path = filepath.Join(root, "bin", "larder")
		// Several test binaries may do this at once: each builds beside the target
		// and moves it there.
		tmp := fmt.Sprintf("%s.%d", build.path, os.Getpid())
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", tmp, "./cmd/larder")
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			build.err = fmt.Errorf("building larder: %w\n%s", err, out)
			return
		}
		build.err = os.Rename(tmp, build.path)
	})
	return build.path, build.err
}

// Root is the directory of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	if !filepath.IsAbs(file) { // built with -trimpath
		out, err := exec.Command("go", "env", "GOMOD").Output()
		if err == nil {
			return filepath.Dir(strings.TrimSpace(string(out)))
		}
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

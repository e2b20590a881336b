package engine

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func script(t *testing.T, dir, name, body string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDiscoverReal(t *testing.T) {
	t.Parallel()
	found, err := Discover(t.Context(), []string{"/nowhere", "/usr/bin", "/bin"})
	if err != nil {
		t.Error(err)
	}
	if len(found) == 0 {
		t.Skip("no engine is installed")
	}
	seen := make(map[string]bool)
	for _, b := range found {
		if seen[b.Engine] {
			t.Errorf("%s is there twice: %v", b.Engine, found)
		}
		seen[b.Engine] = true
		if strings.Count(b.Version, ".") != 2 || !strings.HasPrefix(b.Path, "/usr/bin/"+b.Engine) {
			t.Errorf("odd: %+v", b)
		}
		if b.Engine != Memcached && !b.Capabilities.TLS {
			t.Errorf("%s is built with TLS here", b.Path)
		}
	}
}

func TestDiscoverOddBinaries(t *testing.T) {
	t.Parallel()
	const redis = `echo "Redis server v=7.2.4 sha=0 malloc=libc bits=64 build=0"`
	for _, c := range []struct {
		name, file, body string
		want             string // the binary found
		odd              string // in the error
	}{
		{"ordinary", "memcached", "echo memcached 1.6.18", "memcached 1.6.18", ""},
		{"valkey under redis' name", "redis-server", `echo "Valkey server v=8.1.3 sha=0"`, "valkey 8.1.3", ""},
		{"without TLS", "redis-server", redis, "redis 7.2.4", ""},
		{"chatty", "memcached", "echo warning: slow >&2; echo memcached 1.6.18", "memcached 1.6.18", ""},
		{"too old", "redis-server", `echo "Redis server v=6.2.14 sha=0"`, "", "too old"},
		{"fails", "redis-server", "exit 3", "", "exit status 3"},
		{"crashes", "valkey-server", "kill -SEGV $$", "", "signal"},
		{"something else", "memcached", "echo hello", "", `unexpected answer "hello"`},
		{"hangs", "memcached", "exec sleep 60", "", "no answer"},
		{"other library missing", "memcached", "echo memcached: error while loading shared libraries >&2; exit 127", "", "127"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := script(t, dir, c.file, c.body)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			found, err := Discover(ctx, []string{dir})
			switch {
			case c.odd == "" && err != nil:
				t.Error(err)
			case c.odd != "" && (err == nil || !strings.Contains(err.Error(), c.odd) || !strings.Contains(err.Error(), path)):
				t.Errorf("error %v, not about %q", err, c.odd)
			}
			var got string
			if len(found) > 0 {
				got = found[0].Engine + " " + found[0].Version
			}
			if got != c.want || len(found) > 1 {
				t.Errorf("found %v, not %q", found, c.want)
			}
		})
	}
}

func TestDiscoverSkipsWhatIsNoProgram(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "memcached"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "redis-server"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	path := script(t, dir, "valkey-server", `echo "Valkey server v=8.1.3 sha=0"`)
	if err := os.Symlink(path, filepath.Join(other, "redis-server")); err != nil {
		t.Fatal(err)
	}
	found, err := Discover(t.Context(), []string{dir, other})
	if err != nil || len(found) != 1 || found[0].Path != path {
		t.Errorf("%v %v", found, err)
	}
}

package parameter_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/engine/memcached"
	"github.com/larder-cache/larder/internal/parameter"
	"github.com/larder-cache/larder/internal/runtime"
)

// TestMemcachedAcceptsAllowed starts a real Memcached, by its driver, with the
// defaults of every family, and with the limits and words that each parameter
// allows.
func TestMemcachedAcceptsAllowed(t *testing.T) {
	t.Parallel()
	path, version := installed(t, "memcached")
	for _, family := range []string{"memcached1.4", "memcached1.5", "memcached1.6"} {
		f, _ := parameter.Lookup(family)
		t.Run(family, func(t *testing.T) {
			t.Parallel()
			startMemcached(t, path, version, family, nil)
		})
		if family != "memcached1.6" {
			continue
		}
		for _, p := range f.Parameters {
			for _, value := range samples(p) {
				if value == p.Default || parameter.Validate(family, p.Name, value) != nil {
					continue
				}
				values := map[string]string{p.Name: value}
				if parameter.Check(family, values, nodeType(t, "cache.m6g.large")) != nil {
					continue // conflicts with other defaults
				}
				t.Run(p.Name+"="+value, func(t *testing.T) {
					t.Parallel()
					startMemcached(t, path, version, family, values)
				})
			}
		}
	}
}

// TestMemcachedAcceptsItemSizes starts it with sizes that Check lets through.
func TestMemcachedAcceptsItemSizes(t *testing.T) {
	t.Parallel()
	path, version := installed(t, "memcached")
	for _, item := range []int{1024, 65536, 524288, 1048576, 1572864, 3 << 20, 1 << 30} {
		for chunk := 1024; chunk <= 1<<20; chunk *= 4 {
			values := map[string]string{"max_item_size": fmt.Sprint(item), "slab_chunk_max": fmt.Sprint(chunk)}
			if parameter.Check("memcached1.6", values, nodeType(t, "cache.m6g.large")) != nil {
				continue
			}
			t.Run(fmt.Sprintf("%d in %d", item, chunk), func(t *testing.T) {
				t.Parallel()
				startMemcached(t, path, version, "memcached1.6", values)
			})
		}
	}
}

// TestMemcachedSettings asks the engine what came of the parameters.
func TestMemcachedSettings(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		values map[string]string
		want   map[string]string
	}{
		{"defaults", nil, map[string]string{
			"maxbytes": fmt.Sprint(6437 << 20), "num_threads": "2", "cas_enabled": "yes", "item_size_max": "1048576", "slab_chunk_max": "524288",
			"lru_crawler": "no", "lru_maintainer_thread": "no", "slab_reassign": "no", "slab_automove": "0", "hash_algorithm": "jenkins",
			"maxconns_fast": "no", "evictions": "on", "flush_enabled": "yes", "track_sizes": "no", "idle_timeout": "0",
			"growth_factor": "1.25", "chunk_size": "48", "tcp_backlog": "1024", "binding_protocol": "auto-negotiate",
		}},
		{"modern", map[string]string{"no_modern": "0"}, map[string]string{
			"lru_crawler": "yes", "lru_maintainer_thread": "yes", "slab_reassign": "yes", "slab_automove": "1", "hash_algorithm": "murmur3", "maxconns_fast": "yes",
		}},
		{"changed", map[string]string{
			"cas_disabled": "1", "disable_flush_all": "1", "error_on_memory_exhausted": "1", "chunk_size": "96", "chunk_size_growth_factor": "2.5",
			"idle_timeout": "30", "lru_crawler": "1", "lru_maintainer": "1", "max_item_size": "2097152", "memcached_connections_overhead": "37",
			"slab_reassign": "1", "slab_automove": "2", "slab_chunk_max": "262144", "track_sizes": "enabled", "binding_protocol": "ascii",
			"hash_algorithm": "murmur3", "watcher_logbuf_size": "512", "maxconns_fast": "1",
		}, map[string]string{
			"cas_enabled": "no", "flush_enabled": "no", "evictions": "off", "chunk_size": "96", "growth_factor": "2.50", "idle_timeout": "30",
			"lru_crawler": "yes", "lru_maintainer_thread": "yes", "item_size_max": "2097152", "maxbytes": fmt.Sprint(6500 << 20),
			"slab_reassign": "yes", "slab_automove": "2", "slab_chunk_max": "262144", "binding_protocol": "ascii",
			"hash_algorithm": "murmur3", "worker_logbuf_size": "65536", "watcher_logbuf_size": "524288", "maxconns_fast": "yes",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			path, version := installed(t, "memcached")
			got := startMemcached(t, path, version, "memcached1.6", tc.values)
			for name, want := range tc.want {
				if got[name] != want {
					t.Errorf("%s: got %q, want %q", name, got[name], want)
				}
			}
		})
	}
}

// startMemcached runs an engine until the test ends and returns its settings.
func startMemcached(t *testing.T, path, version, family string, values map[string]string) map[string]string {
	t.Helper()
	d, err := parameter.Render(family, version, values, nodeType(t, "cache.m6g.large"))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "larder")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	launch, err := memcached.Driver{}.Launch(engine.Binary{}, &runtime.Node{StartSettings: d.Start}, engine.Place{Socket: socket, Descriptors: 1024})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd := exec.Command(path, launch.Args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if settings, err := statsSettings(socket); err == nil {
			return settings
		}
		select {
		case <-ended:
			t.Fatalf("memcached %q did not start: %s", launch.Args, out.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("memcached does not answer")
		}
	}
}

func statsSettings(socket string) (map[string]string, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte("stats settings\r\n")); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		words := strings.Fields(lines.Text())
		switch {
		case lines.Text() == "END":
			return out, nil
		case len(words) == 3:
			out[words[1]] = words[2]
		}
	}
	return nil, fmt.Errorf("the answer %v has no end", out)
}

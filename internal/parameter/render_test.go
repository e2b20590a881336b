package parameter_test

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/parameter"
)

func nodeType(t *testing.T, name string) catalog.NodeType {
	t.Helper()
	n, ok := catalog.LookupNodeType(name)
	if !ok {
		t.Fatalf("no node type %s", name)
	}
	return n
}

func TestRender(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, family, version, node string
		values                      map[string]string
		live, start                 map[string]string // a part of the result; "-" means absent
	}{
		{
			name: "redis defaults", family: "redis7", version: "7.0.15", node: "cache.t3.micro",
			live: map[string]string{
				"maxmemory": "402653184", "maxclients": "20000", "maxmemory-policy": "volatile-lru", "latency-tracking": "no",
				"client-output-buffer-limit": "normal 0 0 0 pubsub 33554432 8388608 60",
				"close-on-replica-write":     "-", "activedefrag": "-", "appendonly": "-", "activerehashing": "-", "cluster-enabled": "-",
			},
			start: map[string]string{"databases": "16", "maxclients": "-"},
		},
		{
			name: "user values", family: "redis7", version: "7.0.15", node: "cache.m6g.large",
			values: map[string]string{
				"reserved-memory-percent": "0", "maxmemory-policy": "allkeys-lfu", "databases": "64",
				"client-output-buffer-limit-normal-soft-seconds": "7", "notify-keyspace-events": "KEA", "slowlog-log-slower-than": "-7",
			},
			live: map[string]string{
				"maxmemory": "6854542746", "maxclients": "65000", "maxmemory-policy": "allkeys-lfu", "notify-keyspace-events": "KEA", "slowlog-log-slower-than": "-1",
				"client-output-buffer-limit": "normal 0 0 7 pubsub 33554432 8388608 60",
			},
			start: map[string]string{"databases": "64"},
		},
		{
			name: "a full reserve is not the absence of a limit", family: "redis7", version: "7.0.15", node: "cache.t3.micro",
			values: map[string]string{"reserved-memory-percent": "100"}, live: map[string]string{"maxmemory": "1"},
		},
		{
			name: "what a later binary has is left out of an earlier one", family: "valkey8", version: "8.0.1", node: "cache.t3.micro",
			live: map[string]string{"extended-redis-compatibility": "yes", "commandlog-large-reply-max-len": "-", "maxmemory-samples": "3", "repl-backlog-size": "10485760"},
		},
		{
			name: "and is there in the later one", family: "valkey8", version: "8.1.4", node: "cache.t3.micro",
			live: map[string]string{"commandlog-large-reply-max-len": "128"},
		},
		{
			name: "6.2's directive is unknown to 6.0", family: "redis6.x", version: "6.0.16", node: "cache.t3.micro",
			live: map[string]string{"acl-pubsub-default": "-", "acllog-max-len": "128"}, start: map[string]string{"activerehashing": "yes"},
		},
		{
			name: "names of 4.0", family: "redis4.0", version: "7.0.15", node: "cache.t3.micro", values: map[string]string{"min-slaves-to-write": "1"},
			live: map[string]string{"min-replicas-to-write": "1", "replica-lazy-flush": "no", "slave-lazy-flush": "-", "min-slaves-to-write": "-"},
		},
		{
			name: "memcached defaults", family: "memcached1.6", version: "1.6.18", node: "cache.m6g.large",
			start: map[string]string{
				"memory-limit": "6437", "threads": "2", "conn-limit": "65000", "disable-cas": "no", "max-item-size": "1048576",
				"slab_chunk_max": "524288", "no_modern": "yes", "lru_crawler": "no", "hash_algorithm": "jenkins", "slab_automove": "0", "track_sizes": "no", "watch": "-",
			},
		},
		{
			name: "memcached modern", family: "memcached1.6", version: "1.6.18", node: "cache.t3.micro",
			values: map[string]string{"no_modern": "0", "cas_disabled": "1", "memcached_connections_overhead": "12"},
			start: map[string]string{
				"memory-limit": "500", "disable-cas": "yes", "lru_crawler": "yes", "maxconns_fast": "yes", "no_modern": "no", "hash_algorithm": "murmur3", "slab_automove": "1",
			},
		},
		{
			name: "memcached modern with a chosen hash", family: "memcached1.6", version: "1.6.18", node: "cache.t3.micro",
			values: map[string]string{"no_modern": "0", "hash_algorithm": "jenkins", "slab_automove": "2"},
			start:  map[string]string{"hash_algorithm": "jenkins", "slab_automove": "2"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d, err := parameter.Render(tc.family, tc.version, tc.values, nodeType(t, tc.node))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, "live", d.Live, tc.live)
			compare(t, "start", d.Start, tc.start)
		})
	}
}

func compare(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for k, v := range want {
		g, ok := got[k]
		if !ok {
			g = "-"
		}
		if g != v {
			t.Errorf("%s %s: got %q, want %q", what, k, g, v)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, family string
		values       map[string]string
		want         string
	}{
		{"fine", "memcached1.6", map[string]string{"max_item_size": "2097152"}, ""},
		{"no memory left", "memcached1.6", map[string]string{"memcached_connections_overhead": "512"}, "memcached_connections_overhead leaves no memory"},
		{"chunk above item", "memcached1.6", map[string]string{"max_item_size": "1024"}, "slab_chunk_max must not be greater than max_item_size"},
		{"no multiple", "memcached1.6", map[string]string{"max_item_size": "1048577"}, "max_item_size must be a multiple of slab_chunk_max"},
		{"odd chunk", "memcached1.6", map[string]string{"slab_chunk_max": "1025", "max_item_size": "1049600"}, "slab_chunk_max must divide 1048576 evenly"},
		{"item above a quarter", "memcached1.6", map[string]string{"max_item_size": "134217728"}, "max_item_size must not be greater than a quarter"},
		{"unknown name", "redis7", map[string]string{"nonsense": "1"}, "no parameter nonsense"},
		{"unknown family", "redis99", nil, `no family "redis99"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := parameter.Check(tc.family, tc.values, nodeType(t, "cache.t3.micro"))
			if got := fmt.Sprint(err); (tc.want == "") != (err == nil) || !strings.Contains(got, tc.want) && err != nil {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// installed gives the version of an engine of this host; the test is skipped
// where there is none.
func installed(t *testing.T, program string) (path, version string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed", program)
	}
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range strings.Fields(string(out)) {
		word = strings.TrimPrefix(word, "v=")
		if strings.Count(word, ".") == 2 && word[0] >= '0' && word[0] <= '9' {
			return path, word
		}
	}
	t.Fatalf("no version in %q", out)
	return "", ""
}

// TestEnginesAcceptDefaults starts the real engines with the defaults of every
// family that they serve.
func TestEnginesAcceptDefaults(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		program  string
		families []string
	}{
		{"redis-server", []string{"redis4.0", "redis5.0", "redis6.x", "redis7"}},
		{"valkey-server", []string{"redis4.0", "redis5.0", "redis6.x", "redis7", "valkey7", "valkey8"}},
	} {
		for _, family := range tc.families {
			t.Run(tc.program+" "+family, func(t *testing.T) {
				t.Parallel()
				path, version := installed(t, tc.program)
				d, err := parameter.Render(family, version, nil, nodeType(t, "cache.t3.micro"))
				if err != nil {
					t.Fatal(err)
				}
				c := startRedis(t, path, d)
				for name, want := range merged(d) {
					if name == "client-output-buffer-limit" || name == "maxclients" {
						continue // other classes; limited by the host
					}
					if got := c.ask(t, "CONFIG", "GET", name); !slices.Equal(got, []string{name, want}) {
						t.Errorf("%s: got %q, want %q", name, got, want)
					}
				}
			})
		}
	}
}

// TestEnginesAcceptAllowed changes every live parameter of a running engine to
// the words, lower limits and upper limits that its table allows.
func TestEnginesAcceptAllowed(t *testing.T) {
	t.Parallel()
	for program, families := range map[string][]string{
		"redis-server": {"redis4.0", "redis5.0", "redis6.x", "redis7"}, "valkey-server": {"valkey7", "valkey8"},
	} {
		for _, family := range families {
			t.Run(program+" "+family, func(t *testing.T) {
				t.Parallel()
				path, version := installed(t, program)
				node := nodeType(t, "cache.t3.micro")
				d, err := parameter.Render(family, version, nil, node)
				if err != nil {
					t.Fatal(err)
				}
				c := startRedis(t, path, d)
				f, _ := parameter.Lookup(family)
				for _, p := range f.Parameters {
					for _, value := range samples(p) {
						if err := parameter.Validate(family, p.Name, value); err != nil {
							continue
						}
						d, err := parameter.Render(family, version, map[string]string{p.Name: value}, node)
						if err != nil {
							t.Fatal(err)
						}
						for k, v := range d.Live {
							if k == "maxclients" {
								continue // limited by the host
							}
							if got := c.ask(t, "CONFIG", "SET", k, v); !slices.Equal(got, []string{"OK"}) {
								t.Errorf("%s %s: CONFIG SET %s %s: %q", p.Name, value, k, v, got)
							}
						}
					}
				}
			})
		}
	}
}

// samples are the words and the limits of the ranges of a parameter.
func samples(p parameter.Parameter) []string {
	out := []string{"", "0", "1", "-1", "2147483647", "9223372036854775807", "-9223372036854775807"}
	for _, item := range strings.Split(p.Allowed, ",") {
		out = append(out, item)
		if low, high, ok := strings.Cut(item, "-"); ok {
			out = append(out, low, high)
		}
	}
	return append(out, "KEg$lshzxeA")
}

func merged(d parameter.Directives) map[string]string {
	out := maps.Clone(d.Live)
	maps.Copy(out, d.Start)
	return out
}

// client speaks to an engine over its socket, in the inline form of requests.
type client struct{ net.Conn }

// startRedis runs an engine with directives until the test ends.
func startRedis(t *testing.T, path string, d parameter.Directives) client {
	t.Helper()
	dir, err := os.MkdirTemp("", "larder")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	var config strings.Builder
	fmt.Fprintf(&config, "port 0\nunixsocket %s\nsave \"\"\ndir %s\n", socket, dir)
	for name, value := range merged(d) {
		switch name {
		case "client-output-buffer-limit":
			for words := strings.Fields(value); len(words) >= 4; words = words[4:] {
				fmt.Fprintf(&config, "%s %s\n", name, strings.Join(words[:4], " "))
			}
		default:
			fmt.Fprintf(&config, "%s %q\n", name, value)
		}
	}
	var out strings.Builder
	cmd := exec.Command(path, "-")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(config.String()), &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() })
			return client{conn}
		}
		select {
		case <-ended:
			t.Fatalf("the engine did not start: %s", out.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("the engine does not listen")
		}
	}
}

// ask sends a command and returns the strings of its answer.
func (c client) ask(t *testing.T, words ...string) []string {
	t.Helper()
	var request strings.Builder
	fmt.Fprintf(&request, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&request, "$%d\r\n%s\r\n", len(w), w)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write([]byte(request.String())); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(buf[:n]), "\r\n"), "\r\n")
	if !strings.HasPrefix(lines[0], "*") {
		return []string{strings.TrimLeft(lines[0], "+")}
	}
	var out []string
	for i := 2; i < len(lines); i += 2 {
		out = append(out, lines[i])
	}
	return out
}

package parameter_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/parameter"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		family, name, value string
		want                error
	}{
		{"redis7", "maxmemory-policy", "allkeys-lru", nil},
		{"redis7", "maxmemory-policy", "allkeys", parameter.ErrValue},
		{"redis7", "maxmemory-policy", "volatile-lru,allkeys-lru", parameter.ErrValue},
		{"redis7", "maxmemory-policy", "", parameter.ErrValue},
		{"redis7", "timeout", "0", nil},
		{"redis7", "timeout", "19", parameter.ErrValue},
		{"redis7", "timeout", "20", nil},
		{"redis7", "timeout", "20-", parameter.ErrValue},
		{"redis7", "timeout", "2147483648", parameter.ErrValue},
		{"redis7", "timeout", "020", parameter.ErrValue},
		{"redis7", "timeout", "+20", parameter.ErrValue},
		{"redis7", "timeout", "20s", parameter.ErrValue},
		{"redis7", "reserved-memory-percent", "101", parameter.ErrValue},
		{"redis7", "slowlog-log-slower-than", "-5", nil},
		{"redis7", "slowlog-log-slower-than", "99999999999999999999", parameter.ErrValue},
		{"redis7", "notify-keyspace-events", "", nil},
		{"redis7", "notify-keyspace-events", "KEA", nil},
		{"redis7", "notify-keyspace-events", "Q", parameter.ErrValue},
		{"redis7", "appendonly", "yes", parameter.ErrFixed},
		{"redis7", "maxmemory", "1", parameter.ErrFixed},
		{"redis7", "reserved-memory", "0", parameter.ErrUnknown},
		{"redis7", "hash-max-ziplist-entries", "1", parameter.ErrUnknown},
		{"redis6.x", "hash-max-ziplist-entries", "1", nil},
		{"redis6.x", "list-max-ziplist-size", "-5", nil},
		{"redis6.x", "list-max-ziplist-size", "-6", parameter.ErrValue},
		{"redis6.x", "list-max-ziplist-size", "0", parameter.ErrValue},
		{"redis7", "activerehashing", "no", parameter.ErrUnknown},
		{"redis7", "cluster-enabled", "yes", nil},
		{"redis7", "close-on-replica-write", "yes", nil},
		{"redis7", "close-on-replica-write", "no", parameter.ErrUnserved},
		{"redis7", "activedefrag", "yes", parameter.ErrUnserved},
		{"redis7", "rename-commands", "KEYS", parameter.ErrUnserved},
		{"valkey8", "extended-redis-compatibility", "no", nil},
		{"valkey7", "extended-redis-compatibility", "no", parameter.ErrUnknown},
		{"valkey8", "search-default-timeout-ms", "1", parameter.ErrUnserved},
		{"memcached1.6", "chunk_size_growth_factor", "2.5", nil},
		{"memcached1.6", "chunk_size_growth_factor", "1.0", parameter.ErrValue},
		{"memcached1.6", "chunk_size_growth_factor", "NaN", parameter.ErrValue},
		{"memcached1.6", "slab_automove", "3", parameter.ErrValue},
		{"memcached1.6", "binding_protocol", "binary", parameter.ErrValue},
		{"memcached1.6", "watch", "disabled", parameter.ErrUnserved},
		{"memcached1.6", "worker_logbuf_size", "128", parameter.ErrUnserved},
	} {
		t.Run(tc.family+" "+tc.name+" "+tc.value, func(t *testing.T) {
			t.Parallel()
			if err := parameter.Validate(tc.family, tc.name, tc.value); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
	if err := parameter.Validate("redis99", "timeout", "0"); err == nil {
		t.Error("an unknown family is accepted")
	}
}

// TestTables holds every row of every family to the rules of the tables.
func TestTables(t *testing.T) {
	t.Parallel()
	for _, name := range parameter.Families() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, ok := parameter.Lookup(name)
			if !ok || f.Name != name || len(f.Parameters) < 25 {
				t.Fatalf("got %s with %d parameters", f.Name, len(f.Parameters))
			}
			for i, p := range f.Parameters {
				if i > 0 && f.Parameters[i-1].Name >= p.Name {
					t.Errorf("%s is out of order or there twice", p.Name)
				}
				if p.Description == "" || p.DataType == "" || strings.Count(p.MinimumEngineVersion, ".") != 2 {
					t.Errorf("%s is incomplete: %+v", p.Name, p)
				}
				if p.ChangeType != parameter.Immediate && p.ChangeType != parameter.RequiresReboot {
					t.Errorf("%s has the change type %q", p.Name, p.ChangeType)
				}
				if p.PerNodeType {
					if p.Modifiable || p.Default != "" {
						t.Errorf("%s depends on the node type and can be set", p.Name)
					}
					continue
				}
				if p.Modifiable {
					if err := parameter.Validate(name, p.Name, p.Default); err != nil {
						t.Errorf("the default %q of %s is refused: %v", p.Default, p.Name, err)
					}
				}
			}
		})
	}
}

func TestNodeTypeValue(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ family, name, node, want string }{
		{"redis7", "maxmemory", "cache.t3.micro", "536870912"},
		{"redis7", "client-output-buffer-limit-replica-hard-limit", "cache.m6g.large", "685454274"},
		{"redis7", "maxmemory", "cache.r8g.large", ""},
		{"valkey8", "maxmemory", "cache.r8g.large", "15222495510"},
		{"memcached1.6", "max_cache_memory", "cache.m6g.large", "6537"},
		{"memcached1.6", "num_threads", "cache.m6g.4xlarge", "16"},
		{"memcached1.6", "max_cache_memory", "cache.r6gd.xlarge", ""},
	} {
		t.Run(tc.family+" "+tc.name+" "+tc.node, func(t *testing.T) {
			t.Parallel()
			f, _ := parameter.Lookup(tc.family)
			got, ok := f.NodeTypeValue(tc.name, nodeType(t, tc.node))
			if got != tc.want || ok != (tc.want != "") {
				t.Errorf("got %q, %t", got, ok)
			}
		})
	}
}

func TestDefaultGroups(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, family string
		cluster      bool
	}{
		{"default.redis7", "redis7", false},
		{"default.valkey8.cluster.on", "valkey8", true},
		{"default.memcached1.6", "memcached1.6", false},
		{"default.memcached1.6.cluster.on", "", false},
		{"default.redis99", "", false},
		{"redis7", "", false},
		{"", "", false},
	} {
		g, ok := parameter.DefaultGroup(tc.name)
		if ok != (tc.family != "") || g.Family != tc.family || g.ClusterMode != tc.cluster || (g.Values()[parameter.ClusterEnabled] == "yes") != tc.cluster {
			t.Errorf("%s: got %+v, %t", tc.name, g, ok)
		}
	}
	// Every version that can be offered has a family with a default group.
	for _, b := range []catalog.Binary{{Engine: catalog.Redis, Version: "8.0.0"}, {Engine: catalog.Valkey, Version: "8.1.0"}, {Engine: catalog.Memcached, Version: "1.6.40"}} {
		for _, o := range catalog.New([]catalog.Binary{b}, false).Offered() {
			if _, ok := parameter.DefaultGroup("default." + o.Family); !ok {
				t.Errorf("%s %s has no default group", o.Engine, o.Name)
			}
		}
	}
}

func TestUnserved(t *testing.T) {
	t.Parallel()
	got := parameter.Unserved()
	want := []string{
		"activedefrag", "close-on-replica-write", "close-on-slave-write", "expirezero_does_not_evict", "inline_ascii_resp",
		"lua-replicate-commands", "rename-commands", "search-default-timeout-ms", "search-enable-partial-results",
		"search-fanout-target-mode", "watch", "worker_logbuf_size",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// FuzzValidate: whatever is accepted fits what the engines read.
func FuzzValidate(f *testing.F) {
	f.Add("timeout", "20")
	f.Add("list-max-ziplist-size", "-5")
	f.Add("notify-keyspace-events", "KEA")
	f.Fuzz(func(t *testing.T, name, value string) {
		for _, family := range parameter.Families() {
			if parameter.Validate(family, name, value) == nil && strings.ContainsAny(value, " \t\r\n\x00\"'\\") {
				t.Errorf("%s of %s accepts %q", name, family, value)
			}
		}
	})
}

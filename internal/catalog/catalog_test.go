package catalog

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/core"
)

var (
	redis7    = Binary{Redis, "7.0.15", "/usr/bin/redis-server"}
	valkey80  = Binary{Valkey, "8.0.1", "/usr/bin/valkey-server"}
	memcached = Binary{Memcached, "1.6.18", "/usr/bin/memcached"}
)

func TestOffered(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		installed []Binary
		exact     bool
		want      string
	}{
		{
			"all engines", []Binary{valkey80, redis7, memcached}, false,
			"memcached 1.4.5 1.4.14 1.4.24 1.4.33 1.4.34 1.5.10 1.5.16 1.6.6 1.6.12 1.6.17, redis 4.0.10 5.0.6 6.0 6.2 7.0 7.1, valkey 7.2 8.0",
		},
		{"valkey serves redis where there is none", []Binary{valkey80}, false, "redis 4.0.10 5.0.6 6.0 6.2 7.0 7.1, valkey 7.2 8.0"},
		{"valkey does not step in for versions newer than the installed redis", []Binary{valkey80, {Redis, "6.2.14", ""}}, false, "redis 4.0.10 5.0.6 6.0 6.2, valkey 7.2 8.0"},
		{"a later valkey", []Binary{{Valkey, "8.1.4", ""}, redis7}, false, "redis 4.0.10 5.0.6 6.0 6.2 7.0 7.1, valkey 7.2 8.0 8.1 8.2"},
		{"an engine without access control lists does not count", []Binary{{Redis, "5.0.14", ""}, valkey80}, true, "valkey 8.0"},
		{"an unknown engine does not count", []Binary{{"keydb", "6.3.4", ""}}, false, ""},
		{"exact", []Binary{redis7, valkey80, memcached}, true, "memcached 1.6.18, redis 7.0, valkey 8.0"},
		{"exact, twice the same", []Binary{redis7, redis7}, true, "redis 7.0"},
		{"nothing installed", nil, false, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var parts []string
			engine := ""
			for _, o := range New(tc.installed, tc.exact).Offered() {
				if o.Engine != engine {
					engine = o.Engine
					parts = append(parts, engine)
				}
				parts[len(parts)-1] += " " + o.Name
			}
			if got := strings.Join(parts, ", "); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		engine, requested, full, family, code, text string
	}{
		{engine: Redis, requested: "", full: "7.1.0", family: "redis7"},
		{engine: Redis, requested: "7.0", full: "7.0.7", family: "redis7"},
		{engine: Redis, requested: "7.x", full: "7.1.0", family: "redis7"},
		{engine: Redis, requested: "6.x", full: "6.2.6", family: "redis6.x"},
		{engine: Redis, requested: "6.0", full: "6.0.5", family: "redis6.x"},
		{engine: Redis, requested: "5.0.6", full: "5.0.6", family: "redis5.0"},
		{engine: Valkey, requested: "7.2", full: "7.2.6", family: "valkey7"},
		{engine: Valkey, requested: "", full: "8.0.1", family: "valkey8"},
		{engine: Memcached, requested: "", full: "1.6.17", family: "memcached1.6"},
		{engine: Memcached, requested: "1.5.16", full: "1.5.16", family: "memcached1.5"},
		{
			engine: Redis, requested: "6.2.6", code: "InvalidParameterValue",
			text: "Specific version selection is not allowed for '6.2.6', please use '6.2'",
		},
		{
			engine: Valkey, requested: "8.0.1", code: "InvalidParameterValue",
			text: "Specific version selection is not allowed for '8.0.1', please use '8.0'",
		},
		{engine: Redis, requested: "7.4", code: "InvalidParameterCombination", text: "Cannot find version 7.4 for redis"},
		{engine: Redis, requested: "7.4.2", code: "InvalidParameterCombination", text: "Cannot find version 7.4.2 for redis"},
		{engine: Redis, requested: "5.0", code: "InvalidParameterCombination", text: "Cannot find version 5.0 for redis"},
		{engine: Redis, requested: "nonsense", code: "InvalidParameterCombination", text: "Cannot find version nonsense for redis"},
		{engine: Redis, requested: ".x", code: "InvalidParameterCombination", text: "Cannot find version .x for redis"},
		{
			engine: Valkey, requested: "8.1", code: "InvalidParameterCombination",
			text: "Cannot find version 8.1 for valkey: no installed engine serves it.",
		},
		{
			engine: Memcached, requested: "1.6.22", code: "InvalidParameterCombination",
			text: "Cannot find version 1.6.22 for memcached: no installed engine serves it.",
		},
		{
			engine: "keydb", requested: "", code: "InvalidParameterCombination",
			text: "Cannot find any version for keydb: no installed engine serves it.",
		},
	} {
		t.Run(tc.engine+" "+tc.requested, func(t *testing.T) {
			t.Parallel()
			v, err := New([]Binary{redis7, valkey80, memcached}, false).Resolve(tc.engine, tc.requested)
			if tc.code != "" {
				e, ok := core.AsError(err)
				if !ok || e.Code != tc.code || e.Message != tc.text {
					t.Errorf("got %v\nwant %s: %s", err, tc.code, tc.text)
				}
				return
			}
			if err != nil || v.Full != tc.full || v.Family != tc.family {
				t.Errorf("got %+v, %v", v, err)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	many := []Binary{{Redis, "7.4.1", "new"}, {Redis, "6.2.14", "old"}, {Redis, "7.0.15", "middle"}, {Valkey, "8.0.1", "valkey"}, {Memcached, "1.6.18", "memcached"}}
	for _, tc := range []struct {
		name, engine, full, path string
		installed                []Binary
	}{
		{"the nearest wins", Redis, "5.0.6", "old", many},
		{"the nearest that is not older", Redis, "7.0.7", "middle", many},
		{"7.1 is 7.0 on the wire", Redis, "7.1.0", "middle", many},
		{"its own version", Redis, "7.4.1", "new", many},
		{"patch releases do not count", Valkey, "8.0.1", "valkey", []Binary{{Valkey, "8.0.0", "valkey"}}},
		{"an older patch of what was made exactly", Valkey, "8.0.9", "", many},
		{"valkey for redis", Redis, "7.1.0", "valkey", []Binary{{Valkey, "8.0.1", "valkey"}}},
		{"memcached compares all parts", Memcached, "1.6.17", "memcached", many},
		{"a newer memcached", Memcached, "1.6.22", "", many},
		{"a newer valkey", Valkey, "8.1.0", "", many},
		{"nothing", Redis, "7.0.7", "", nil},
		{"nonsense", Redis, "x", "", many},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b, err := New(tc.installed, false).Choose(tc.engine, tc.full)
			if b.Path != tc.path || (err == nil) != (tc.path != "") {
				t.Errorf("got %+v, %v", b, err)
			}
		})
	}
}

// TestEveryOfferCanRun holds the parts of the catalogue against each other.
func TestEveryOfferCanRun(t *testing.T) {
	t.Parallel()
	for _, exact := range []bool{false, true} {
		for _, installed := range [][]Binary{{redis7, valkey80, memcached}, {valkey80}, {{Redis, "8.2.1", "x"}, {Valkey, "9.0.0", "y"}, {Memcached, "1.6.40", "z"}}} {
			c := New(installed, exact)
			for _, o := range c.Offered() {
				v, err := c.Resolve(o.Engine, o.Name)
				if err != nil || v.Full != o.Full {
					t.Errorf("%s %s resolves to %+v, %v", o.Engine, o.Name, v, err)
				}
				b, err := c.Choose(o.Engine, o.Full)
				if err != nil || b != o.Binary {
					t.Errorf("%s %s is offered of %v but run by %v, %v", o.Engine, o.Full, o.Binary, b, err)
				}
				if w, ok := c.Lookup(o.Engine, o.Full); !ok || w.Full != o.Full || w.Family != o.Family {
					t.Errorf("%s %s looks up as %+v", o.Engine, o.Full, w)
				}
			}
		}
	}
}

func TestDescription(t *testing.T) {
	t.Parallel()
	var got []string
	for _, o := range New([]Binary{{Valkey, "8.0.1", ""}, memcached}, false).Offered() {
		got = append(got, o.EngineDescription()+": "+o.Description())
	}
	for _, want := range []string{
		"Valkey: valkey version 8.0.1",
		"Valkey: valkey version 7.2.6 (served by valkey-server 8.0.1)",
		"Redis: redis version 7.1.0 (served by valkey-server 8.0.1)",
		"memcached: memcached version 1.4.14 (served by memcached 1.6.18)",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is missing in %q", want, got)
		}
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		a, b string
		want int
	}{{"7.0", "7.0.15", 0}, {"7.0.15", "7.0.9", 1}, {"1.4.5", "1.4.14", -1}, {"10", "9.9", 1}, {"", "1", -1}, {"7.x", "7.0", 0}} {
		if got := Compare(tc.a, tc.b); got != tc.want {
			t.Errorf("%q and %q: %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}

func TestNodeTypes(t *testing.T) {
	t.Parallel()
	types := NodeTypes()
	if !slices.IsSortedFunc(types, func(a, b NodeType) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the types are not sorted")
	}
	for i, n := range types {
		if i > 0 && types[i-1].Name == n.Name {
			t.Errorf("%s is there twice", n.Name)
		}
		if n.MaxMemory == 0 || n.VCPUs == 0 || n.MaxClients == 0 || (n.CacheMemory > 0) != n.Runs(Memcached) {
			t.Errorf("%s is incomplete: %+v", n.Name, n)
		}
		// Both engines' memory of a type is about the same.
		if mb := n.MaxMemory >> 20; n.CacheMemory > 0 && (int64(n.CacheMemory) < mb*7/10 || int64(n.CacheMemory) > mb*11/10) {
			t.Errorf("%s has %d MB for Redis and %d MB for Memcached", n.Name, mb, n.CacheMemory)
		}
		if found, ok := LookupNodeType(n.Name); !ok || found.Name != n.Name {
			t.Errorf("%s is not found", n.Name)
		}
	}
	for _, tc := range []struct {
		name             string
		clients, threads int
		supports         string
	}{
		{"cache.t2.micro", 20000, 1, "redis 4.0.10, memcached 1.4.5, valkey 7.2.6"},
		{"cache.t3.micro", 20000, 2, "redis 4.0.10, memcached 1.4.5, valkey 7.2.6"},
		{"cache.t3.medium", 46000, 2, "redis 4.0.10, memcached 1.4.5, valkey 7.2.6"},
		{"cache.t4g.micro", 20000, 2, "redis 5.0.6, memcached 1.5.16, valkey 7.2.6, not redis 4.0.10, not memcached 1.5.10"},
		{"cache.t4g.small", 65000, 2, "redis 5.0.6"},
		{"cache.m5.24xlarge", 65000, 96, "redis 4.0.10"},
		{"cache.m6g.16xlarge", 65000, 64, "redis 5.0.6"},
		{"cache.r7g.large", 65000, 2, "redis 6.2.6, not redis 6.0.5"},
		{"cache.r8g.large", 65000, 2, "valkey 7.2.6, memcached 1.6.6, not redis 7.1.0"},
		{"cache.r6gd.xlarge", 65000, 4, "redis 6.2.6, not memcached 1.6.22"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			n, ok := LookupNodeType(tc.name)
			if !ok || n.MaxClients != tc.clients || n.VCPUs != tc.threads {
				t.Errorf("got %+v", n)
			}
			for _, rule := range strings.Split(tc.supports, ", ") {
				rule, not := strings.CutPrefix(rule, "not ")
				engine, version, _ := strings.Cut(rule, " ")
				if n.Supports(engine, version) == not {
					t.Errorf("%s: supported is %t", rule, !not)
				}
			}
		})
	}
	if n, ok := LookupNodeType("cache.m5.8xlarge"); ok {
		t.Errorf("there is no %+v", n)
	}
}

func TestScaleTargets(t *testing.T) {
	t.Parallel()
	n, _ := LookupNodeType("cache.m6g.large")
	up, down := n.ScaleTargets(Redis, "5.0.6")
	for _, tc := range []struct {
		list []string
		name string
		want bool
	}{
		{up, "cache.m6g.xlarge", true},
		{up, "cache.m5.large", true},
		{up, "cache.m6g.large", false},
		{up, "cache.r7g.large", false},
		{up, "cache.r6gd.xlarge", false},
		{down, "cache.t3.micro", true},
		{down, "cache.m6g.xlarge", false},
		{down, "cache.c7gn.large", false},
	} {
		if slices.Contains(tc.list, tc.name) != tc.want {
			t.Errorf("%s: want listed %t", tc.name, tc.want)
		}
	}
	if !slices.IsSorted(up) || !slices.IsSorted(down) {
		t.Error("the lists are not sorted")
	}
	micro, _ := LookupNodeType("cache.t3.micro")
	if _, down := micro.ScaleTargets(Redis, "7.1.0"); down == nil || len(down) != 0 {
		t.Errorf("below the smallest type: %v", down)
	}
	tiered, _ := LookupNodeType("cache.r6gd.xlarge")
	if up, _ := tiered.ScaleTargets(Redis, "7.1.0"); fmt.Sprint(up) != "[cache.r6gd.12xlarge cache.r6gd.16xlarge cache.r6gd.2xlarge cache.r6gd.4xlarge cache.r6gd.8xlarge]" {
		t.Errorf("data tiering: %v", up)
	}
}

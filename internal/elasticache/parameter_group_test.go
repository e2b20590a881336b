package elasticache

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// changes are the members of ParameterNameValues: "name=value".
func changes(pairs ...string) []*wire.ParameterNameValue {
	var out []*wire.ParameterNameValue
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		out = append(out, &wire.ParameterNameValue{ParameterName: &name, ParameterValue: &value})
	}
	return out
}

func (f *clusterFixture) createParameters(name, family string) *wire.CacheParameterGroup {
	f.t.Helper()
	out, err := f.CreateCacheParameterGroup(f.ctx, &wire.CreateCacheParameterGroupMessage{
		CacheParameterGroupName: &name, CacheParameterGroupFamily: &family, Description: core.Ptr("test"),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return out.CacheParameterGroup
}

func (f *clusterFixture) modifyParameters(name string, pairs ...string) error {
	_, err := f.ModifyCacheParameterGroup(f.ctx, &wire.ModifyCacheParameterGroupMessage{
		CacheParameterGroupName: &name, ParameterNameValues: changes(pairs...),
	})
	return err
}

// parameterGroup is what is stored.
func (f *clusterFixture) parameterGroup(name string) *resource.ParameterGroup {
	f.t.Helper()
	var out *resource.ParameterGroup
	f.update(func(tx *store.Tx) error {
		out, _ = resource.ParameterGroups.Get(tx, key(testRegion, name))
		return nil
	})
	return out
}

func TestCreateCacheParameterGroup(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	got := f.createParameters("My-Group", "Redis7")
	want := wire.CacheParameterGroup{
		CacheParameterGroupName: core.Ptr("my-group"), CacheParameterGroupFamily: core.Ptr("redis7"), Description: core.Ptr("test"),
		IsGlobal: core.Ptr(false), ARN: core.Ptr("arn:aws:elasticache:us-east-1:000000000000:parametergroup:my-group"),
	}
	if *got.CacheParameterGroupName != *want.CacheParameterGroupName || *got.CacheParameterGroupFamily != *want.CacheParameterGroupFamily ||
		*got.Description != *want.Description || *got.IsGlobal || *got.ARN != *want.ARN {
		t.Errorf("got %+v", got)
	}
	for _, tc := range []struct {
		name, code, text string
		change           func(in *wire.CreateCacheParameterGroupMessage)
	}{
		{"no name", "InvalidParameterValue", "The parameter CacheParameterGroupName must be provided.", func(in *wire.CreateCacheParameterGroupMessage) { in.CacheParameterGroupName = nil }},
		{"bad name", "InvalidParameterValue", invalidIdentifier("CacheParameterGroupName"), func(in *wire.CreateCacheParameterGroupMessage) {
			in.CacheParameterGroupName = core.Ptr("default.redis7")
		}},
		{"long name", "InvalidParameterValue", invalidIdentifier("CacheParameterGroupName"), func(in *wire.CreateCacheParameterGroupMessage) {
			in.CacheParameterGroupName = core.Ptr(strings.Repeat("a", 256))
		}},
		{"no family", "InvalidParameterValue", "The parameter CacheParameterGroupFamily must be provided.", func(in *wire.CreateCacheParameterGroupMessage) { in.CacheParameterGroupFamily = nil }},
		{"unknown family", "InvalidParameterValue", "CacheParameterGroupFamily redis99 is not a valid parameter group family.", func(in *wire.CreateCacheParameterGroupMessage) {
			in.CacheParameterGroupFamily = core.Ptr("redis99")
		}},
		{"no description", "InvalidParameterValue", "The parameter Description must be provided.", func(in *wire.CreateCacheParameterGroupMessage) { in.Description = nil }},
		{"long description", "InvalidParameterValue", "The parameter Description must not be longer than 255 characters.", func(in *wire.CreateCacheParameterGroupMessage) {
			in.Description = core.Ptr(strings.Repeat("a", 256))
		}},
		{"bad tag", "InvalidParameterValue", "The tag key aws:x is not valid: the prefix aws: is reserved.", func(in *wire.CreateCacheParameterGroupMessage) {
			in.Tags = []*wire.Tag{{Key: core.Ptr("aws:x")}}
		}},
		{"taken", "CacheParameterGroupAlreadyExists", "Cache parameter group my-group already exists.", func(in *wire.CreateCacheParameterGroupMessage) { in.CacheParameterGroupName = core.Ptr("MY-GROUP") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := &wire.CreateCacheParameterGroupMessage{
				CacheParameterGroupName: core.Ptr("other"), CacheParameterGroupFamily: core.Ptr("redis7"), Description: core.Ptr("d"),
			}
			tc.change(in)
			_, err := f.CreateCacheParameterGroup(f.ctx, in)
			wantError(t, err, tc.code, tc.text)
			if f.parameterGroup("other") != nil {
				t.Error("a refused group is stored")
			}
		})
	}
}

func TestParameterGroupQuota(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.update(func(tx *store.Tx) error {
		for i := range maxGroups {
			g := &resource.ParameterGroup{Region: testRegion, Name: fmt.Sprintf("g%d", i), Family: "redis7"}
			resource.ParameterGroups.Put(tx, key(g.Region, g.Name), g)
		}
		return nil
	})
	_, err := f.CreateCacheParameterGroup(f.ctx, &wire.CreateCacheParameterGroupMessage{
		CacheParameterGroupName: core.Ptr("more"), CacheParameterGroupFamily: core.Ptr("redis7"), Description: core.Ptr(""),
	})
	wantError(t, err, "CacheParameterGroupQuotaExceeded", "Parameter group quota exceeded. You can have at most 300 parameter groups in this region.")
}

func TestModifyCacheParameterGroup(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, family string
		attached     bool
		before       []string
		change       []string
		code, text   string
		want         string
		generation   int64
	}{
		{name: "one", family: "redis7", change: []string{"timeout=60"}, want: "map[timeout:60]", generation: 1},
		{name: "several", family: "redis7", change: []string{"timeout=60", "maxmemory-policy=noeviction"}, want: "map[maxmemory-policy:noeviction timeout:60]", generation: 1},
		{name: "to the default stays a choice", family: "redis7", change: []string{"timeout=0"}, want: "map[timeout:0]", generation: 1},
		{name: "to what it is", family: "redis7", before: []string{"timeout=60"}, change: []string{"timeout=60"}, want: "map[timeout:60]", generation: 1},
		{name: "again", family: "redis7", before: []string{"timeout=60"}, change: []string{"timeout=90"}, want: "map[timeout:90]", generation: 2},
		{name: "an empty text", family: "redis7", before: []string{"notify-keyspace-events=KEA"}, change: []string{"notify-keyspace-events="}, want: "map[notify-keyspace-events:]", generation: 2},
		{name: "under a running cluster", family: "redis7", attached: true, change: []string{"timeout=60"}, want: "map[timeout:60]", generation: 1},
		{name: "databases", family: "redis7", change: []string{"databases=64"}, want: "map[databases:64]", generation: 1},
		{
			name: "databases under a running cluster", family: "redis7", attached: true, change: []string{"databases=64"}, want: "map[]",
			code: "InvalidCacheParameterGroupState", text: "The parameter databases cannot be modified while cache clusters use the parameter group g.",
		},
		{name: "databases to what they are", family: "redis7", attached: true, change: []string{"databases=16"}, want: "map[databases:16]", generation: 1},
		{name: "cluster mode", family: "redis7", change: []string{"cluster-enabled=yes"}, want: "map[cluster-enabled:yes]", generation: 1},
		{
			name: "cluster mode under a running cluster", family: "redis7", attached: true, change: []string{"cluster-enabled=yes"}, want: "map[]",
			code: "InvalidCacheParameterGroupState", text: "The parameter cluster-enabled cannot be modified while cache clusters use the parameter group g.",
		},
		{
			name: "nothing", family: "redis7", want: "map[]",
			code: "InvalidParameterValue", text: "The parameter ParameterNameValues must be provided.",
		},
		{
			name: "too many", family: "redis7", change: slices.Repeat([]string{"timeout=60"}, 21), want: "map[]",
			code: "InvalidParameterValue", text: "The parameter ParameterNameValues must not have more than 20 members.",
		},
		{
			name: "no name", family: "redis7", change: []string{"=1"}, want: "map[]",
			code: "InvalidParameterValue", text: "The parameter ParameterName must be provided.",
		},
		{
			name: "unknown", family: "redis7", change: []string{"reserved-memory=0"}, want: "map[]",
			code: "InvalidParameterValue", text: "Parameter reserved-memory doesn't exist",
		},
		{
			name: "fixed", family: "redis7", change: []string{"timeout=60", "appendonly=yes"}, want: "map[]",
			code: "InvalidParameterValue", text: "The parameter appendonly cannot be modified.",
		},
		{
			name: "out of range", family: "redis7", change: []string{"timeout=5"}, want: "map[]",
			code: "InvalidParameterValue", text: "Invalid parameter value: 5 for: timeout allowed values are: 0,20-",
		},
		{
			name: "bad characters", family: "redis7", change: []string{"notify-keyspace-events=Q"}, want: "map[]",
			code: "InvalidParameterValue", text: "Invalid parameter value: Q for: notify-keyspace-events",
		},
		{
			name: "not served", family: "redis7", change: []string{"activedefrag=yes"}, want: "map[]",
			code: "InvalidParameterValue", text: `The value yes of the parameter activedefrag is not served by this version of Larder, only its default "no" is.`,
		},
		{
			name: "does not fit the node type in use", family: "memcached1.6", attached: true, change: []string{"memcached_connections_overhead=512"}, want: "map[]",
			code: "InvalidParameterCombination", text: "The parameter memcached_connections_overhead leaves no memory on a node of type cache.t3.micro.",
		},
		{name: "would fit another", family: "memcached1.6", change: []string{"memcached_connections_overhead=512"}, want: "map[memcached_connections_overhead:512]", generation: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newClusterFixture(t)
			f.createParameters("g", tc.family)
			if tc.before != nil {
				if err := f.modifyParameters("g", tc.before...); err != nil {
					t.Fatal(err)
				}
			}
			if tc.attached {
				in := redisRequest("c")
				in.EngineVersion = core.Ptr("7.0")
				if tc.family == "memcached1.6" {
					in = memcachedRequest("c", 1)
				}
				in.CacheParameterGroupName = core.Ptr("g")
				f.createCluster(in)
			}
			err := f.modifyParameters("G", tc.change...)
			if tc.code != "" {
				wantError(t, err, tc.code, tc.text)
			} else if err != nil {
				t.Fatal(err)
			}
			g := f.parameterGroup("g")
			if got := fmt.Sprint(g.Values); got != tc.want || g.Generation != tc.generation {
				t.Errorf("stored %s in generation %d", got, g.Generation)
			}
		})
	}
}

func TestResetCacheParameterGroup(t *testing.T) {
	t.Parallel()
	const either = "Either ResetAllParameters or ParameterNameValues must be provided, and not both."
	for _, tc := range []struct {
		name       string
		all        *bool
		attached   bool
		reset      []string
		code, text string
		want       string
	}{
		{name: "all", all: core.Ptr(true), want: "map[]"},
		{name: "some", reset: []string{"timeout"}, want: "map[databases:64]"},
		{name: "what was not set", reset: []string{"maxmemory-policy"}, want: "map[databases:64 timeout:60]"},
		{name: "some of a group in use", attached: true, reset: []string{"timeout"}, want: "map[databases:64]"},
		{
			name: "all of a group in use", attached: true, all: core.Ptr(true), want: "map[databases:64 timeout:60]",
			code: "InvalidCacheParameterGroupState", text: "The parameter databases cannot be modified while cache clusters use the parameter group g.",
		},
		{name: "neither", want: "map[databases:64 timeout:60]", code: "InvalidParameterCombination", text: either},
		{name: "neither, said openly", all: core.Ptr(false), want: "map[databases:64 timeout:60]", code: "InvalidParameterCombination", text: either},
		{name: "both", all: core.Ptr(true), reset: []string{"timeout"}, want: "map[databases:64 timeout:60]", code: "InvalidParameterCombination", text: either},
		{name: "unknown", reset: []string{"timeout", "reserved-memory"}, want: "map[databases:64 timeout:60]", code: "InvalidParameterValue", text: "Parameter reserved-memory doesn't exist"},
		{name: "fixed", reset: []string{"appendonly"}, want: "map[databases:64 timeout:60]", code: "InvalidParameterValue", text: "The parameter appendonly cannot be modified."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newClusterFixture(t)
			f.createParameters("g", "redis7")
			if err := f.modifyParameters("g", "timeout=60", "databases=64"); err != nil {
				t.Fatal(err)
			}
			if tc.attached {
				in := redisRequest("c")
				in.CacheParameterGroupName, in.EngineVersion = core.Ptr("g"), core.Ptr("7.0")
				f.createCluster(in)
			}
			out, err := f.ResetCacheParameterGroup(f.ctx, &wire.ResetCacheParameterGroupMessage{
				CacheParameterGroupName: core.Ptr("G"), ResetAllParameters: tc.all, ParameterNameValues: changes(tc.reset...),
			})
			if tc.code != "" {
				wantError(t, err, tc.code, tc.text)
			} else if err != nil || *out.CacheParameterGroupName != "g" {
				t.Fatal(out, err)
			}
			if got := fmt.Sprint(f.parameterGroup("g").Values); got != tc.want {
				t.Errorf("stored %s", got)
			}
		})
	}
}

func TestDeleteCacheParameterGroup(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createParameters("free", "redis7")
	f.createParameters("used", "redis7")
	f.createParameters("left", "redis7")
	in := redisRequest("c")
	in.CacheParameterGroupName, in.EngineVersion = core.Ptr("used"), core.Ptr("7.0")
	f.createCluster(in)
	f.update(func(tx *store.Tx) error { // its nodes run with a group that it is about to leave
		c, _ := resource.CacheClusters.Get(tx, key(testRegion, "c"))
		c.Status.ParameterGroup = "left"
		resource.CacheClusters.Put(tx, key(testRegion, "c"), c)
		return nil
	})
	inUse := "One or more cache clusters are still members of this parameter group %s, so the group cannot be deleted."
	for _, tc := range []struct{ name, code, text string }{
		{"free", "", ""},
		{"free", "CacheParameterGroupNotFound", "CacheParameterGroup not found: free"},
		{"used", "InvalidCacheParameterGroupState", fmt.Sprintf(inUse, "used")},
		{"left", "InvalidCacheParameterGroupState", fmt.Sprintf(inUse, "left")},
		{"default.redis7", "InvalidParameterValue", invalidIdentifier("CacheParameterGroupName")},
		{"", "InvalidParameterValue", "The parameter CacheParameterGroupName must be provided."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := f.DeleteCacheParameterGroup(f.ctx, &wire.DeleteCacheParameterGroupMessage{CacheParameterGroupName: &tc.name})
			if tc.code == "" && err != nil {
				t.Fatal(err)
			} else if tc.code != "" {
				wantError(t, err, tc.code, tc.text)
			}
		})
	}
}

func TestDescribeCacheParameterGroups(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	for i := range 10 {
		f.createParameters(fmt.Sprintf("zz-%d", i), "memcached1.6")
	}
	f.createParameters("aa", "redis7")
	var names []string
	in := &wire.DescribeCacheParameterGroupsMessage{MaxRecords: core.Ptr(20)}
	for pages := 1; ; pages++ {
		out, err := f.DescribeCacheParameterGroups(f.ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range out.CacheParameterGroups {
			names = append(names, *g.CacheParameterGroupName)
		}
		if in.Marker = out.Marker; out.Marker == nil {
			if pages != 2 {
				t.Errorf("%d groups came in %d pages", len(names), pages)
			}
			break
		}
	}
	if !slices.IsSorted(names) || names[0] != "aa" || names[len(names)-1] != "zz-9" || len(slices.Compact(slices.Clone(names))) != len(names) ||
		!slices.Contains(names, "default.redis7") || !slices.Contains(names, "default.valkey8.cluster.on") {
		t.Errorf("got %q", names)
	}
	for name, want := range map[string]string{
		"DEFAULT.redis7.cluster.on": "Customized default parameter group for redis7 with cluster mode on",
		"default.memcached1.6":      "Default parameter group for memcached1.6", "AA": "test",
	} {
		out, err := f.DescribeCacheParameterGroups(f.ctx, &wire.DescribeCacheParameterGroupsMessage{CacheParameterGroupName: &name})
		if err != nil || len(out.CacheParameterGroups) != 1 || *out.CacheParameterGroups[0].Description != want {
			t.Errorf("%s: got %v, %v", name, out, err)
		}
	}
	_, err := f.DescribeCacheParameterGroups(f.ctx, &wire.DescribeCacheParameterGroupsMessage{CacheParameterGroupName: core.Ptr("default.redis5.0.6")})
	wantError(t, err, "CacheParameterGroupNotFound", "CacheParameterGroup not found: default.redis5.0.6")
	if e, _ := core.AsError(err); e.HTTPStatus() != 404 {
		t.Errorf("status %d", e.HTTPStatus())
	}
}

// describeParameters reads all pages; the key of the result is the name.
func (f *clusterFixture) describeParameters(group, source string) map[string]*wire.Parameter {
	f.t.Helper()
	out := map[string]*wire.Parameter{}
	in := &wire.DescribeCacheParametersMessage{CacheParameterGroupName: &group, Source: &source, MaxRecords: core.Ptr(20)}
	for {
		part, err := f.DescribeCacheParameters(f.ctx, in)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, p := range part.Parameters {
			out[*p.ParameterName] = p
		}
		if in.Marker = part.Marker; in.Marker == nil {
			return out
		}
	}
}

func TestDescribeCacheParameters(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createParameters("g", "redis7")
	if err := f.modifyParameters("g", "timeout=60", "databases=16"); err != nil {
		t.Fatal(err)
	}
	all, user, system := f.describeParameters("g", ""), f.describeParameters("g", "user"), f.describeParameters("G", "system")
	if len(user) != 2 || *user["timeout"].ParameterValue != "60" || *user["databases"].Source != "user" {
		t.Errorf("of the user: %v", user)
	}
	if len(all) != len(user)+len(system) || len(all) < 60 || system["timeout"] != nil {
		t.Errorf("%d are %d of the user and %d of the system", len(all), len(user), len(system))
	}
	if d := f.describeParameters("g", "engine-default"); len(d) != len(system) {
		t.Errorf("%d engine defaults", len(d))
	}
	p := all["databases"]
	if *p.DataType != "integer" || *p.AllowedValues != "1-10000" || !*p.IsModifiable || *p.ChangeType != "requires-reboot" || *p.MinimumEngineVersion != "7.0.0" {
		t.Errorf("databases: %+v", p)
	}
	if p := all["notify-keyspace-events"]; p.ParameterValue != nil || p.AllowedValues != nil || *p.DataType != "string" {
		t.Errorf("notify-keyspace-events: %+v", p)
	}
	on := f.describeParameters("default.redis7.cluster.on", "")["cluster-enabled"]
	if *on.ParameterValue != "yes" || *on.Source != "system" || len(f.describeParameters("default.redis7.cluster.on", "user")) != 0 {
		t.Errorf("cluster-enabled: %+v", on)
	}
	_, err := f.DescribeCacheParameters(f.ctx, &wire.DescribeCacheParametersMessage{CacheParameterGroupName: core.Ptr("none")})
	wantError(t, err, "CacheParameterGroupNotFound", "CacheParameterGroup not found: none")
	_, err = f.DescribeCacheParameters(f.ctx, &wire.DescribeCacheParametersMessage{})
	wantError(t, err, "InvalidParameterValue", "The parameter CacheParameterGroupName must be provided.")
	_, err = f.DescribeCacheParameters(f.ctx, &wire.DescribeCacheParametersMessage{CacheParameterGroupName: core.Ptr("g"), Source: core.Ptr("me")})
	wantError(t, err, "InvalidParameterValue", "The parameter Source has the unknown value me.")
}

func TestNodeTypeParameters(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	for group, want := range map[string]string{
		"default.redis7":       "client-output-buffer-limit-replica-hard-limit client-output-buffer-limit-replica-soft-limit maxmemory",
		"default.memcached1.6": "max_cache_memory num_threads",
	} {
		out, err := f.DescribeCacheParameters(f.ctx, &wire.DescribeCacheParametersMessage{CacheParameterGroupName: &group})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range out.CacheNodeTypeSpecificParameters {
			names = append(names, *p.ParameterName)
			if *p.IsModifiable || len(p.CacheNodeTypeSpecificValues) < 40 {
				t.Errorf("%s has %d values", *p.ParameterName, len(p.CacheNodeTypeSpecificValues))
			}
			for _, v := range p.CacheNodeTypeSpecificValues {
				if *p.ParameterName == "maxmemory" && *v.CacheNodeType == "cache.t3.micro" && *v.Value != "536870912" {
					t.Errorf("maxmemory of cache.t3.micro is %s", *v.Value)
				}
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: got %s", group, got)
		}
	}
	user, err := f.DescribeCacheParameters(f.ctx, &wire.DescribeCacheParametersMessage{CacheParameterGroupName: core.Ptr("default.redis7"), Source: core.Ptr("user")})
	if err != nil || len(user.CacheNodeTypeSpecificParameters) != 0 {
		t.Errorf("of the user: %v, %v", user, err)
	}
}

func TestDescribeEngineDefaultParameters(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	in := &wire.DescribeEngineDefaultParametersMessage{CacheParameterGroupFamily: core.Ptr("redis7"), MaxRecords: core.Ptr(50)}
	out, err := f.DescribeEngineDefaultParameters(f.ctx, in)
	if err != nil || len(out.EngineDefaults.Parameters) != 50 || out.EngineDefaults.Marker == nil ||
		*out.EngineDefaults.CacheParameterGroupFamily != "redis7" || len(out.EngineDefaults.CacheNodeTypeSpecificParameters) != 3 {
		t.Fatalf("got %+v, %v", out, err)
	}
	in.Marker = out.EngineDefaults.Marker
	rest, err := f.DescribeEngineDefaultParameters(f.ctx, in)
	if err != nil || len(rest.EngineDefaults.Parameters) == 0 || rest.EngineDefaults.Marker != nil || rest.EngineDefaults.CacheNodeTypeSpecificParameters != nil {
		t.Fatalf("got %+v, %v", rest, err)
	}
	_, err = f.DescribeEngineDefaultParameters(f.ctx, &wire.DescribeEngineDefaultParametersMessage{CacheParameterGroupFamily: core.Ptr("redis99")})
	wantError(t, err, "InvalidParameterValue", "CacheParameterGroupFamily redis99 is not a valid parameter group family.")
}

// TestConcurrentParameterChanges: no change is lost and none is counted twice.
func TestConcurrentParameterChanges(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createParameters("g", "redis7")
	names := []string{"timeout", "tcp-keepalive", "slowlog-max-len", "hash-max-listpack-value", "stream-node-max-bytes", "lfu-decay-time"}
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() {
			if err := f.modifyParameters("g", name+"=77"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	wg.Wait()
	if g := f.parameterGroup("g"); len(g.Values) != len(names) || g.Generation != int64(len(names)) {
		t.Errorf("stored %v in generation %d", g.Values, g.Generation)
	}
}

// TestDeleteGroupWhileClusterIsMade: a cluster never names a group that is gone.
func TestDeleteGroupWhileClusterIsMade(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	for i := range 20 {
		name := fmt.Sprintf("g%d", i)
		f.createParameters(name, "memcached1.6")
		var created, deleted error
		var wg sync.WaitGroup
		wg.Go(func() {
			in := memcachedRequest(name, 1)
			in.CacheParameterGroupName = &name
			_, created = f.CreateCacheCluster(f.ctx, in)
		})
		wg.Go(func() {
			deleted = f.DeleteCacheParameterGroup(f.ctx, &wire.DeleteCacheParameterGroupMessage{CacheParameterGroupName: &name})
		})
		wg.Wait()
		switch {
		case created == nil:
			wantError(t, deleted, "InvalidCacheParameterGroupState", "One or more cache clusters are still members...")
		case deleted == nil:
			wantError(t, created, "CacheParameterGroupNotFound", "CacheParameterGroup not found: "+name)
		default:
			t.Fatalf("both failed: %v, %v", created, deleted)
		}
	}
}

package elasticache

import (
	"strings"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

func pendingWords(p *wire.PendingModifiedValues) string {
	return words(core.Val(p.CacheNodeType), core.Val(p.EngineVersion), core.Val(p.NumCacheNodes), strings.Join(p.CacheNodeIdsToRemove, ","))
}

// A change that is not to be made at once waits on the group, and is shown by
// every member; the request that makes it at once takes it along.
func TestPendingNodeTypeOfGroup(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createGroup(groupRequest("rg", 2))
	f.settle()
	modify := func(in *wire.ModifyReplicationGroupMessage) *wire.ReplicationGroup {
		in.ReplicationGroupId = core.Ptr("rg")
		return f.modifyGroup(in)
	}
	g := modify(&wire.ModifyReplicationGroupMessage{CacheNodeType: core.Ptr("cache.T3.small")})
	if *g.Status != "available" || *g.CacheNodeType != "cache.t3.micro" || f.group("rg").Generation != 1 {
		t.Errorf("group %s of type %s", *g.Status, *g.CacheNodeType)
	}
	for _, id := range []string{"rg-001", "rg-002"} {
		if c := f.describeCluster(id); pendingWords(c.PendingModifiedValues) != "cache.t3.small  0" || *c.CacheClusterStatus != "available" {
			t.Errorf("%s: %s, pending %s", id, *c.CacheClusterStatus, pendingWords(c.PendingModifiedValues))
		}
	}
	modify(&wire.ModifyReplicationGroupMessage{CacheNodeType: core.Ptr("cache.t3.micro")})
	if p := f.group("rg").Spec.Pending; !p.IsZero() {
		t.Errorf("not taken back: %+v", p)
	}
	modify(&wire.ModifyReplicationGroupMessage{CacheNodeType: core.Ptr("cache.t3.small")})
	modify(&wire.ModifyReplicationGroupMessage{CacheNodeType: core.Ptr("cache.t3.medium")})
	g = modify(&wire.ModifyReplicationGroupMessage{ApplyImmediately: core.Ptr(true)})
	if *g.Status != "modifying" || *g.CacheNodeType != "cache.t3.micro" || !f.group("rg").Spec.Pending.IsZero() {
		t.Errorf("group %s of type %s", *g.Status, *g.CacheNodeType)
	}
	c := f.describeCluster("rg-002")
	if *c.CacheClusterStatus != "modifying" || *c.CacheNodeType != "cache.t3.micro" || pendingWords(c.PendingModifiedValues) != "cache.t3.medium  0" {
		t.Errorf("member %s of type %s, pending %s", *c.CacheClusterStatus, *c.CacheNodeType, pendingWords(c.PendingModifiedValues))
	}
	f.settle()
	if c := f.describeCluster("rg-002"); *c.CacheNodeType != "cache.t3.medium" || pendingWords(c.PendingModifiedValues) != "0" {
		t.Errorf("member of type %s, pending %s", *c.CacheNodeType, pendingWords(c.PendingModifiedValues))
	}
}

func TestPendingNodeTypeOfCluster(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createCluster(redisRequest("c"))
	f.settle()
	for _, now := range []bool{false, true} {
		out, err := f.ModifyCacheCluster(f.ctx, &wire.ModifyCacheClusterMessage{
			CacheClusterId: core.Ptr("c"), CacheNodeType: core.Ptr("cache.t3.small"), ApplyImmediately: &now,
		})
		if err != nil {
			t.Fatal(err)
		}
		c := out.CacheCluster
		if now != (*c.CacheClusterStatus == "modifying") || *c.CacheNodeType != "cache.t3.micro" || *c.PendingModifiedValues.CacheNodeType != "cache.t3.small" {
			t.Errorf("at once %t: %s, type %s, pending %s", now, *c.CacheClusterStatus, *c.CacheNodeType, *c.PendingModifiedValues.CacheNodeType)
		}
	}
}

// addresses counts those that are taken.
func (f *clusterFixture) addresses() (n int) {
	f.update(func(tx *store.Tx) error {
		n = len(resource.Addresses.Keys(tx, ""))
		return nil
	})
	return n
}

func TestPendingNodesOfMemcached(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t, func(c *Config) { c.Advertise = Advertise{Host: "203.0.113.1", PortFrom: 7000, PortTo: 7100} })
	f.createCluster(memcachedRequest("m", 3))
	f.settle()
	taken := f.addresses()
	for _, step := range []struct {
		name   string
		count  int
		remove string
		zones  string
		now    bool
		// want is what waits, nodes the nodes that are wanted, more the addresses
		// that are taken beyond those of three nodes.
		want, nodes string
		more        int
	}{
		{name: "two more", count: 5, want: "5", nodes: "1a 2a 3a", more: 2},
		{name: "one more than that", count: 6, zones: "us-east-1b", want: "6", nodes: "1a 2a 3a", more: 3},
		{name: "fewer more", count: 4, want: "4", nodes: "1a 2a 3a", more: 1},
		{name: "a removal instead", count: 1, remove: "0003 0001", want: "1 0001,0003", nodes: "1a 2a 3a"},
		{name: "another removal", count: 2, remove: "0002", want: "2 0002", nodes: "1a 2a 3a"},
		{name: "an addition instead", count: 4, want: "4", nodes: "1a 2a 3a", more: 1},
		{name: "nothing", count: 3, want: "0", nodes: "1a 2a 3a"},
		{name: "a removal", count: 2, remove: "0002", want: "2 0002", nodes: "1a 2a 3a"},
		{name: "what waits, now", now: true, want: "0", nodes: "1a 3a"},
		{name: "two, now", count: 4, now: true, want: "0", nodes: "1a 2a 3a 4a", more: 1},
	} {
		in := &wire.ModifyCacheClusterMessage{
			CacheClusterId: core.Ptr("m"), CacheNodeIdsToRemove: strings.Fields(step.remove), NewAvailabilityZones: strings.Fields(step.zones), ApplyImmediately: &step.now,
		}
		if step.count > 0 {
			in.NumCacheNodes = &step.count
		}
		out, err := f.ModifyCacheCluster(f.ctx, in)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := pendingWords(out.CacheCluster.PendingModifiedValues); got != step.want || f.nodes("m") != step.nodes {
			t.Errorf("%s: pending %s with nodes %s, want %s with %s", step.name, got, f.nodes("m"), step.want, step.nodes)
		}
		// Of each node an address and a port; those of removed nodes go with the nodes.
		if got := f.addresses() - taken; !step.now && got != 2*step.more {
			t.Errorf("%s: %d addresses more are taken, want %d", step.name, got, 2*step.more)
		}
		f.settle()
	}
}

// A version of another family brings its default parameter group along, and is
// shown only when the nodes run it.
func TestPendingEngine(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.addGroups()
	f.createGroup(groupRequest("rg", 2))
	f.createGroup(groupRequest("one", 1))
	f.settle()
	modify := func(id, engine, version string, now bool) *wire.ReplicationGroup {
		t.Helper()
		return f.modifyGroup(&wire.ModifyReplicationGroupMessage{
			ReplicationGroupId: &id, Engine: &engine, EngineVersion: &version, ApplyImmediately: &now,
		})
	}
	show := func(id string) string {
		c, g := f.describeCluster(id+"-001"), f.describeGroup(id)
		return words(*g.Engine, *c.Engine, *c.EngineVersion, *c.CacheParameterGroup.CacheParameterGroupName, "pending", core.Val(c.PendingModifiedValues.EngineVersion))
	}
	for _, step := range []struct {
		name    string
		do      func()
		want    string
		settled bool
	}{
		{"waits", func() { modify("rg", "valkey", "8.0", false) }, "redis redis 7.0.7 default.redis7 pending 8.0.1", true},
		{"another version instead", func() { modify("rg", "redis", "7.1", false) }, "redis redis 7.0.7 default.redis7 pending 7.1.0", true},
		{"taken back", func() { modify("rg", "redis", "7.0", false) }, "redis redis 7.0.7 default.redis7 pending", true},
		{"now", func() { modify("rg", "valkey", "8.0", true) }, "redis redis 7.0.7 default.valkey8 pending 8.0.1", false},
		{"done", f.settle, "valkey valkey 8.0.1 default.valkey8 pending", true},
	} {
		step.do()
		if got := show("rg"); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
		if s := *f.describeGroup("rg").Status; (s == "available") != step.settled {
			t.Errorf("%s: %s", step.name, s)
		}
	}
	// The same program serves both: one node is enough.
	modify("one", "redis", "7.1", true)
	f.settle()
	if got := show("one"); got != "redis redis 7.1.0 default.redis7 pending" {
		t.Error(got)
	}
}

// What waits must not be overtaken by what excludes it.
func TestPendingConflict(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createGroup(groupRequest("rg", 2))
	f.settle()
	modify := func(nodeType, version string, now bool) error {
		_, err := f.ModifyReplicationGroup(f.ctx, &wire.ModifyReplicationGroupMessage{
			ReplicationGroupId: core.Ptr("rg"), CacheNodeType: nonEmpty(nodeType), EngineVersion: nonEmpty(version), ApplyImmediately: &now,
		})
		return err
	}
	if err := modify("cache.t3.small", "", false); err != nil {
		t.Fatal(err)
	}
	wantError(t, modify("", "7.1", true), "InvalidParameterCombination", "A change of CacheNodeType waits for the maintenance window, so that EngineVersion cannot be changed immediately...")
	if err := modify("cache.t3.micro", "7.1", false); err != nil {
		t.Fatal(err)
	}
	wantError(t, modify("cache.t3.small", "", true), "InvalidParameterCombination", "A change of EngineVersion waits for the maintenance window, so that CacheNodeType cannot be changed immediately...")
	if err := modify("cache.t3.small", "7.1", true); err != nil {
		t.Fatal(err)
	}
	if m := f.cluster("rg-002").Spec; m.NodeType != "cache.t3.small" || m.EngineVersion != "7.1.0" {
		t.Errorf("%s %s", m.NodeType, m.EngineVersion)
	}
}

func TestPendingEngineInClusterMode(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	in := groupRequest("rg", 2)
	in.NumCacheClusters, in.NumNodeGroups, in.ReplicasPerNodeGroup = nil, core.Ptr(2), core.Ptr(1)
	in.AutomaticFailoverEnabled, in.CacheParameterGroupName = core.Ptr(true), core.Ptr("default.redis7.cluster.on")
	f.createGroup(in)
	f.settle()
	modify := func(engine, version string) error {
		_, err := f.ModifyReplicationGroup(f.ctx, &wire.ModifyReplicationGroupMessage{
			ReplicationGroupId: core.Ptr("rg"), Engine: &engine, EngineVersion: &version, ApplyImmediately: core.Ptr(true),
		})
		return err
	}
	for _, to := range [][2]string{{"redis", "7.1"}, {"valkey", "8.0"}} {
		if err := modify(to[0], to[1]); err != nil {
			t.Fatal(err)
		}
		f.settle()
	}
	if m := f.cluster("rg-0001-001"); m.Spec.Engine != "valkey" || m.Spec.ParameterGroup != "default.valkey8.cluster.on" {
		t.Errorf("the member is %+v", m.Spec)
	}
}

package elasticache

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// shardedRequest asks for a group in cluster mode; it succeeds.
func shardedRequest(id string, shards, replicas int) *wire.CreateReplicationGroupMessage {
	in := groupRequest(id, 1)
	in.NumCacheClusters, in.NumNodeGroups, in.ReplicasPerNodeGroup = nil, &shards, &replicas
	in.AutomaticFailoverEnabled = core.Ptr(true)
	return in
}

// shardText is each shard of a group as "ID SLOTS ZONES".
func (f *clusterFixture) shardText(id string) string {
	f.t.Helper()
	var out []string
	for _, n := range f.describeGroup(id).NodeGroups {
		text := *n.NodeGroupId + " " + *n.Slots + " "
		for _, m := range n.NodeGroupMembers {
			text += strings.TrimPrefix(*m.PreferredAvailabilityZone, "us-east-1")
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

func TestCreateShardedGroup(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	first := f.createGroup(shardedRequest("rg", 3, 1))
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	check("answer", words(*first.Status, *first.AutomaticFailover, *first.ClusterEnabled, *first.ClusterMode, len(first.NodeGroups), first.ConfigurationEndpoint == nil),
		"creating enabled true enabled 0 true")
	f.settle()
	g := f.describeGroup("rg")
	check("members", strings.Join(g.MemberClusters, " "), "rg-0001-001 rg-0001-002 rg-0002-001 rg-0002-002 rg-0003-001 rg-0003-002")
	check("shards", f.shardText("rg"), "0001 0-5461 ab; 0002 5462-10922 bc; 0003 10923-16383 ca")
	check("states", words(*g.Status, *g.AutomaticFailover, *g.MultiAZ, *g.NodeGroups[0].Status), "available enabled disabled available")
	for _, n := range g.NodeGroups {
		if n.PrimaryEndpoint != nil || n.ReaderEndpoint != nil {
			t.Errorf("shard %s has endpoints of its own", *n.NodeGroupId)
		}
		for _, m := range n.NodeGroupMembers {
			if m.CurrentRole != nil || m.ReadEndpoint != nil {
				t.Errorf("member %s has a role or an endpoint", *m.CacheClusterId)
			}
		}
	}
	stored := f.group("rg")
	if e := stored.Spec.ConfigurationEndpoint; *g.ConfigurationEndpoint.Address != e.Advertised.Address || *g.ConfigurationEndpoint.Port != 6379 ||
		!slices.ContainsFunc(e.Names, func(n string) bool {
			return strings.HasPrefix(n, "rg.") && strings.Contains(n, ".clustercfg.use1.")
		}) || !slices.ContainsFunc(e.Names, func(n string) bool { return strings.HasPrefix(n, "clustercfg.rg.") }) {
		t.Errorf("configuration endpoint %v with names %v", *g.ConfigurationEndpoint, e.Names)
	}
	c := f.describeCluster("rg-0002-002")
	check("member", words(*c.CacheParameterGroup.CacheParameterGroupName, *c.CacheNodes[0].CacheNodeStatus, c.CacheNodes[0].SourceCacheNodeId == nil),
		"default.redis7.cluster.on available true")
}

func TestCreateShardedGroupShapes(t *testing.T) {
	t.Parallel()
	type request = wire.CreateReplicationGroupMessage
	tests := []struct {
		name   string
		change func(in *request)
		want   string
	}{
		{"one shard by its parameter group", func(in *request) {
			in.NumNodeGroups, in.CacheParameterGroupName = nil, core.Ptr("default.redis7.cluster.on")
		}, "0001 0-16383 a"},
		{"one shard by the mode", func(in *request) { in.NumNodeGroups, in.ClusterMode = nil, core.Ptr("enabled") }, "0001 0-16383 a"},
		{"a parameter group of the user", func(in *request) {
			in.NumNodeGroups, in.CacheParameterGroupName = core.Ptr(2), core.Ptr("sharded")
		}, "0001 0-8191 a; 0002 8192-16383 b"},
		{"configured shards", func(in *request) {
			in.ReplicasPerNodeGroup = nil
			in.NodeGroupConfiguration = []*wire.NodeGroupConfiguration{
				{Slots: core.Ptr("0-99,200-16383"), ReplicaCount: core.Ptr(1), PrimaryAvailabilityZone: core.Ptr("us-east-1c"), ReplicaAvailabilityZones: []string{"us-east-1b"}},
				{Slots: core.Ptr("100-199"), ReplicaCount: core.Ptr(0)},
			}
		}, "0001 0-99,200-16383 cb; 0002 100-199 b"},
		{"names of shards", func(in *request) {
			in.NodeGroupConfiguration = []*wire.NodeGroupConfiguration{{NodeGroupId: core.Ptr("7")}, {NodeGroupId: core.Ptr("0012")}}
		}, "0012 8192-16383 b; 7 0-8191 a"},
		{"nodes of one shard", func(in *request) {
			in.NumNodeGroups, in.ReplicasPerNodeGroup, in.NumCacheClusters, in.ClusterMode = nil, nil, core.Ptr(3), core.Ptr("enabled")
		}, "0001 0-16383 abc"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newClusterFixture(t)
			f.update(func(tx *store.Tx) error {
				resource.ParameterGroups.Put(tx, key(testRegion, "sharded"), &resource.ParameterGroup{
					Region: testRegion, Name: "sharded", Family: "redis7", Values: map[string]string{"cluster-enabled": "yes"},
				})
				return nil
			})
			in := shardedRequest("rg", 2, 0)
			tt.change(in)
			if len(in.NodeGroupConfiguration) > 0 && in.NumNodeGroups != nil && *in.NumNodeGroups != len(in.NodeGroupConfiguration) {
				in.NumNodeGroups = nil
			}
			f.createGroup(in)
			f.settle()
			// Shards in the order of the request begin in zones a, b, ...
			if got := f.shardText("rg"); !sameShards(got, tt.want) {
				t.Errorf("shards %s, want %s", got, tt.want)
			}
		})
	}
}

// sameShards compares texts of shards, whatever their order and, where that is
// sorted, their zones.
func sameShards(got, want string) bool {
	normal := func(s string) string {
		parts := strings.Split(s, "; ")
		for i, p := range parts {
			f := strings.Fields(p)
			parts[i] = fmt.Sprint(f[0], f[1], len(f[2]))
		}
		slices.Sort(parts)
		return strings.Join(parts, ";")
	}
	return normal(got) == normal(want)
}

func TestCreateShardedGroupRefusals(t *testing.T) {
	t.Parallel()
	const value, combination = "InvalidParameterValue", "InvalidParameterCombination"
	type request = wire.CreateReplicationGroupMessage
	slots := func(texts ...string) func(in *request) {
		return func(in *request) {
			in.NumNodeGroups = nil
			for _, s := range texts {
				c := &wire.NodeGroupConfiguration{}
				if s != "" {
					c.Slots = &s
				}
				in.NodeGroupConfiguration = append(in.NodeGroupConfiguration, c)
			}
		}
	}
	tests := []struct {
		name       string
		change     func(in *request)
		code, text string
	}{
		{"no failover", func(in *request) { in.AutomaticFailoverEnabled = core.Ptr(false) }, combination,
			"Redis with cluster mode enabled cannot be created with auto failover turned off."},
		{"mode disabled", func(in *request) { in.ClusterMode = core.Ptr("disabled") }, combination, "The parameter ClusterMode is disabled, but..."},
		{"compatible with several shards", func(in *request) { in.ClusterMode = core.Ptr("compatible") }, combination, "Cluster mode can be compatible only with one node group, 0001."},
		{"compatible without a replica", func(in *request) {
			in.NumNodeGroups, in.ReplicasPerNodeGroup, in.ClusterMode = core.Ptr(1), core.Ptr(0), core.Ptr("compatible")
		}, combination, "Cluster mode can be compatible only with automatic failover and at least one replica."},
		{"a parameter group without cluster mode", func(in *request) { in.CacheParameterGroupName = core.Ptr("default.redis7") }, combination,
			"More than one node group, or slots, need cluster mode..."},
		{"mode enabled, parameter group not", func(in *request) {
			in.NumNodeGroups, in.ClusterMode, in.CacheParameterGroupName = core.Ptr(1), core.Ptr("enabled"), core.Ptr("default.redis7")
		}, combination, "The parameter ClusterMode is enabled, but..."},
		{"too many shards", func(in *request) { in.NumNodeGroups = core.Ptr(91) }, "NodeGroupsPerReplicationGroupQuotaExceeded", "..."},
		{"too many nodes", func(in *request) { in.NumNodeGroups = core.Ptr(46) }, "NodeQuotaForClusterExceeded", "..."},
		{"zones of several shards", func(in *request) {
			in.PreferredCacheClusterAZs = []string{"us-east-1a", "us-east-1b"}
		}, combination, "PreferredCacheClusterAZs can only be specified for one node group."},
		{"a slot twice", slots("0-8191", "8191-16383"), value, "The parameter Slots gives 8191 to more than one node group."},
		{"a slot missing", slots("0-8190", "8192-16383"), value, "The parameter Slots must cover all slots..."},
		{"slots of one only", slots("0-8191", ""), combination, "The parameter Slots must be given for all node groups or for none."},
		{"no slots", slots("8-7", "0-16383"), value, "The parameter Slots cannot be 8-7..."},
		{"a name twice", func(in *request) {
			in.NodeGroupConfiguration = []*wire.NodeGroupConfiguration{{NodeGroupId: core.Ptr("1")}, {NodeGroupId: core.Ptr("1")}}
		}, value, "The parameter NodeGroupId 1 is used for two node groups."},
		{"another number of shards", func(in *request) {
			in.NodeGroupConfiguration = []*wire.NodeGroupConfiguration{{}}
		}, combination, "The parameter NodeGroupConfiguration must have an entry..."},
		{"Multi-AZ without replicas", func(in *request) {
			in.ReplicasPerNodeGroup, in.MultiAZEnabled = core.Ptr(0), core.Ptr(true)
		}, combination, "The parameter MultiAZEnabled can be true only if there is a replica..."},
	}
	f := newClusterFixture(t)
	before := f.dump()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := shardedRequest("rg", 2, 1)
			tt.change(in)
			_, err := f.CreateReplicationGroup(f.ctx, in)
			wantError(t, err, tt.code, tt.text)
			if f.dump() != before {
				t.Error("something was stored")
			}
		})
	}
}

// TestQuotaRaised: a deployment may have larger groups than AWS has without asking.
func TestQuotaRaised(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t, func(c *Config) { c.GroupNodes = 100 })
	_, err := f.CreateReplicationGroup(f.ctx, shardedRequest("rg", 101, 0))
	wantError(t, err, "NodeGroupsPerReplicationGroupQuotaExceeded", "...")
	_, err = f.CreateReplicationGroup(f.ctx, shardedRequest("rg", 51, 1))
	wantError(t, err, "NodeQuotaForClusterExceeded", "Cluster node quota exceeded. Each cluster can have at most 100 nodes in this region.")
	in := shardedRequest("rg", 99, 0)
	zone := "us-east-1a" // that of the subnet with room
	for range 99 {
		in.NodeGroupConfiguration = append(in.NodeGroupConfiguration, &wire.NodeGroupConfiguration{PrimaryAvailabilityZone: &zone})
	}
	f.createGroup(in)
	f.settle()
	grow := func(shards int) error {
		_, err := f.ModifyReplicationGroupShardConfiguration(f.ctx, &wire.ModifyReplicationGroupShardConfigurationMessage{
			ReplicationGroupId: in.ReplicationGroupId, NodeGroupCount: &shards, ApplyImmediately: core.Ptr(true),
			ReshardingConfiguration: []*wire.ReshardingConfiguration{{PreferredAvailabilityZones: []string{zone}}},
		})
		return err
	}
	wantError(t, grow(101), "NodeGroupsPerReplicationGroupQuotaExceeded", "...")
	if err := grow(100); err != nil {
		t.Error(err)
	}
}

func TestShardedGroupChanges(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createGroup(shardedRequest("rg", 2, 1))
	f.settle()
	refused := func(what string, err error, code, text string) {
		t.Helper()
		t.Run(what, func(t *testing.T) { wantError(t, err, code, text) })
	}
	_, err := f.ModifyReplicationGroup(f.ctx, &wire.ModifyReplicationGroupMessage{ReplicationGroupId: core.Ptr("rg"), AutomaticFailoverEnabled: core.Ptr(false)})
	refused("failover off", err, "InvalidParameterCombination", "Turning off automatic failover for replication group with cluster mode enabled is not supported.")
	_, err = f.ModifyReplicationGroup(f.ctx, &wire.ModifyReplicationGroupMessage{ReplicationGroupId: core.Ptr("rg"), PrimaryClusterId: core.Ptr("rg-0001-002")})
	refused("promotion", err, "InvalidParameterCombination", "The parameter PrimaryClusterId cannot be used...")
	_, err = f.ModifyReplicationGroup(f.ctx, &wire.ModifyReplicationGroupMessage{ReplicationGroupId: core.Ptr("rg"), CacheParameterGroupName: core.Ptr("default.redis7")})
	refused("mode off", err, "InvalidParameterCombination", "The parameter cluster-enabled has a different value...")
	_, err = f.DeleteReplicationGroup(f.ctx, &wire.DeleteReplicationGroupMessage{ReplicationGroupId: core.Ptr("rg"), RetainPrimaryCluster: core.Ptr(true)})
	refused("a primary kept", err, "InvalidParameterCombination", "The parameter RetainPrimaryCluster cannot be used...")
	_, err = f.DeleteCacheCluster(f.ctx, &wire.DeleteCacheClusterMessage{CacheClusterId: core.Ptr("rg-0001-002")})
	refused("a member deleted", err, "InvalidParameterCombination", "Replication group rg has cluster mode enabled...")
	_, err = f.CreateCacheCluster(f.ctx, &wire.CreateCacheClusterMessage{CacheClusterId: core.Ptr("x"), ReplicationGroupId: core.Ptr("rg")})
	refused("a member created", err, "InvalidParameterCombination", "Replication group rg has cluster mode enabled...")
	_, err = f.RebootCacheCluster(f.ctx, &wire.RebootCacheClusterMessage{CacheClusterId: core.Ptr("rg-0001-002"), CacheNodeIdsToReboot: []string{"0001"}})
	refused("a member rebooted", err, "InvalidCacheClusterState", "Replication group rg has cluster mode enabled...")
	_, err = f.TestFailover(f.ctx, &wire.TestFailoverMessage{ReplicationGroupId: core.Ptr("rg"), NodeGroupId: core.Ptr("0003")})
	refused("failover of no shard", err, "NodeGroupNotFoundFault", "...")
	if _, err := f.TestFailover(f.ctx, &wire.TestFailoverMessage{ReplicationGroupId: core.Ptr("rg"), NodeGroupId: core.Ptr("0002")}); err != nil {
		t.Fatal(err)
	}
	if h := f.group("rg").Spec.Shard("0002").Handover; h == nil || h.From != "rg-0002-001" || !h.Test {
		t.Errorf("a failover of shard 0002 is asked for as %+v", h)
	}
}

func TestReplicaCountsOfShards(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createGroup(shardedRequest("rg", 2, 1))
	f.settle()
	yes := core.Ptr(true)
	members := func(want string) {
		t.Helper()
		f.settle()
		if got := strings.Join(f.describeGroup("rg").MemberClusters, " "); got != want {
			t.Fatalf("members %s, want %s", got, want)
		}
	}
	increase := func(in *wire.IncreaseReplicaCountMessage) error {
		in.ReplicationGroupId, in.ApplyImmediately = core.Ptr("rg"), yes
		_, err := f.IncreaseReplicaCount(f.ctx, in)
		return err
	}
	decrease := func(in *wire.DecreaseReplicaCountMessage) error {
		in.ReplicationGroupId, in.ApplyImmediately = core.Ptr("rg"), yes
		_, err := f.DecreaseReplicaCount(f.ctx, in)
		return err
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(increase(&wire.IncreaseReplicaCountMessage{ReplicaConfiguration: []*wire.ConfigureShard{{NodeGroupId: core.Ptr("0002"), NewReplicaCount: core.Ptr(2)}}}))
	members("rg-0001-001 rg-0001-002 rg-0002-001 rg-0002-002 rg-0002-003")
	must(increase(&wire.IncreaseReplicaCountMessage{NewReplicaCount: core.Ptr(2)}))
	members("rg-0001-001 rg-0001-002 rg-0001-003 rg-0002-001 rg-0002-002 rg-0002-003")
	must(decrease(&wire.DecreaseReplicaCountMessage{ReplicasToRemove: []string{"rg-0001-002", "rg-0002-003"}}))
	members("rg-0001-001 rg-0001-003 rg-0002-001 rg-0002-002")
	must(decrease(&wire.DecreaseReplicaCountMessage{NewReplicaCount: core.Ptr(0)}))
	members("rg-0001-001 rg-0002-001")
	wantError(t, decrease(&wire.DecreaseReplicaCountMessage{NewReplicaCount: core.Ptr(0)}), "NoOperationFault", "...")
	wantError(t, decrease(&wire.DecreaseReplicaCountMessage{ReplicasToRemove: []string{"rg-0001-001"}}), "InvalidParameterValue", "...")
	wantError(t, increase(&wire.IncreaseReplicaCountMessage{ReplicaConfiguration: []*wire.ConfigureShard{
		{NodeGroupId: core.Ptr("0001"), NewReplicaCount: core.Ptr(1)}, {NodeGroupId: core.Ptr("0001"), NewReplicaCount: core.Ptr(2)},
	}}), "InvalidParameterValue", "The parameter ReplicaConfiguration names node group 0001 twice.")
}

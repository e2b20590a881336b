package elasticache

import (
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

func adoption(group, cluster string) *wire.CreateReplicationGroupMessage {
	return &wire.CreateReplicationGroupMessage{
		ReplicationGroupId: &group, ReplicationGroupDescription: core.Ptr("x"), PrimaryClusterId: &cluster,
	}
}

func TestGroupOfCluster(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	in := redisRequest("c")
	in.Tags = []*wire.Tag{{Key: core.Ptr("k"), Value: core.Ptr("v")}}
	f.createCluster(in)
	f.settle()
	before := f.cluster("c")
	f.update(func(tx *store.Tx) error {
		n := &resource.Node{Region: testRegion, ClusterID: "c", ID: "0001"}
		n.Spec.Auth = resource.NodeAuth{NoPassword: true, SecretsFrom: before.UID}
		resource.Nodes.Put(tx, n.Key(), n)
		return nil
	})
	if _, err := f.ModifyCacheCluster(f.ctx, &wire.ModifyCacheClusterMessage{CacheClusterId: core.Ptr("c"), CacheNodeType: core.Ptr("cache.t3.small")}); err != nil {
		t.Fatal(err)
	}
	g := f.createGroup(adoption("rg", "C"))
	if *g.Status != "creating" || len(g.MemberClusters) != 1 || g.MemberClusters[0] != "c" || *g.Engine != "redis" {
		t.Errorf("the answer has %s %v %s", *g.Status, g.MemberClusters, *g.Engine)
	}
	f.settle()
	c, stored := f.cluster("c"), f.group("rg")
	if c.Generation != before.Generation || c.Spec.Nodes[0].Endpoint.Bound != before.Spec.Nodes[0].Endpoint.Bound || stored.UID != before.UID {
		t.Errorf("the cluster was changed: %+v; the group's secrets come from %s", c, stored.UID)
	}
	if stored.Tags["k"] != "v" || *stored.Spec.Pending.NodeType != "cache.t3.small" || !c.Spec.Pending.IsZero() {
		t.Errorf("the group has %v, pending %+v", stored.Tags, stored.Spec.Pending)
	}
	if d := f.describeGroup("rg"); *d.Status != "available" || *d.NodeGroups[0].PrimaryEndpoint.Port != 6379 || *d.NodeGroups[0].NodeGroupMembers[0].CurrentRole != "primary" {
		t.Errorf("the group is %s", *d.Status)
	}
}

func TestGroupOfClusterRefusals(t *testing.T) {
	t.Parallel()
	const combination = "InvalidParameterCombination"
	f := newClusterFixture(t)
	f.createCluster(redisRequest("c"))
	f.createCluster(memcachedRequest("m", 1))
	f.createGroup(groupRequest("rg", 1))
	f.settle()
	f.createCluster(redisRequest("new"))
	before := f.dump()
	for _, tt := range []struct {
		name, cluster, code, text string
		change                    func(*wire.CreateReplicationGroupMessage)
	}{
		{"unknown", "nope", "CacheClusterNotFound", "CacheCluster not found: nope", nil},
		{"memcached", "m", "InvalidParameterValue", "The parameter PrimaryClusterId names a Memcached cluster...", nil},
		{"a member", "rg-001", "InvalidCacheClusterState", "Cache cluster rg-001 is already a member of replication group rg.", nil},
		{"creating", "new", "InvalidCacheClusterState", "Cache cluster new is not in available state.", nil},
		{"id in use", "c", "ReplicationGroupAlreadyExists", "Replication group with specified name rg already exists.", func(in *wire.CreateReplicationGroupMessage) { in.ReplicationGroupId = core.Ptr("rg") }},
		{"more nodes", "c", combination, "The group of the cluster in PrimaryClusterId begins with one node...", func(in *wire.CreateReplicationGroupMessage) { in.NumCacheClusters = core.Ptr(2) }},
		{"failover", "c", combination, "When using automatic failover, there must be at least 2 cache clusters in the replication group.", func(in *wire.CreateReplicationGroupMessage) { in.AutomaticFailoverEnabled = core.Ptr(true) }},
		{"TLS", "c", combination, "The parameter TransitEncryptionEnabled cannot be used together with PrimaryClusterId...", func(in *wire.CreateReplicationGroupMessage) { in.TransitEncryptionEnabled = core.Ptr(true) }},
		{"node type", "c", combination, "The parameter CacheNodeType cannot be used together with PrimaryClusterId...", func(in *wire.CreateReplicationGroupMessage) { in.CacheNodeType = core.Ptr("cache.t3.small") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := adoption("x", tt.cluster)
			if tt.change != nil {
				tt.change(in)
			}
			_, err := f.CreateReplicationGroup(f.ctx, in)
			wantError(t, err, tt.code, tt.text)
			if f.dump() != before {
				t.Error("something was stored")
			}
		})
	}
}

package elasticache

import (
	"fmt"
	"slices"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

func TestDeleteReplicationGroup(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	del := func(id string, retain bool) (*wire.ReplicationGroup, error) {
		out, err := f.DeleteReplicationGroup(f.ctx, &wire.DeleteReplicationGroupMessage{ReplicationGroupId: &id, RetainPrimaryCluster: &retain})
		if err != nil {
			return nil, err
		}
		return out.ReplicationGroup, nil
	}
	f.createGroup(groupRequest("rg", 2))
	_, err := del("rg", false)
	wantError(t, err, "InvalidReplicationGroupState", "Replication group rg is not in a valid state to be deleted.")
	f.settle()
	_, err = f.DeleteReplicationGroup(f.ctx, &wire.DeleteReplicationGroupMessage{ReplicationGroupId: core.Ptr("rg"), FinalSnapshotIdentifier: core.Ptr("s")})
	wantError(t, err, "InvalidParameterCombination", "The parameter FinalSnapshotIdentifier is not served by this version of Larder.")
	_, err = del("nope", false)
	wantError(t, err, "ReplicationGroupNotFoundFault", "ReplicationGroup nope not found.")
	g, err := del("RG", false)
	if err != nil {
		t.Fatal(err)
	}
	if *g.Status != "deleting" || len(g.NodeGroups) != 1 || *f.describeCluster("rg-002").CacheClusterStatus != "deleting" {
		t.Errorf("group %s, member %s", *g.Status, *f.describeCluster("rg-002").CacheClusterStatus)
	}
	_, err = del("rg", false)
	wantError(t, err, "InvalidReplicationGroupState", "Replication group rg is not in a valid state to be deleted.")
	f.settle()

	f.createGroup(groupRequest("keep", 2))
	f.settle()
	if _, err = del("keep", true); err != nil {
		t.Fatal(err)
	}
	if stored := f.group("keep"); !stored.Spec.Deleting || !stored.Spec.RetainPrimary {
		t.Errorf("stored %+v", stored.Spec)
	}
	if p, r := f.cluster("keep-001"), f.cluster("keep-002"); p.Spec.Deleting || !r.Spec.Deleting {
		t.Errorf("primary deleting %t, replica deleting %t", p.Spec.Deleting, r.Spec.Deleting)
	}
}

// A primary that was kept as a cluster of its own keeps the group's token, which
// only its node tells.
func TestRetainedPrimaryShowsItsToken(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createCluster(redisRequest("kept"))
	f.settle()
	if *f.describeCluster("kept").AuthTokenEnabled {
		t.Error("a token is shown where there is none")
	}
	f.update(func(tx *store.Tx) error {
		n := &resource.Node{Region: testRegion, ClusterID: "kept", ID: "0001"}
		n.Spec.Auth.Digests = []core.Sealed{core.Sealed("x")}
		resource.Nodes.Put(tx, n.Key(), n)
		return nil
	})
	if !*f.describeCluster("kept").AuthTokenEnabled {
		t.Error("the token is not shown")
	}
}

// What could never be made can be deleted.
func TestDeleteFailedGroup(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createGroup(groupRequest("rg", 2))
	f.update(func(tx *store.Tx) error {
		g, _ := resource.ReplicationGroups.Get(tx, key(testRegion, "rg"))
		g.Status.Failure = "no room"
		resource.ReplicationGroups.Put(tx, key(testRegion, "rg"), g)
		return nil
	})
	if s := *f.describeGroup("rg").Status; s != "create-failed" {
		t.Errorf("status %s", s)
	}
	if _, err := f.DeleteReplicationGroup(f.ctx, &wire.DeleteReplicationGroupMessage{ReplicationGroupId: core.Ptr("rg")}); err != nil {
		t.Fatal(err)
	}
}

func TestAddReplica(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	join := func(change func(in *wire.CreateCacheClusterMessage)) (*wire.CacheCluster, error) {
		in := &wire.CreateCacheClusterMessage{CacheClusterId: core.Ptr("extra"), ReplicationGroupId: core.Ptr("RG")}
		change(in)
		out, err := f.CreateCacheCluster(f.ctx, in)
		if err != nil {
			return nil, err
		}
		return out.CacheCluster, nil
	}
	plain := func(*wire.CreateCacheClusterMessage) {}
	_, err := join(plain)
	wantError(t, err, "ReplicationGroupNotFoundFault", "ReplicationGroup rg not found.")
	in := groupRequest("rg", 2)
	in.Tags = []*wire.Tag{{Key: core.Ptr("team"), Value: core.Ptr("x")}}
	f.createGroup(in)
	_, err = join(plain)
	wantError(t, err, "InvalidReplicationGroupState", "Replication group must be in available state to modify.")
	f.settle()
	for _, foreign := range []func(in *wire.CreateCacheClusterMessage){
		func(in *wire.CreateCacheClusterMessage) { in.Engine = core.Ptr("redis") },
		func(in *wire.CreateCacheClusterMessage) { in.CacheNodeType = core.Ptr("cache.t3.micro") },
		func(in *wire.CreateCacheClusterMessage) { in.Port = core.Ptr(6379) },
		func(in *wire.CreateCacheClusterMessage) { in.NumCacheNodes = core.Ptr(2) },
		func(in *wire.CreateCacheClusterMessage) { in.SecurityGroupIds = []string{"sg-default"} },
	} {
		_, err = join(foreign)
		wantError(t, err, "InvalidParameterCombination", "Cannot specify additional cache cluster parameters when creating a replica cluster.")
	}
	_, err = join(func(in *wire.CreateCacheClusterMessage) { in.CacheClusterId = core.Ptr("rg-001") })
	wantError(t, err, "CacheClusterAlreadyExists", "Cache cluster rg-001 already exists.")

	_, err = join(func(in *wire.CreateCacheClusterMessage) { in.PreferredAvailabilityZone = core.Ptr("us-east-1q") })
	wantError(t, err, "InvalidParameterValue", "The availability zone us-east-1q is not valid...")
	_, err = join(func(in *wire.CreateCacheClusterMessage) { in.PreferredMaintenanceWindow = core.Ptr("x") })
	wantError(t, err, "InvalidParameterValue", "The parameter PreferredMaintenanceWindow must have...")

	c, err := join(func(in *wire.CreateCacheClusterMessage) { in.NumCacheNodes = core.Ptr(1) })
	if err != nil {
		t.Fatal(err)
	}
	if *c.CacheClusterStatus != "creating" || *c.Engine != "redis" || *c.EngineVersion != "7.0.7" || *c.PreferredAvailabilityZone != "us-east-1c" {
		t.Errorf("new member %s %s %s in %s", *c.CacheClusterStatus, *c.Engine, *c.EngineVersion, *c.PreferredAvailabilityZone)
	}
	if f.cluster("extra").Tags["team"] != "x" {
		t.Error("the group's tags were not copied")
	}
	g := f.describeGroup("rg")
	if *g.Status != "modifying" || !slices.Equal(g.MemberClusters, []string{"rg-001", "rg-002", "extra"}) {
		t.Errorf("group %s with %v", *g.Status, g.MemberClusters)
	}
	for i := range 3 {
		f.settle()
		if _, err := join(func(in *wire.CreateCacheClusterMessage) { in.CacheClusterId = core.Ptr(fmt.Sprintf("extra%d", i)) }); err != nil {
			t.Fatal(err)
		}
	}
	f.settle()
	_, err = join(func(in *wire.CreateCacheClusterMessage) { in.CacheClusterId = core.Ptr("seventh") })
	wantError(t, err, "NodeQuotaForClusterExceeded", "Cluster node quota exceeded. Each cluster can have at most 6 nodes in this region.")
}

func TestDeleteReplica(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	del := func(id string) error {
		_, err := f.DeleteCacheCluster(f.ctx, &wire.DeleteCacheClusterMessage{CacheClusterId: &id})
		return err
	}
	f.createGroup(groupRequest("one", 1))
	in := groupRequest("rg", 3)
	in.AutomaticFailoverEnabled, in.MultiAZEnabled = core.Ptr(true), core.Ptr(true)
	f.createGroup(in)
	wantError(t, del("rg-002"), "InvalidCacheClusterState", "Cache cluster rg-002 cannot be deleted because replication group rg has Multi-AZ enabled....")
	f.settle()
	wantError(t, del("one-001"), "InvalidCacheClusterState", "Cannot delete the cache cluster since it is the only member of a replication group. Delete the replication group instead.")
	wantError(t, del("rg-001"), "InvalidCacheClusterState", "Cache cluster rg-001 is serving as primary for replication group rg and cannot be deleted. "+
		"To delete the entire replication group, use DeleteReplicationGroup.")
	f.modifyGroup(&wire.ModifyReplicationGroupMessage{ReplicationGroupId: core.Ptr("rg"), MultiAZEnabled: core.Ptr(false)})
	if err := del("rg-002"); err != nil {
		t.Fatal(err)
	}
	if g := f.describeGroup("rg"); *g.Status != "modifying" || !slices.Equal(g.MemberClusters, []string{"rg-001", "rg-003"}) {
		t.Errorf("group %s with %v", *g.Status, g.MemberClusters)
	}
	if *f.describeCluster("rg-002").CacheClusterStatus != "deleting" {
		t.Error("the replica is not deleting")
	}
	f.settle()
	wantError(t, del("rg-003"), "InvalidCacheClusterState", "Cannot delete the cache cluster because it is the only read replica for replication group rg which has autofailover enabled or pending....")
	f.modifyGroup(&wire.ModifyReplicationGroupMessage{ReplicationGroupId: core.Ptr("rg"), AutomaticFailoverEnabled: core.Ptr(false)})
	if err := del("rg-003"); err != nil {
		t.Fatal(err)
	}
}

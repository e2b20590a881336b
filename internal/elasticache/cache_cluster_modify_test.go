package elasticache

import (
	"strings"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
)

func (f *clusterFixture) nodes(id string) string {
	var out []string
	for _, n := range f.cluster(id).Spec.Nodes {
		out = append(out, strings.TrimLeft(n.ID, "0")+strings.TrimPrefix(n.Zone, testRegion))
	}
	return strings.Join(out, " ")
}

func TestMemcachedNodeCount(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	in := memcachedRequest("m", 3)
	in.AZMode = core.Ptr("cross-az")
	f.createCluster(in)
	f.createCluster(memcachedRequest("near", 2))
	f.settle()
	steps := []struct {
		name string
		in   *wire.ModifyCacheClusterMessage
		want string
	}{
		{"add two, spread on", &wire.ModifyCacheClusterMessage{CacheClusterId: core.Ptr("m"), NumCacheNodes: core.Ptr(5)}, "1a 2b 3c 4a 5b"},
		{"remove two", &wire.ModifyCacheClusterMessage{CacheClusterId: core.Ptr("m"), NumCacheNodes: core.Ptr(3), CacheNodeIdsToRemove: []string{"0005", "0002"}}, "1a 3c 4a"},
		{"the lowest free id comes again", &wire.ModifyCacheClusterMessage{CacheClusterId: core.Ptr("m"), NumCacheNodes: core.Ptr(4), NewAvailabilityZones: []string{"us-east-1c"}}, "1a 2c 3c 4a"},
		{"a cluster of one zone stays there", &wire.ModifyCacheClusterMessage{CacheClusterId: core.Ptr("near"), NumCacheNodes: core.Ptr(3)}, "1a 2a 3a"},
		{"until it is told otherwise", &wire.ModifyCacheClusterMessage{CacheClusterId: core.Ptr("near"), NumCacheNodes: core.Ptr(5), AZMode: core.Ptr("cross-az")}, "1a 2a 3a 4a 5b"},
	}
	for _, s := range steps {
		s.in.ApplyImmediately = core.Ptr(true)
		out, err := f.ModifyCacheCluster(f.ctx, s.in)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		c := out.CacheCluster
		if *c.CacheClusterStatus != "modifying" || *c.NumCacheNodes != *s.in.NumCacheNodes {
			t.Errorf("%s: %s with %d nodes", s.name, *c.CacheClusterStatus, *c.NumCacheNodes)
		}
		if got := f.nodes(*s.in.CacheClusterId); got != s.want {
			t.Fatalf("%s: nodes %s, want %s", s.name, got, s.want)
		}
		for _, n := range c.CacheNodes {
			if *n.CacheNodeStatus == "creating" && (n.Endpoint != nil || n.CacheNodeCreateTime != nil) {
				t.Errorf("%s: node %s is shown before it is there", s.name, *n.CacheNodeId)
			}
		}
		f.settle()
	}
}

func TestModifyCluster(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.addGroups()
	f.createCluster(redisRequest("c"))
	f.settle()
	modify := func(in *wire.ModifyCacheClusterMessage) *wire.CacheCluster {
		t.Helper()
		in.CacheClusterId = core.Ptr("C")
		out, err := f.ModifyCacheCluster(f.ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		return out.CacheCluster
	}
	c := modify(&wire.ModifyCacheClusterMessage{
		PreferredMaintenanceWindow: core.Ptr("fri:01:00-fri:02:00"), SnapshotWindow: core.Ptr("09:00-10:00"), AutoMinorVersionUpgrade: core.Ptr(false),
		NumCacheNodes: core.Ptr(1), EngineVersion: core.Ptr("7.1"), Engine: core.Ptr("redis"), CacheNodeType: core.Ptr("cache.t3.micro"),
		SecurityGroupIds: []string{}, AZMode: core.Ptr("single-az"), SnapshotRetentionLimit: core.Ptr(0), IpDiscovery: core.Ptr("ipv4"),
	})
	if *c.CacheClusterStatus != "available" || *c.PreferredMaintenanceWindow != "fri:01:00-fri:02:00" || *c.SnapshotWindow != "09:00-10:00" || *c.AutoMinorVersionUpgrade {
		t.Errorf("%s %s %s %t", *c.CacheClusterStatus, *c.PreferredMaintenanceWindow, *c.SnapshotWindow, *c.AutoMinorVersionUpgrade)
	}
	c = modify(&wire.ModifyCacheClusterMessage{CacheParameterGroupName: core.Ptr("mine")})
	if *c.CacheClusterStatus != "modifying" || *c.CacheParameterGroup.CacheParameterGroupName != "mine" || f.cluster("c").Generation != 2 {
		t.Errorf("%s with %s", *c.CacheClusterStatus, *c.CacheParameterGroup.CacheParameterGroupName)
	}
	_, err := f.ModifyCacheCluster(f.ctx, &wire.ModifyCacheClusterMessage{CacheClusterId: core.Ptr("c"), AutoMinorVersionUpgrade: core.Ptr(true)})
	wantError(t, err, "InvalidCacheClusterState", "Cache cluster c is not in available state to be modified.")
}

func TestModifyClusterRefusals(t *testing.T) {
	t.Parallel()
	const value, combination = "InvalidParameterValue", "InvalidParameterCombination"
	type request = wire.ModifyCacheClusterMessage
	now := func(in *request) { in.ApplyImmediately = core.Ptr(true) }
	tests := []struct {
		name, id   string
		change     func(in *request)
		code, text string
	}{
		{"unknown", "nope", func(*request) {}, "CacheClusterNotFound", "CacheCluster not found: nope"},
		{"creating", "new", func(*request) {}, "InvalidCacheClusterState", "Cache cluster new is not in available state to be modified."},
		{"two redis nodes", "c", func(in *request) { in.NumCacheNodes = core.Ptr(2) }, value, "Cannot create a Redis cluster with a NumCacheNodes parameter greater than 1."},
		{"zones for redis", "c", func(in *request) { in.NewAvailabilityZones = []string{"us-east-1a"} }, combination, "The parameter NewAvailabilityZones is supported only for Memcached clusters."},
		{"cross-az for redis", "c", func(in *request) { in.AZMode = core.Ptr("cross-az") }, combination, "The parameter AZMode can be cross-az only..."},
		{"no node", "m", func(in *request) { now(in); in.NumCacheNodes = core.Ptr(0) }, value, "The parameter NumCacheNodes must be at least 1."},
		{"too many nodes", "m", func(in *request) { now(in); in.NumCacheNodes = core.Ptr(41) }, "NodeQuotaForClusterExceeded", "Cluster node quota exceeded. Each cluster can have at most 40 nodes in this region."},
		{"type of memcached", "m", func(in *request) { in.CacheNodeType = core.Ptr("cache.t3.small") }, combination, "The cache node type of a Memcached cluster cannot be changed. Create a cluster of the cache node type that is wanted."},
		{"unknown type", "c", func(in *request) { in.CacheNodeType = core.Ptr("cache.x1.huge") }, value, "The parameter CacheNodeType has the unknown value cache.x1.huge."},
		{"type of another engine", "c", func(in *request) { in.CacheNodeType = core.Ptr("cache.r8g.large") }, combination, "The cache node type cache.r8g.large does not support redis 7.1."},
		{"type with data tiering", "c", func(in *request) { in.CacheNodeType = core.Ptr("cache.r6gd.xlarge") }, combination, "The value cache.r6gd.xlarge of the parameter CacheNodeType is not served by this version of Larder."},
		{"type of a member", "rg-001", func(in *request) { in.CacheNodeType = core.Ptr("cache.t3.small") }, combination, "Cache cluster rg-001 is a member of replication group rg...."},
		{"removal without ids", "m", func(in *request) { now(in); in.NumCacheNodes = core.Ptr(1) }, combination, "The parameter CacheNodeIdsToRemove must name 2 of the nodes, as many as are to be removed."},
		{"removal of a stranger", "m", func(in *request) {
			now(in)
			in.NumCacheNodes, in.CacheNodeIdsToRemove = core.Ptr(2), []string{"0009"}
		}, value, "The parameter CacheNodeIdsToRemove must name existing nodes of cache cluster m, each once."},
		{"removal of one twice", "m", func(in *request) {
			now(in)
			in.NumCacheNodes, in.CacheNodeIdsToRemove = core.Ptr(1), []string{"0001", "0001"}
		}, value, "The parameter CacheNodeIdsToRemove must name existing nodes of cache cluster m, each once."},
		{"removal without a count", "m", func(in *request) { now(in); in.CacheNodeIdsToRemove = []string{"0001"} }, combination, "The parameter CacheNodeIdsToRemove needs a NumCacheNodes below..."},
		{"zones without a count", "m", func(in *request) { now(in); in.NewAvailabilityZones = []string{"us-east-1a"} }, combination, "The parameter NewAvailabilityZones needs a NumCacheNodes above the number of nodes that there are or are to come, 3."},
		{"too few zones", "m", func(in *request) {
			now(in)
			in.NumCacheNodes, in.NewAvailabilityZones = core.Ptr(5), []string{"us-east-1a"}
		}, combination, "Must specify the same number of preferred availability zones as requested number of nodes."},
		{"unknown zone", "m", func(in *request) {
			now(in)
			in.NumCacheNodes, in.NewAvailabilityZones = core.Ptr(4), []string{"us-east-1q"}
		}, value, "The availability zone us-east-1q is not valid..."},
		{"cross-az without a node more", "m", func(in *request) { in.AZMode = core.Ptr("cross-az") }, combination, "The parameter AZMode applies to nodes that are added..."},
		{"single-az over zones", "wide", func(in *request) { in.AZMode = core.Ptr("single-az") }, combination, "The parameter AZMode cannot be single-az..."},
		{"snapshot window of memcached", "m", func(in *request) { in.SnapshotWindow = core.Ptr("05:00-06:00") }, combination, "The parameter SnapshotWindow is not supported for engine memcached."},
		{"older version", "m", func(in *request) { in.EngineVersion = core.Ptr("1.6.6") }, combination, "The engine version of memcached cannot be downgraded from 1.6.22 to 1.6.6."},
		{"version of a member", "rg-001", func(in *request) { in.EngineVersion = core.Ptr("7.1") }, combination, "Cache cluster rg-001 is a member of replication group rg...."},
		{"parameter group of a member", "rg-001", func(in *request) { in.CacheParameterGroupName = core.Ptr("mine") }, combination, "Cache cluster rg-001 is a member of replication group rg...."},
		{"security groups of a member", "rg-001", func(in *request) { in.SecurityGroupIds = []string{"sg-default"} }, combination, "Cache cluster rg-001 is a member of replication group rg...."},
		{"family", "c", func(in *request) { in.CacheParameterGroupName = core.Ptr("memcached") }, combination, "Expected a parameter group of family redis7 but found one of family memcached1.6"},
	}
	f := newClusterFixture(t)
	f.addGroups()
	f.createCluster(redisRequest("c"))
	f.createCluster(memcachedRequest("m", 3))
	wide := memcachedRequest("wide", 2)
	wide.AZMode = core.Ptr("cross-az")
	f.createCluster(wide)
	f.createGroup(groupRequest("rg", 1))
	f.settle()
	f.createCluster(redisRequest("new"))
	before := f.dump()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := &request{CacheClusterId: &tt.id}
			tt.change(in)
			_, err := f.ModifyCacheCluster(f.ctx, in)
			wantError(t, err, tt.code, tt.text)
			if f.dump() != before {
				t.Error("something was stored")
			}
		})
	}
}

func TestRebootCluster(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createCluster(memcachedRequest("m", 2))
	reboot := func(id string, nodes ...string) (*wire.RebootCacheClusterResult, error) {
		return f.RebootCacheCluster(f.ctx, &wire.RebootCacheClusterMessage{CacheClusterId: &id, CacheNodeIdsToReboot: nodes})
	}
	_, err := reboot("m", "0001")
	wantError(t, err, "InvalidCacheClusterState", "Cache cluster m is not in available state to be rebooted.")
	f.settle()
	_, err = reboot("nope", "0001")
	wantError(t, err, "CacheClusterNotFound", "CacheCluster not found: nope")
	_, err = reboot("m")
	wantError(t, err, "InvalidParameterValue", "The parameter CacheNodeIdsToReboot must be provided.")
	_, err = reboot("m", "0001", "0003")
	wantError(t, err, "InvalidParameterValue", "The parameter CacheNodeIdsToReboot names node 0003, which cache cluster m does not have.")
	if len(f.cluster("m").Spec.Reboot) != 0 {
		t.Error("a refused reboot was stored")
	}
	out, err := reboot("M", "0002", "0002")
	if err != nil {
		t.Fatal(err)
	}
	if s := *out.CacheCluster.CacheClusterStatus; s != "rebooting cluster nodes" {
		t.Errorf("status %s", s)
	}
	if r := f.cluster("m").Spec.Reboot; len(r) != 1 || r["0002"] != 1 {
		t.Errorf("reboots %v", r)
	}
}

func TestDeleteCluster(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	del := func(id string) (*wire.DeleteCacheClusterResult, error) {
		return f.DeleteCacheCluster(f.ctx, &wire.DeleteCacheClusterMessage{CacheClusterId: &id})
	}
	f.createCluster(redisRequest("c"))
	_, err := del("c")
	wantError(t, err, "InvalidCacheClusterState", "Cache cluster c is not in a valid state to be deleted")
	f.settle()
	_, err = del("nope")
	wantError(t, err, "CacheClusterNotFound", "CacheCluster not found: nope")
	_, err = f.DeleteCacheCluster(f.ctx, &wire.DeleteCacheClusterMessage{CacheClusterId: core.Ptr("c"), FinalSnapshotIdentifier: core.Ptr("s")})
	wantError(t, err, "InvalidParameterCombination", "The parameter FinalSnapshotIdentifier is not served by this version of Larder.")
	out, err := del("C")
	if err != nil {
		t.Fatal(err)
	}
	if *out.CacheCluster.CacheClusterStatus != "deleting" || out.CacheCluster.CacheNodes != nil || *f.describeCluster("c").CacheClusterStatus != "deleting" {
		t.Errorf("status %s", *out.CacheCluster.CacheClusterStatus)
	}
	_, err = del("c")
	wantError(t, err, "InvalidCacheClusterState", "Cache cluster c is not in a valid state to be deleted")
	_, err = f.CreateCacheCluster(f.ctx, redisRequest("c"))
	wantError(t, err, "CacheClusterAlreadyExists", "Cache cluster c already exists.")
	f.settle()
	_, err = f.DescribeCacheClusters(f.ctx, &wire.DescribeCacheClustersMessage{CacheClusterId: core.Ptr("c")})
	wantError(t, err, "CacheClusterNotFound", "CacheCluster not found: c")
}

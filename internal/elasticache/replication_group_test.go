package elasticache

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

func TestCreateReplicationGroup(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	in := secureGroupRequest("My-Group", 3, tokenA)
	in.AutomaticFailoverEnabled, in.MultiAZEnabled = core.Ptr(true), core.Ptr(true)
	in.PreferredMaintenanceWindow, in.SnapshotWindow = core.Ptr("mon:03:00-mon:04:00"), core.Ptr("05:00-06:00")
	in.Tags = []*wire.Tag{{Key: core.Ptr("team"), Value: core.Ptr("x")}}
	g := f.createGroup(in)
	check := func(what string, got, want any) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	check("id", *g.ReplicationGroupId, "my-group")
	check("ARN", *g.ARN, "arn:aws:elasticache:us-east-1:000000000000:replicationgroup:my-group")
	check("status", *g.Status, "creating")
	check("description", *g.Description, "a group")
	check("members", g.MemberClusters, []string{"my-group-001", "my-group-002", "my-group-003"})
	check("failover", *g.AutomaticFailover, "enabling")
	check("Multi-AZ", *g.MultiAZ, "enabled")
	check("node groups", len(g.NodeGroups), 0)
	check("node type", *g.CacheNodeType, "cache.t3.micro")
	check("TLS", words(*g.TransitEncryptionEnabled, *g.TransitEncryptionMode), "true required")
	check("token", *g.AuthTokenEnabled, true)
	check("at rest", *g.AtRestEncryptionEnabled, false)
	check("cluster mode", words(*g.ClusterEnabled, *g.ClusterMode), "false disabled")
	check("snapshots", words(*g.SnapshotRetentionLimit, *g.SnapshotWindow), "0 05:00-06:00")
	check("engine", *g.Engine, "redis")
	check("rest", words(*g.DataTiering, *g.NetworkType, *g.IpDiscovery, *g.AutoMinorVersionUpgrade), "disabled ipv4 ipv4 true")
	if g.UserGroupIds == nil || g.LogDeliveryConfigurations == nil || g.PendingModifiedValues.AuthTokenStatus != nil || g.KmsKeyId != nil {
		t.Error("lists are absent, a change is pending or there is a key")
	}

	f.settle()
	g = f.describeGroup("MY-GROUP")
	check("status", *g.Status, "available")
	check("failover", *g.AutomaticFailover, "enabled")
	shard := g.NodeGroups[0]
	check("shard", words(*shard.NodeGroupId, *shard.Status, shard.Slots == nil), "0001 available true")
	check("ports", words(*shard.PrimaryEndpoint.Port, *shard.ReaderEndpoint.Port), "6379 6379")
	var members []string
	for _, m := range shard.NodeGroupMembers {
		members = append(members, words(*m.CacheClusterId, *m.CacheNodeId, *m.CurrentRole, *m.PreferredAvailabilityZone, *m.ReadEndpoint.Port))
	}
	check("members", strings.Join(members, "; "),
		"my-group-001 0001 primary us-east-1a 6379; my-group-002 0001 replica us-east-1b 6379; my-group-003 0001 replica us-east-1c 6379")

	c := f.describeCluster("my-group-002")
	check("member's group", *c.ReplicationGroupId, "my-group")
	check("member's version", *c.EngineVersion, "7.0.7")
	check("member's TLS and token", words(*c.TransitEncryptionEnabled, *c.TransitEncryptionMode, *c.AuthTokenEnabled), "true required true")
	check("member's source", *c.CacheNodes[0].SourceCacheNodeId, "my-group-001")
	check("member's windows", *c.PreferredMaintenanceWindow+" "+*c.SnapshotWindow, "mon:03:00-mon:04:00 05:00-06:00")
	check("member's tags", f.cluster("my-group-003").Tags, map[string]string{"team": "x"})

	stored := f.group("my-group")
	check("credentials", len(stored.Spec.Auth.Credentials), 1)
	if strings.Contains(string(stored.Spec.Auth.Credentials[0].Digest), core.NewSecret(tokenA).SHA256()) || strings.Contains(f.dump(), tokenA) {
		t.Error("the token or its digest is stored in clear")
	}
	digest, err := f.Service.seal.Unseal(stored.Spec.Auth.Credentials[0].Digest)
	if err != nil || digest.Reveal() != core.NewSecret(tokenA).SHA256() {
		t.Errorf("the sealed digest is not the token's (error %v)", err)
	}
	uids := map[string]bool{stored.UID: true}
	for _, id := range stored.Spec.Members {
		uids[f.cluster(id).UID] = true
	}
	check("distinct uids", len(uids), 4)
	for _, name := range []string{"master.my-group.", "my-group.", ".ng.0001.use1.cache.larder.internal"} {
		if !slices.ContainsFunc(stored.Spec.PrimaryEndpoint.Names, func(n string) bool { return strings.Contains(n, name) }) {
			t.Errorf("no primary name with %s: %v", name, stored.Spec.PrimaryEndpoint.Names)
		}
	}
}

func TestCreateGroupShapes(t *testing.T) {
	t.Parallel()
	type request = wire.CreateReplicationGroupMessage
	tests := []struct {
		name   string
		change func(in *request)
		zones  string
	}{
		{"one node by default", func(in *request) { in.NumCacheClusters = nil }, "a"},
		{"six nodes", func(in *request) { in.NumCacheClusters = core.Ptr(6) }, "abcabc"},
		{"replicas per node group", func(in *request) {
			in.NumCacheClusters, in.NumNodeGroups, in.ReplicasPerNodeGroup = nil, core.Ptr(1), core.Ptr(1)
		}, "ab"},
		{"preferred zones", func(in *request) {
			in.NumCacheClusters, in.PreferredCacheClusterAZs = core.Ptr(2), []string{"us-east-1c", "us-east-1a"}
		}, "ca"},
		{"configured shard", func(in *request) {
			in.NumCacheClusters = nil
			in.NodeGroupConfiguration = []*wire.NodeGroupConfiguration{{
				ReplicaCount: core.Ptr(2), PrimaryAvailabilityZone: core.Ptr("us-east-1b"), ReplicaAvailabilityZones: []string{"us-east-1a", "us-east-1a"},
			}}
		}, "baa"},
		{"configured shard by the other count", func(in *request) {
			in.NumCacheClusters, in.ReplicasPerNodeGroup = nil, core.Ptr(1)
			in.NodeGroupConfiguration = []*wire.NodeGroupConfiguration{{NodeGroupId: core.Ptr("0001")}}
		}, "ab"},
		{"empty configured shard", func(in *request) {
			in.NumCacheClusters, in.NodeGroupConfiguration = nil, []*wire.NodeGroupConfiguration{nil}
		}, "a"},
		{"subnet group of one zone", func(in *request) {
			in.NumCacheClusters, in.CacheSubnetGroupName = core.Ptr(2), core.Ptr("one-zone")
		}, "bb"},
		{"valkey", func(in *request) { in.Engine, in.EngineVersion = core.Ptr("valkey"), core.Ptr("8.0") }, "a"},
		{"all that is off", func(in *request) {
			in.AtRestEncryptionEnabled, in.TransitEncryptionEnabled, in.DataTieringEnabled = core.Ptr(false), core.Ptr(false), core.Ptr(false)
			in.SnapshotRetentionLimit, in.ClusterMode, in.NetworkType, in.IpDiscovery = core.Ptr(0), core.Ptr("disabled"), core.Ptr("ipv4"), core.Ptr("ipv4")
		}, "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newClusterFixture(t)
			f.addGroups()
			in := groupRequest("rg", 1)
			tt.change(in)
			f.createGroup(in)
			f.settle()
			got := ""
			for _, m := range f.describeGroup("rg").NodeGroups[0].NodeGroupMembers {
				got += strings.TrimPrefix(*m.PreferredAvailabilityZone, "us-east-1")
			}
			if got != tt.zones {
				t.Errorf("zones %s, want %s", got, tt.zones)
			}
		})
	}
}

func TestCreateGroupRefusals(t *testing.T) {
	t.Parallel()
	const value, combination = "InvalidParameterValue", "InvalidParameterCombination"
	type request = wire.CreateReplicationGroupMessage
	tests := []struct {
		name       string
		change     func(in *request)
		code, text string
	}{
		{"no id", func(in *request) { in.ReplicationGroupId = nil }, value, "The parameter ReplicationGroupId must be provided."},
		{"id of 41", func(in *request) { in.ReplicationGroupId = core.Ptr(strings.Repeat("a", 41)) }, value, "Replication Group ID cannot be longer than 40 characters."},
		{"id with a dot", func(in *request) { in.ReplicationGroupId = core.Ptr("a.b") }, value, "The parameter ReplicationGroupId is not a valid identifier...."},
		{"id that exists", func(in *request) { in.ReplicationGroupId = core.Ptr("exists") }, "ReplicationGroupAlreadyExists", "Replication group with specified name exists already exists."},
		{"member that exists", func(in *request) { in.ReplicationGroupId = core.Ptr("half") }, "CacheClusterAlreadyExists", "Cache cluster half-002 already exists."},
		{"no description", func(in *request) { in.ReplicationGroupDescription = nil }, value, "The parameter ReplicationGroupDescription must be provided."},
		{"long description", func(in *request) { in.ReplicationGroupDescription = core.Ptr(strings.Repeat("x", 256)) }, value, "The parameter ReplicationGroupDescription must not be longer than 255 characters."},
		{"memcached", func(in *request) { in.Engine = core.Ptr("memcached") }, value, "The parameter Engine cannot be memcached..."},
		{"unknown engine", func(in *request) { in.Engine = core.Ptr("etcd") }, value, "The parameter Engine has the unknown value etcd."},
		{"no node type", func(in *request) { in.CacheNodeType = nil }, value, "The parameter CacheNodeType must be provided."},
		{"no node", func(in *request) { in.NumCacheClusters = core.Ptr(0) }, value, "The parameter NumCacheClusters must be between 1 and 6."},
		{"seven nodes", func(in *request) { in.NumCacheClusters = core.Ptr(7) }, value, "The parameter NumCacheClusters must be between 1 and 6."},
		{"six replicas", func(in *request) { in.NumCacheClusters, in.ReplicasPerNodeGroup = nil, core.Ptr(6) }, value, "The parameter ReplicasPerNodeGroup must be between 0 and 5."},
		{"nodes and replicas", func(in *request) { in.ReplicasPerNodeGroup = core.Ptr(1) }, combination, "The parameters NumCacheClusters and ReplicasPerNodeGroup cannot be used together."},
		{"no shard", func(in *request) { in.NumNodeGroups = core.Ptr(0) }, value, "The parameter NumNodeGroups must be at least 1."},
		{"failover of one node", func(in *request) { in.NumCacheClusters, in.AutomaticFailoverEnabled = core.Ptr(1), core.Ptr(true) }, combination,
			"When using automatic failover, there must be at least 2 cache clusters in the replication group."},
		{"Multi-AZ without failover", func(in *request) { in.MultiAZEnabled = core.Ptr(true) }, combination, "The parameter MultiAZEnabled can be true only if AutomaticFailoverEnabled is."},
		{"Multi-AZ in one zone", func(in *request) {
			in.MultiAZEnabled, in.AutomaticFailoverEnabled = core.Ptr(true), core.Ptr(true)
			in.PreferredCacheClusterAZs = []string{"us-east-1a", "us-east-1a"}
		}, combination, "The parameter MultiAZEnabled can be true only if there is a replica..."},
		{"number of zones", func(in *request) { in.PreferredCacheClusterAZs = []string{"us-east-1a"} }, value,
			"When specifying preferred availability zones, the number of cache clusters must be specified and must match the number of preferred availability zones."},
		{"unknown zone", func(in *request) { in.PreferredCacheClusterAZs = []string{"us-east-1a", "eu-west-1a"} }, value,
			"The availability zone eu-west-1a is not valid: the subnet group has subnets in us-east-1a, us-east-1b, us-east-1c."},
		{"cluster mode group", func(in *request) { in.CacheParameterGroupName = core.Ptr("default.redis7.cluster.on") }, combination,
			"Redis with cluster mode enabled cannot be created with auto failover turned off."},
		{"group of another family", func(in *request) { in.CacheParameterGroupName = core.Ptr("memcached") }, combination,
			"Expected a parameter group of family redis7 but found one of family memcached1.6"},
		{"token without TLS", func(in *request) { in.AuthToken = core.Ptr(core.NewSecret(tokenA)) }, combination, "The parameter AuthToken needs TransitEncryptionEnabled to be true."},
		{"token with TLS off", func(in *request) {
			in.AuthToken, in.TransitEncryptionEnabled = core.Ptr(core.NewSecret(tokenA)), core.Ptr(false)
		}, combination, "The parameter AuthToken needs TransitEncryptionEnabled to be true."},
		{"token with preferred", func(in *request) {
			in.AuthToken, in.TransitEncryptionEnabled, in.TransitEncryptionMode = core.Ptr(core.NewSecret(tokenA)), core.Ptr(true), core.Ptr("preferred")
		}, combination, "Transit encryption preferred is not supported with redis access control."},
		{"short token", func(in *request) {
			in.AuthToken, in.TransitEncryptionEnabled = core.Ptr(core.NewSecret("short")), core.Ptr(true)
		}, value, "Invalid AuthToken provided."},
		{"empty token", func(in *request) {
			in.AuthToken, in.TransitEncryptionEnabled = core.Ptr(core.NewSecret("")), core.Ptr(true)
		}, value, "Invalid AuthToken provided."},
		{"mode without TLS", func(in *request) { in.TransitEncryptionMode = core.Ptr("required") }, combination,
			"To modify transit encryption mode, set encryption-in-transit as enabled."},
		{"preferred for old redis", func(in *request) {
			in.EngineVersion, in.TransitEncryptionEnabled, in.TransitEncryptionMode = core.Ptr("6.2"), core.Ptr(true), core.Ptr("preferred")
		}, combination, "The transit encryption of redis 6.2.6 cannot be changed..."},
		{"slots", func(in *request) {
			in.NumCacheClusters = nil
			in.NodeGroupConfiguration = []*wire.NodeGroupConfiguration{{Slots: core.Ptr("0-16383")}}
		}, combination, "Redis with cluster mode enabled cannot be created with auto failover turned off."},
		{"replica zones of a shard", func(in *request) {
			in.NumCacheClusters = nil
			in.NodeGroupConfiguration = []*wire.NodeGroupConfiguration{{ReplicaCount: core.Ptr(2), ReplicaAvailabilityZones: []string{"us-east-1a"}}}
		}, value, "The parameter ReplicaAvailabilityZones must name..."},
		{"replicas of a shard", func(in *request) {
			in.NumCacheClusters = nil
			in.NodeGroupConfiguration = []*wire.NodeGroupConfiguration{{ReplicaCount: core.Ptr(6)}}
		}, value, "The parameter ReplicaCount must be between 0 and 5."},
		{"replicas of a shard, twice", func(in *request) {
			in.NumCacheClusters, in.ReplicasPerNodeGroup = nil, core.Ptr(1)
			in.NodeGroupConfiguration = []*wire.NodeGroupConfiguration{{ReplicaCount: core.Ptr(2)}}
		}, combination, "The parameters ReplicasPerNodeGroup and ReplicaCount contradict each other."},
		{"only the primary's zone", func(in *request) {
			in.NumCacheClusters = nil
			in.NodeGroupConfiguration = []*wire.NodeGroupConfiguration{{ReplicaCount: core.Ptr(1), PrimaryAvailabilityZone: core.Ptr("us-east-1a")}}
		}, combination, "The parameters PrimaryAvailabilityZone and ReplicaAvailabilityZones must be given together."},
		{"shard and count", func(in *request) {
			in.NodeGroupConfiguration = []*wire.NodeGroupConfiguration{{ReplicaCount: core.Ptr(1)}}
		}, combination, "The parameter NodeGroupConfiguration cannot be used together..."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newClusterFixture(t)
			f.addGroups()
			f.createGroup(groupRequest("exists", 1))
			f.createCluster(redisRequest("half-002"))
			before := f.dump()
			in := groupRequest("rg", 2)
			tt.change(in)
			_, err := f.CreateReplicationGroup(f.ctx, in)
			wantError(t, err, tt.code, tt.text)
			if f.dump() != before {
				t.Error("something was stored")
			}
		})
	}
}

func TestDescribeReplicationGroups(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	for _, id := range []string{"b", "a", "c"} {
		f.createGroup(groupRequest(id, 1))
	}
	out, err := f.DescribeReplicationGroups(f.ctx, &wire.DescribeReplicationGroupsMessage{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, g := range out.ReplicationGroups {
		ids = append(ids, *g.ReplicationGroupId)
	}
	if !slices.Equal(ids, []string{"a", "b", "c"}) || out.Marker != nil {
		t.Errorf("groups %v", ids)
	}
	_, err = f.DescribeReplicationGroups(f.ctx, &wire.DescribeReplicationGroupsMessage{ReplicationGroupId: core.Ptr("nope")})
	wantError(t, err, "ReplicationGroupNotFoundFault", "ReplicationGroup nope not found.")
}

// A failover moves the role and the source, and nothing else.
func TestRolesFollowThePrimary(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createGroup(groupRequest("rg", 2))
	f.settle()
	f.update(func(tx *store.Tx) error {
		g, _ := resource.ReplicationGroups.Get(tx, key(testRegion, "rg"))
		g.Status.Primary = "rg-002"
		resource.ReplicationGroups.Put(tx, key(testRegion, "rg"), g)
		return nil
	})
	m := f.describeGroup("rg").NodeGroups[0].NodeGroupMembers
	if *m[0].CurrentRole != "replica" || *m[1].CurrentRole != "primary" {
		t.Errorf("roles %s, %s", *m[0].CurrentRole, *m[1].CurrentRole)
	}
	if got := core.Val(f.describeCluster("rg-001").CacheNodes[0].SourceCacheNodeId); got != "rg-002" {
		t.Errorf("source %q", got)
	}
	if f.describeCluster("rg-002").CacheNodes[0].SourceCacheNodeId != nil {
		t.Error("the primary has a source")
	}
}

// Default windows keep out of the way of a window that was chosen.
func TestWindowsOfNewGroups(t *testing.T) {
	t.Parallel()
	for i := range 50 {
		uid := fmt.Sprint(i)
		for _, snapshot := range []string{"03:00-06:00", "05:30-10:00"} {
			m, s, err := newWindows(testRegion, uid, nil, &snapshot)
			if err != nil || s != snapshot || checkWindows(m, s) != nil {
				t.Fatalf("windows %s and %s, error %v", m, s, err)
			}
		}
		maintenance := "tue:03:00-tue:10:00"
		m, s, err := newWindows(testRegion, uid, &maintenance, nil)
		if err != nil || m != maintenance || checkWindows(m, s) != nil {
			t.Fatalf("windows %s and %s, error %v", m, s, err)
		}
	}
	// A day of maintenance leaves no room: the default must not become an error.
	whole := "tue:03:00-wed:03:00"
	if _, _, err := newWindows(testRegion, "uid", &whole, nil); err != nil {
		t.Error(err)
	}
}

func TestAuthTokenLastModified(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createGroup(secureGroupRequest("rg", 1, ""))
	f.settle()
	if f.describeGroup("rg").AuthTokenLastModifiedDate != nil {
		t.Error("a group that never had a token shows when it was changed")
	}
	before := time.Now()
	g := f.modifyGroup(tokenRequest("rg", tokenA, "SET"))
	if d := g.AuthTokenLastModifiedDate; d == nil || d.Before(before) {
		t.Errorf("changed at %v", d)
	}
}

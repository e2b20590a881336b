package elasticache

import (
	"strings"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
)

// shownPlatform is where an answer says that a cluster is.
func shownPlatform(c *wire.CacheCluster) string {
	var caches []string
	for _, g := range c.CacheSecurityGroups {
		caches = append(caches, *g.CacheSecurityGroupName+"="+*g.Status)
	}
	return words("subnets", core.Val(c.CacheSubnetGroupName), "groups", shownSecurityGroups(c), "caches", strings.Join(caches, " "))
}

func TestPlatformOfACluster(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name             string
		caches, groups   []string
		subnets          string
		want, code, says string
	}{
		{name: "nothing named", want: "subnets  groups  caches default=active"},
		{name: "empty lists", caches: []string{""}, groups: []string{""}, want: "subnets  groups  caches default=active"},
		{name: "cache groups", caches: []string{"B", "a", "b"}, want: "subnets  groups  caches b=active a=active"},
		{name: "a subnet group", subnets: "mine", want: "subnets mine groups sg-default caches"},
		{name: "unknown cache group", caches: []string{"a", "none"}, code: "CacheSecurityGroupNotFound", says: "CacheSecurityGroup not found: none"},
		{name: "cache and subnet group", caches: []string{"a"}, subnets: "mine", code: "InvalidParameterCombination", says: notAlong},
		{name: "cache and security group", caches: []string{"a"}, groups: []string{"sg-default"}, code: "InvalidParameterCombination", says: notAlong},
		{
			name: "a security group and no VPC", groups: []string{"sg-default"},
			code: "InvalidParameterCombination", says: "The parameter SecurityGroupIds can be used only with clusters in a VPC.",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newClassicFixture(t)
			f.createCacheGroup("a")
			f.createCacheGroup("b")
			if _, err := f.createSubnets("mine", "subnet-a"); err != nil {
				t.Fatal(err)
			}
			cluster, group := memcachedRequest("c", 2), groupRequest("rg", 2)
			cluster.CacheSecurityGroupNames, cluster.SecurityGroupIds, cluster.CacheSubnetGroupName = c.caches, c.groups, &c.subnets
			group.CacheSecurityGroupNames, group.SecurityGroupIds, group.CacheSubnetGroupName = c.caches, c.groups, &c.subnets
			_, err := f.CreateCacheCluster(f.ctx, cluster)
			_, errOfGroup := f.CreateReplicationGroup(f.ctx, group)
			if c.code != "" {
				wantError(t, err, c.code, c.says)
				wantError(t, errOfGroup, c.code, c.says)
				return
			}
			if err != nil || errOfGroup != nil {
				t.Fatal(err, errOfGroup)
			}
			for _, id := range []string{"c", "rg-001", "rg-002"} {
				if got := shownPlatform(f.describeCluster(id)); got != c.want {
					t.Errorf("%s: %q, want %q", id, got, c.want)
				}
			}
		})
	}
}

// Nodes in EC2-Classic have addresses of its network, in all of its zones, and
// those that come later too.
func TestPlacementInClassic(t *testing.T) {
	t.Parallel()
	f := newClassicFixture(t)
	f.createGroup(groupRequest("rg", 2))
	f.createCluster(memcachedRequest("m", 1))
	f.settle()
	_, err := f.IncreaseReplicaCount(f.ctx, &wire.IncreaseReplicaCountMessage{ReplicationGroupId: core.Ptr("rg"), NewReplicaCount: core.Ptr(2), ApplyImmediately: core.Ptr(true)})
	if err != nil {
		t.Fatal(err)
	}
	f.settle()
	if _, err = f.CreateCacheCluster(f.ctx, &wire.CreateCacheClusterMessage{CacheClusterId: core.Ptr("joined"), ReplicationGroupId: core.Ptr("rg")}); err != nil {
		t.Fatal(err)
	}
	_, err = f.ModifyCacheCluster(f.ctx, &wire.ModifyCacheClusterMessage{
		CacheClusterId: core.Ptr("m"), NumCacheNodes: core.Ptr(2), ApplyImmediately: core.Ptr(true), AZMode: core.Ptr(azCross),
	})
	if err != nil {
		t.Fatal(err)
	}
	zones := map[string]bool{}
	for _, id := range []string{"rg-001", "rg-002", "rg-003", "joined", "m"} {
		c := f.cluster(id)
		for _, n := range c.Spec.Nodes {
			zones[n.Zone] = true
			if !strings.HasPrefix(n.Endpoint.VPC.Address, "10.20.") || !strings.HasPrefix(n.Endpoint.Bound.Address, "127.20.") {
				t.Errorf("%s is placed at %+v", id, n.Endpoint)
			}
		}
		if !c.Spec.Classic() {
			t.Errorf("%s is not in EC2-Classic", id)
		}
	}
	if len(zones) != 2 {
		t.Errorf("zones %v", zones)
	}
}

func TestModifyCacheSecurityGroupNames(t *testing.T) {
	t.Parallel()
	f := newClassicFixture(t)
	f.createCacheGroup("a")
	f.createCluster(redisRequest("c"))
	f.createGroup(groupRequest("rg", 2))
	if _, err := f.createSubnets("mine", "subnet-a"); err != nil {
		t.Fatal(err)
	}
	in := redisRequest("v")
	in.CacheSubnetGroupName = core.Ptr("mine")
	f.createCluster(in)
	f.settle()
	before := f.dump()
	cluster := func(id string, caches, groups []string) error {
		_, err := f.ModifyCacheCluster(f.ctx, &wire.ModifyCacheClusterMessage{CacheClusterId: &id, CacheSecurityGroupNames: caches, SecurityGroupIds: groups})
		return err
	}
	group := func(caches, groups []string, edit func(*wire.ModifyReplicationGroupMessage)) error {
		in := &wire.ModifyReplicationGroupMessage{ReplicationGroupId: core.Ptr("rg"), CacheSecurityGroupNames: caches, SecurityGroupIds: groups}
		if edit != nil {
			edit(in)
		}
		_, err := f.ModifyReplicationGroup(f.ctx, in)
		return err
	}
	const combination, value = "InvalidParameterCombination", "InvalidParameterValue"
	for _, c := range []struct {
		name       string
		err        error
		code, says string
	}{
		{"cache groups of a VPC cluster", cluster("v", []string{"a"}, nil), combination, "The parameter CacheSecurityGroupNames can be used only with clusters outside of a VPC."},
		{"security groups of a Classic one", cluster("c", nil, []string{"sg-default"}), combination, "The parameter SecurityGroupIds can be used only with clusters in a VPC."},
		{"security groups of a Classic group", group(nil, []string{"sg-default"}, nil), combination, "The parameter SecurityGroupIds can be used only with clusters in a VPC."},
		{"the default group", cluster("c", []string{"a", "Default"}, nil), value, "The cache security group default cannot be assigned."},
		{"the default group of a group", group([]string{"default"}, nil, nil), value, "The cache security group default cannot be assigned."},
		{"unknown", cluster("c", []string{"none"}, nil), "CacheSecurityGroupNotFound", "CacheSecurityGroup not found: none"},
		{"none", cluster("c", []string{""}, nil), value, "The parameter CacheSecurityGroupNames must be provided."},
		{"a member", cluster("rg-001", []string{"a"}, nil), combination, "Cache cluster rg-001 is a member of replication group rg. ..."},
		{"encryption", group(nil, nil, func(in *wire.ModifyReplicationGroupMessage) {
			in.TransitEncryptionEnabled, in.TransitEncryptionMode, in.ApplyImmediately = core.Ptr(true), core.Ptr("preferred"), core.Ptr(true)
		}), combination, "Encryption in transit is supported only for clusters in a VPC: a CacheSubnetGroupName must be given at creation."},
	} {
		t.Run(c.name, func(t *testing.T) { wantError(t, c.err, c.code, c.says) })
	}
	if f.dump() != before {
		t.Fatal("a refused request stored something")
	}
	if err := cluster("c", []string{"A"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := group([]string{"a"}, nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"c", "rg-001", "rg-002"} {
		c := f.describeCluster(id)
		if got := shownPlatform(c); got != "subnets  groups  caches a=active" || *c.CacheClusterStatus != "modifying" {
			t.Errorf("%s: %s, %s", id, got, *c.CacheClusterStatus)
		}
	}
}

func TestEncryptionNeedsAVPC(t *testing.T) {
	t.Parallel()
	f := newClassicFixture(t)
	const says = "Encryption in transit is supported only for clusters in a VPC: a CacheSubnetGroupName must be given at creation."
	_, err := f.CreateReplicationGroup(f.ctx, secureGroupRequest("rg", 2, ""))
	wantError(t, err, "InvalidParameterCombination", says)
	_, err = f.CreateReplicationGroup(f.ctx, secureGroupRequest("rg", 2, tokenA))
	wantError(t, err, "InvalidParameterCombination", says)
	in := memcachedRequest("m", 1)
	in.TransitEncryptionEnabled = core.Ptr(true)
	_, err = f.CreateCacheCluster(f.ctx, in)
	wantError(t, err, "InvalidParameterCombination", says)
}

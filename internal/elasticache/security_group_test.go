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

// addSecurityGroups stores groups of a VPC.
func (f *clusterFixture) addSecurityGroups(vpc string, ids ...string) {
	f.update(func(tx *store.Tx) error {
		for _, id := range ids {
			resource.SecurityGroups.Put(tx, key(testRegion, id), &resource.SecurityGroup{Region: testRegion, ID: id, VPCID: vpc, Name: id})
		}
		return nil
	})
}

func TestSecurityGroupsOfACluster(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name             string
		asked            []string
		want, code, says string
	}{
		{name: "none", want: "sg-default"},
		{name: "an empty list", asked: []string{""}, want: "sg-default"},
		{name: "one", asked: []string{"sg-a"}, want: "sg-a"},
		{name: "two, one of them twice", asked: []string{"sg-b", "sg-a", "sg-b"}, want: "sg-b sg-a"},
		{name: "five", asked: []string{"sg-a", "sg-b", "sg-c", "sg-d", "sg-e"}, want: "sg-a sg-b sg-c sg-d sg-e"},
		{
			name: "six", asked: []string{"sg-a", "sg-b", "sg-c", "sg-d", "sg-e", "sg-default"},
			code: "InvalidParameterValue", says: "The parameter SecurityGroupIds may name at most 5 security groups.",
		},
		{
			name: "unknown", asked: []string{"sg-a", "sg-none"},
			code: "InvalidParameterValue", says: "The security group sg-none in the parameter SecurityGroupIds does not exist.",
		},
		{
			name: "of another network", asked: []string{"sg-x"},
			code: "InvalidParameterCombination", says: "Subnet group [default] belongs to a different VPC [vpc-1] than [vpc-2]",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newClusterFixture(t)
			f.addVPC()
			f.addSecurityGroups("vpc-1", "sg-a", "sg-b", "sg-c", "sg-d", "sg-e")
			f.addSecurityGroups("vpc-2", "sg-x")
			in := groupRequest("rg", 2)
			in.SecurityGroupIds = c.asked
			_, err := f.CreateReplicationGroup(f.ctx, in)
			if c.code != "" {
				wantError(t, err, c.code, c.says)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{"rg-001", "rg-002"} {
				if got := shownSecurityGroups(f.describeCluster(id)); got != c.want {
					t.Errorf("%s is in %q, want %q", id, got, c.want)
				}
			}
		})
	}
}

func shownSecurityGroups(c *wire.CacheCluster) string {
	var ids []string
	for _, g := range c.SecurityGroups {
		ids = append(ids, *g.SecurityGroupId)
	}
	return strings.Join(ids, " ")
}

// A modification replaces the groups of all members as a whole.
func TestModifySecurityGroups(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.addSecurityGroups("vpc-1", "sg-a", "sg-b")
	in := groupRequest("rg", 2)
	in.SecurityGroupIds = []string{"sg-a"}
	f.createGroup(in)
	f.settle()
	f.modifyGroup(&wire.ModifyReplicationGroupMessage{ReplicationGroupId: core.Ptr("rg"), SecurityGroupIds: []string{"sg-b"}})
	for _, id := range []string{"rg-001", "rg-002"} {
		if got := shownSecurityGroups(f.describeCluster(id)); got != "sg-b" {
			t.Errorf("%s is in %q", id, got)
		}
	}
}

// Clusters live in whatever VPC their subnet group is of, with addresses of its
// range in its window.
func TestClusterInAnotherVPC(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.update(func(tx *store.Tx) error {
		resource.VPCs.Put(tx, key(testRegion, "vpc-3"), &resource.VPC{
			Region: testRegion, ID: "vpc-3", CIDR: "10.9.0.0/16", Window: 14, DefaultSecurityGroup: "sg-three",
			Subnets: []resource.Subnet{{ID: "subnet-3", CIDR: "10.9.4.0/28", Zone: "us-east-1a"}},
		})
		return nil
	})
	if _, err := f.createSubnets("three", "subnet-3"); err != nil {
		t.Fatal(err)
	}
	in := redisRequest("c")
	in.CacheSubnetGroupName = core.Ptr("three")
	f.createCluster(in)
	c := f.cluster("c")
	e := c.Spec.Nodes[0].Endpoint
	if !strings.HasPrefix(e.VPC.Address, "10.9.4.") || !strings.HasPrefix(e.Bound.Address, "127.14.4.") {
		t.Errorf("placed at %+v", e)
	}
	if !slices.Equal(c.Spec.SecurityGroupIDs, []string{"sg-three"}) {
		t.Errorf("in groups %v", c.Spec.SecurityGroupIDs)
	}
}

// Without a default VPC there is no subnet group "default", and everything else
// goes on.
func TestWithoutDefaultVPC(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	if _, err := f.createSubnets("kept", "subnet-a"); err != nil {
		t.Fatal(err)
	}
	f.update(func(tx *store.Tx) error {
		resource.VPCs.Delete(tx, key(testRegion, "vpc-1"))
		resource.NetworkRegions.Put(tx, testRegion, &resource.NetworkRegion{NoDefaultVPC: true})
		return nil
	})
	_, err := f.CreateCacheCluster(f.ctx, redisRequest("c"))
	wantError(t, err, "CacheSubnetGroupNotFoundFault", "Cache subnet group default not found.")
	out, err := f.DescribeCacheSubnetGroups(f.ctx, &wire.DescribeCacheSubnetGroupsMessage{})
	if err != nil || len(out.CacheSubnetGroups) != 1 || len(out.CacheSubnetGroups[0].Subnets) != 0 {
		t.Errorf("got %v, %v; want the group without its subnets", fmt.Sprint(out), err)
	}
}

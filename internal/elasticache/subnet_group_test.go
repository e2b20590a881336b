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

func (f *clusterFixture) createSubnets(name string, ids ...string) (*wire.CacheSubnetGroup, error) {
	out, err := f.CreateCacheSubnetGroup(f.ctx, &wire.CreateCacheSubnetGroupMessage{
		CacheSubnetGroupName: &name, CacheSubnetGroupDescription: core.Ptr("test"), SubnetIds: ids,
	})
	if err != nil {
		return nil, err
	}
	return out.CacheSubnetGroup, nil
}

func (f *clusterFixture) subnetGroup(name string) *resource.SubnetGroup {
	f.t.Helper()
	var out *resource.SubnetGroup
	f.update(func(tx *store.Tx) error {
		out, _ = resource.SubnetGroups.Get(tx, key(testRegion, name))
		return nil
	})
	return out
}

// printSubnetGroup is what an answer says in one line.
func printSubnetGroup(g *wire.CacheSubnetGroup) string {
	var subnets []string
	for _, n := range g.Subnets {
		subnets = append(subnets, fmt.Sprintf("%s=%s%v", *n.SubnetIdentifier, *n.SubnetAvailabilityZone.Name, n.SupportedNetworkTypes))
	}
	return fmt.Sprintf("%s %q %s %s %v %s", *g.CacheSubnetGroupName, *g.CacheSubnetGroupDescription, *g.VpcId, strings.Join(subnets, " "), g.SupportedNetworkTypes, *g.ARN)
}

// addVPC stores a second network.
func (f *clusterFixture) addVPC() {
	f.update(func(tx *store.Tx) error {
		resource.VPCs.Put(tx, key(testRegion, "vpc-2"), &resource.VPC{
			Region: testRegion, ID: "vpc-2", Subnets: []resource.Subnet{{ID: "subnet-x", Zone: "us-east-1a"}},
		})
		return nil
	})
}

func TestCreateCacheSubnetGroup(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.addVPC()
	got, err := f.createSubnets("My-Group", "subnet-c", "subnet-a", "subnet-a")
	if err != nil {
		t.Fatal(err)
	}
	want := `my-group "test" vpc-1 subnet-a=us-east-1a[ipv4] subnet-c=us-east-1c[ipv4] [ipv4] arn:aws:elasticache:us-east-1:000000000000:subnetgroup:my-group`
	if printSubnetGroup(got) != want {
		t.Errorf("got  %s\nwant %s", printSubnetGroup(got), want)
	}
	var many []string
	for i := range 21 {
		many = append(many, fmt.Sprintf("subnet-%d", i))
	}
	for _, tc := range []struct {
		name       string
		group      string
		subnets    []string
		code, text string
	}{
		{"taken", "MY-GROUP", []string{"subnet-a"}, "CacheSubnetGroupAlreadyExists", "Cache subnet group my-group already exists."},
		{"the default group", "default", []string{"subnet-a"}, "CacheSubnetGroupAlreadyExists", "Cache subnet group default already exists."},
		{"no name", "", []string{"subnet-a"}, "InvalidParameterValue", "The parameter CacheSubnetGroupName must be provided."},
		{"bad name", "a--b", []string{"subnet-a"}, "InvalidParameterValue", invalidIdentifier("CacheSubnetGroupName")},
		{"no subnets", "other", nil, "InvalidParameterValue", "The parameter SubnetIds must be provided."},
		{"unknown subnet", "other", []string{"subnet-q"}, "InvalidParameterValue", "Some input subnets in :[subnet-q] are invalid."},
		{"one unknown", "other", []string{"subnet-q", "subnet-a"}, "InvalidParameterValue", "Some input subnets in :[subnet-a, subnet-q] are invalid."},
		{"two networks", "other", []string{"subnet-x", "subnet-a"}, "InvalidSubnet", "Subnets subnet-a and subnet-x are not in the same VPC."},
		{"too many", "other", many, "CacheSubnetQuotaExceededFault", "Subnet quota exceeded. Each subnet group can have at most 20 subnets."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := f.createSubnets(tc.group, tc.subnets...)
			wantError(t, err, tc.code, tc.text)
			if f.subnetGroup("other") != nil {
				t.Error("a refused group is stored")
			}
		})
	}
	_, err = f.CreateCacheSubnetGroup(f.ctx, &wire.CreateCacheSubnetGroupMessage{CacheSubnetGroupName: core.Ptr("other"), SubnetIds: []string{"subnet-a"}})
	wantError(t, err, "InvalidParameterValue", "The parameter CacheSubnetGroupDescription must be provided.")

	f.update(func(tx *store.Tx) error {
		for i := range maxGroups {
			g := &resource.SubnetGroup{Region: testRegion, Name: fmt.Sprintf("g%d", i)}
			resource.SubnetGroups.Put(tx, key(g.Region, g.Name), g)
		}
		return nil
	})
	_, err = f.createSubnets("more", "subnet-a")
	wantError(t, err, "CacheSubnetGroupQuotaExceeded", "Subnet group quota exceeded. You can have at most 300 subnet groups in this region.")
}

func TestDescribeCacheSubnetGroups(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	for _, name := range []string{"a", "z"} {
		if _, err := f.createSubnets(name, "subnet-a"); err != nil {
			t.Fatal(err)
		}
	}
	out, err := f.DescribeCacheSubnetGroups(f.ctx, &wire.DescribeCacheSubnetGroupsMessage{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, g := range out.CacheSubnetGroups {
		names = append(names, *g.CacheSubnetGroupName)
	}
	if !slices.Equal(names, []string{"a", "default", "z"}) || out.Marker != nil {
		t.Errorf("got %q", names)
	}
	if n := len(out.CacheSubnetGroups[1].Subnets); n != 3 {
		t.Errorf("the default group has %d subnets", n)
	}
	one, err := f.DescribeCacheSubnetGroups(f.ctx, &wire.DescribeCacheSubnetGroupsMessage{CacheSubnetGroupName: core.Ptr("Z")})
	if err != nil || len(one.CacheSubnetGroups) != 1 || *one.CacheSubnetGroups[0].CacheSubnetGroupName != "z" {
		t.Errorf("got %v, %v", one, err)
	}
	_, err = f.DescribeCacheSubnetGroups(f.ctx, &wire.DescribeCacheSubnetGroupsMessage{CacheSubnetGroupName: core.Ptr("none")})
	wantError(t, err, "CacheSubnetGroupNotFoundFault", "Cache subnet group none not found.")
}

// TestDefaultSubnetGroupOfUntouchedRegion: to a user the default VPC was always there.
func TestDefaultSubnetGroupOfUntouchedRegion(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	ctx := core.WithRequest(t.Context(), core.Request{Region: "eu-west-1"})
	out, err := f.DescribeCacheSubnetGroups(ctx, &wire.DescribeCacheSubnetGroupsMessage{CacheSubnetGroupName: core.Ptr("default")})
	if err != nil || len(out.CacheSubnetGroups) != 1 {
		t.Fatalf("got %v, %v", out, err)
	}
}

func TestModifyCacheSubnetGroup(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name       string
		group      string
		text       *string
		subnets    []string
		code, says string
		want       string // what is stored afterwards
	}{
		{name: "description", text: core.Ptr("other"), want: "other [subnet-a subnet-b subnet-c]"},
		{name: "nothing", want: "test [subnet-a subnet-b subnet-c]"},
		{name: "fewer subnets", subnets: []string{"subnet-b", "subnet-a"}, want: "test [subnet-a subnet-b]"},
		{name: "upper case", group: "G", subnets: []string{"subnet-a", "subnet-b"}, want: "test [subnet-a subnet-b]"},
		{
			name: "a subnet with nodes goes", subnets: []string{"subnet-b", "subnet-c"}, want: "test [subnet-a subnet-b subnet-c]",
			code: "SubnetInUse", says: "The subnet ID subnet-a is in use",
		},
		{
			name: "unknown subnet", subnets: []string{"subnet-a", "subnet-q"}, want: "test [subnet-a subnet-b subnet-c]",
			code: "InvalidParameterValue", says: "Some input subnets in :[subnet-a, subnet-q] are invalid.",
		},
		{
			name: "another network", subnets: []string{"subnet-x"}, want: "test [subnet-a subnet-b subnet-c]",
			code: "InvalidSubnet", says: "Subnets subnet-a and subnet-x are not in the same VPC.",
		},
		{
			name: "long description", text: core.Ptr(strings.Repeat("a", 256)), want: "test [subnet-a subnet-b subnet-c]",
			code: "InvalidParameterValue", says: "The parameter CacheSubnetGroupDescription must not be longer than 255 characters.",
		},
		{
			name: "unknown group", group: "none", want: "test [subnet-a subnet-b subnet-c]",
			code: "CacheSubnetGroupNotFoundFault", says: "Cache subnet group none not found.",
		},
		{
			name: "the default group", group: "default", want: "test [subnet-a subnet-b subnet-c]",
			code: "InvalidParameterValue", says: "The cache subnet group default cannot be modified.",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newClusterFixture(t)
			f.addVPC()
			if _, err := f.createSubnets("g", "subnet-a", "subnet-b", "subnet-c"); err != nil {
				t.Fatal(err)
			}
			in := redisRequest("c")
			in.CacheSubnetGroupName, in.PreferredAvailabilityZone = core.Ptr("g"), core.Ptr("us-east-1a")
			f.createCluster(in)
			group := "g"
			if tc.group != "" {
				group = tc.group
			}
			_, err := f.ModifyCacheSubnetGroup(f.ctx, &wire.ModifyCacheSubnetGroupMessage{
				CacheSubnetGroupName: &group, CacheSubnetGroupDescription: tc.text, SubnetIds: tc.subnets,
			})
			if tc.code != "" {
				wantError(t, err, tc.code, tc.says)
			} else if err != nil {
				t.Fatal(err)
			}
			if g := f.subnetGroup("g"); fmt.Sprintf("%s %v", g.Description, g.SubnetIDs) != tc.want {
				t.Errorf("stored %s %v", g.Description, g.SubnetIDs)
			}
		})
	}
}

func TestSubnetGroupKeepsTwoZonesForMultiAZ(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	if _, err := f.createSubnets("g", "subnet-a", "subnet-b"); err != nil {
		t.Fatal(err)
	}
	in := groupRequest("rg", 2)
	in.CacheSubnetGroupName, in.AutomaticFailoverEnabled = core.Ptr("g"), core.Ptr(true)
	f.createGroup(in)
	f.update(func(tx *store.Tx) error { // all nodes in one zone, and yet Multi-AZ
		g, _ := resource.ReplicationGroups.Get(tx, key(testRegion, "rg"))
		g.Spec.MultiAZ = true
		resource.ReplicationGroups.Put(tx, key(testRegion, "rg"), g)
		for _, id := range g.Spec.Members {
			c, _ := resource.CacheClusters.Get(tx, key(testRegion, id))
			c.Spec.Nodes[0].SubnetID = "subnet-a"
			resource.CacheClusters.Put(tx, key(testRegion, id), c)
		}
		return nil
	})
	_, err := f.ModifyCacheSubnetGroup(f.ctx, &wire.ModifyCacheSubnetGroupMessage{CacheSubnetGroupName: core.Ptr("g"), SubnetIds: []string{"subnet-a"}})
	wantError(t, err, "InvalidParameterCombination", "The cache subnet group g must have subnets in at least two availability zones, because replication group rg has Multi-AZ enabled.")
}

func TestDeleteCacheSubnetGroup(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	for _, name := range []string{"free", "used"} {
		if _, err := f.createSubnets(name, "subnet-a"); err != nil {
			t.Fatal(err)
		}
	}
	in := redisRequest("c")
	in.CacheSubnetGroupName = core.Ptr("used")
	f.createCluster(in)
	for _, tc := range []struct{ name, code, text string }{
		{"Free", "", ""},
		{"free", "CacheSubnetGroupNotFoundFault", "Cache Subnet Group free does not exist."},
		{"used", "CacheSubnetGroupInUse", "Cache subnet group used is currently in use by a cache cluster."},
		{"default", "InvalidParameterValue", "The cache subnet group default cannot be deleted."},
		{"", "InvalidParameterValue", "The parameter CacheSubnetGroupName must be provided."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := f.DeleteCacheSubnetGroup(f.ctx, &wire.DeleteCacheSubnetGroupMessage{CacheSubnetGroupName: &tc.name})
			if tc.code == "" && err != nil {
				t.Fatal(err)
			} else if tc.code != "" {
				wantError(t, err, tc.code, tc.text)
			}
		})
	}
}

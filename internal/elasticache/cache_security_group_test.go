package elasticache

import (
	"fmt"
	"strings"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

const (
	notPermitted = "Use of cache security groups is not permitted in this API version for your account."
	notAlong     = "Use of cache security groups is not permitted along with cache subnet group and/or security group Ids."
)

// newClassicFixture is the fixture of an account that has EC2-Classic and two EC2
// security groups there, and no default VPC.
func newClassicFixture(t testing.TB) *clusterFixture {
	t.Helper()
	f := newClusterFixture(t, func(c *Config) { c.Classic = true })
	f.update(func(tx *store.Tx) error {
		vpc, _ := resource.VPCs.Get(tx, key(testRegion, "vpc-1"))
		vpc.IsDefault = false
		resource.VPCs.Put(tx, key(testRegion, "vpc-1"), vpc)
		network, err := testNetworks{}.ClassicNetwork(tx, testRegion)
		for _, name := range []string{"web", "batch"} {
			id := "sg-" + name
			resource.SecurityGroups.Put(tx, key(testRegion, id), &resource.SecurityGroup{Region: testRegion, ID: id, VPCID: network.ID, Name: name})
		}
		return err
	})
	return f
}

func (f *clusterFixture) createCacheGroup(name string) {
	f.t.Helper()
	_, err := f.CreateCacheSecurityGroup(f.ctx, &wire.CreateCacheSecurityGroupMessage{CacheSecurityGroupName: &name, Description: core.Ptr("of " + name)})
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *clusterFixture) authorizeCaches(group, from string) (*wire.CacheSecurityGroup, error) {
	out, err := f.AuthorizeCacheSecurityGroupIngress(f.ctx, &wire.AuthorizeCacheSecurityGroupIngressMessage{
		CacheSecurityGroupName: &group, EC2SecurityGroupName: &from, EC2SecurityGroupOwnerId: core.Ptr("0000-0000-0000"),
	})
	if err != nil {
		return nil, err
	}
	return out.CacheSecurityGroup, nil
}

func (f *clusterFixture) revokeCaches(group, from string) (*wire.CacheSecurityGroup, error) {
	out, err := f.RevokeCacheSecurityGroupIngress(f.ctx, &wire.RevokeCacheSecurityGroupIngressMessage{
		CacheSecurityGroupName: &group, EC2SecurityGroupName: &from, EC2SecurityGroupOwnerId: core.Ptr("000000000000"),
	})
	if err != nil {
		return nil, err
	}
	return out.CacheSecurityGroup, nil
}

// enforce does what the controller does once the network has what groups say.
func (f *clusterFixture) enforce() {
	f.update(func(tx *store.Tx) error {
		for _, g := range resource.CacheSecurityGroups.List(tx, "") {
			g.Status.ObservedGeneration = g.Generation
			resource.CacheSecurityGroups.Put(tx, key(g.Region, g.Name), g)
		}
		return nil
	})
}

// printCacheGroup is what an answer says in one line.
func printCacheGroup(g *wire.CacheSecurityGroup) string {
	out := fmt.Sprintf("%s %q %s", *g.CacheSecurityGroupName, *g.Description, *g.OwnerId)
	for _, e := range g.EC2SecurityGroups {
		out += fmt.Sprintf(" %s/%s=%s", *e.EC2SecurityGroupOwnerId, *e.EC2SecurityGroupName, *e.Status)
	}
	return out
}

func (f *clusterFixture) describeCacheGroups(name string) string {
	f.t.Helper()
	out, err := f.DescribeCacheSecurityGroups(f.ctx, &wire.DescribeCacheSecurityGroupsMessage{CacheSecurityGroupName: &name})
	if err != nil {
		f.t.Fatal(err)
	}
	var lines []string
	for _, g := range out.CacheSecurityGroups {
		lines = append(lines, printCacheGroup(g))
	}
	return strings.Join(lines, "\n")
}

func TestCreateCacheSecurityGroup(t *testing.T) {
	t.Parallel()
	f := newClassicFixture(t)
	out, err := f.CreateCacheSecurityGroup(f.ctx, &wire.CreateCacheSecurityGroupMessage{
		CacheSecurityGroupName: core.Ptr("My-Group"), Description: core.Ptr("mine"), Tags: []*wire.Tag{{Key: core.Ptr("a"), Value: core.Ptr("b")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := printCacheGroup(out.CacheSecurityGroup); got != `my-group "mine" 000000000000` {
		t.Errorf("made %s", got)
	}
	if arn := *out.CacheSecurityGroup.ARN; arn != "arn:aws:elasticache:us-east-1:000000000000:securitygroup:my-group" {
		t.Errorf("its ARN is %s", arn)
	}
	if want := "default \"default\" 000000000000\nmy-group \"mine\" 000000000000"; f.describeCacheGroups("") != want {
		t.Errorf("there are\n%s\nwant\n%s", f.describeCacheGroups(""), want)
	}
	before := f.dump()
	for _, c := range []struct{ name, group, code, says string }{
		{"taken", "MY-group", "CacheSecurityGroupAlreadyExists", "Cache security group my-group already exists."},
		{"the default one", "Default", "InvalidParameterValue", "The cache security group default cannot be created."},
		{"no name", "", "InvalidParameterValue", "The parameter CacheSecurityGroupName must be provided."},
		{"bad name", "a_b", "InvalidParameterValue", invalidIdentifier("CacheSecurityGroupName")},
	} {
		_, err := f.CreateCacheSecurityGroup(f.ctx, &wire.CreateCacheSecurityGroupMessage{CacheSecurityGroupName: &c.group, Description: core.Ptr("x")})
		wantError(t, err, c.code, c.says)
	}
	_, err = f.CreateCacheSecurityGroup(f.ctx, &wire.CreateCacheSecurityGroupMessage{CacheSecurityGroupName: core.Ptr("x")})
	wantError(t, err, "InvalidParameterValue", "The parameter Description must be provided.")
	if f.dump() != before {
		t.Error("a refused request stored something")
	}
	for i := range maxCacheGroups - 2 {
		f.createCacheGroup(fmt.Sprintf("g%d", i))
	}
	_, err = f.CreateCacheSecurityGroup(f.ctx, &wire.CreateCacheSecurityGroupMessage{CacheSecurityGroupName: core.Ptr("more"), Description: core.Ptr("x")})
	wantError(t, err, "QuotaExceeded.CacheSecurityGroup", "Cache security group quota exceeded. You can have at most 50 cache security groups in this region.")
}

func TestDescribeCacheSecurityGroups(t *testing.T) {
	t.Parallel()
	f := newClassicFixture(t)
	if got := f.describeCacheGroups("DEFAULT"); got != `default "default" 000000000000` {
		t.Errorf("the default group is %s", got)
	}
	for i := range 21 {
		f.createCacheGroup(fmt.Sprintf("a%02d", i))
	}
	var names []string
	for marker := (*string)(nil); ; {
		out, err := f.DescribeCacheSecurityGroups(f.ctx, &wire.DescribeCacheSecurityGroupsMessage{MaxRecords: core.Ptr(20), Marker: marker})
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range out.CacheSecurityGroups {
			names = append(names, *g.CacheSecurityGroupName)
		}
		if marker = out.Marker; marker == nil {
			break
		}
	}
	if got := strings.Join(names, " "); len(names) != 22 || !strings.HasPrefix(got, "default a00 a01") || !strings.HasSuffix(got, "a20") {
		t.Errorf("the pages have %s", got)
	}
	_, err := f.DescribeCacheSecurityGroups(f.ctx, &wire.DescribeCacheSecurityGroupsMessage{CacheSecurityGroupName: core.Ptr("none")})
	wantError(t, err, "CacheSecurityGroupNotFound", "CacheSecurityGroup not found: none")
	if e, _ := core.AsError(err); e.Status != 404 {
		t.Errorf("status %d", e.Status)
	}
	_, err = f.DescribeCacheSecurityGroups(f.ctx, &wire.DescribeCacheSecurityGroupsMessage{MaxRecords: core.Ptr(19)})
	wantError(t, err, "InvalidParameterValue", "The parameter MaxRecords must be between 20 and 100.")
}

func TestCacheSecurityGroupIngress(t *testing.T) {
	t.Parallel()
	f := newClassicFixture(t)
	expect := func(what, want string) {
		t.Helper()
		if got := f.describeCacheGroups("default"); got != strings.TrimSpace(`default "default" 000000000000 `+want) {
			t.Errorf("%s: %s", what, got)
		}
	}
	authorize := func(from string) *wire.CacheSecurityGroup {
		t.Helper()
		g, err := f.authorizeCaches("Default", from)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	if got := printCacheGroup(authorize("web")); !strings.HasSuffix(got, "000000000000/web=authorizing") {
		t.Errorf("answered %s", got)
	}
	expect("before it is enforced", "000000000000/web=authorizing")
	_, err := f.authorizeCaches("default", "web")
	wantError(t, err, "AuthorizationAlreadyExists", "The EC2 security group web is already authorized for the cache security group default.")
	f.enforce()
	expect("enforced", "000000000000/web=authorized")
	authorize("default")
	expect("a second one", "000000000000/web=authorized 000000000000/default=authorizing")
	f.enforce()
	g, err := f.revokeCaches("default", "web")
	if err != nil || !strings.Contains(printCacheGroup(g), "/web=revoking 000000000000/default=authorized") {
		t.Errorf("revoking answered %v, %v", g, err)
	}
	_, err = f.revokeCaches("default", "web")
	wantError(t, err, "AuthorizationNotFound", "The EC2 security group web is not authorized for the cache security group default.")
	authorize("web")
	expect("authorized while it is revoked", "000000000000/web=authorizing 000000000000/default=authorized")
	if _, err = f.revokeCaches("default", "web"); err != nil {
		t.Error(err)
	}
	f.enforce()
	expect("revoked", "000000000000/default=authorized")
	_, err = f.revokeCaches("default", "web")
	wantError(t, err, "AuthorizationNotFound", "The EC2 security group web is not authorized for the cache security group default.")
	if e, _ := core.AsError(err); e.Status != 404 {
		t.Errorf("status %d", e.Status)
	}
	if _, err = f.revokeCaches("default", "default"); err != nil {
		t.Error(err)
	}
	f.enforce()
	expect("all are revoked", "")
}

func TestCacheSecurityGroupIngressRefusals(t *testing.T) {
	t.Parallel()
	f := newClassicFixture(t)
	before := f.dump()
	for _, c := range []struct{ name, group, from, owner, code, says string }{
		{"unknown cache group", "none", "web", "000000000000", "CacheSecurityGroupNotFound", "CacheSecurityGroup not found: none"},
		{"unknown EC2 group", "default", "Web", "000000000000", "InvalidParameterValue", "The EC2 security group Web of the account 000000000000 does not exist in EC2-Classic."},
		{"EC2 group of a VPC", "default", "sg-default", "000000000000", "InvalidParameterValue", "The EC2 security group sg-default of the account 000000000000 does not exist in EC2-Classic."},
		{"another account", "default", "web", "111111111111", "InvalidParameterValue", "The EC2 security group web of the account 111111111111 does not exist in EC2-Classic."},
		{"no account", "default", "web", "AKIAEXAMPLE", "InvalidParameterValue", "The parameter EC2SecurityGroupOwnerId must be an AWS account number of 12 digits."},
	} {
		_, err := f.AuthorizeCacheSecurityGroupIngress(f.ctx, &wire.AuthorizeCacheSecurityGroupIngressMessage{
			CacheSecurityGroupName: &c.group, EC2SecurityGroupName: &c.from, EC2SecurityGroupOwnerId: &c.owner,
		})
		t.Run(c.name, func(t *testing.T) { wantError(t, err, c.code, c.says) })
	}
	_, err := f.revokeCaches("none", "web")
	wantError(t, err, "CacheSecurityGroupNotFound", "CacheSecurityGroup not found: none")
	if f.dump() != before {
		t.Error("a refused request stored something")
	}
}

func TestDeleteCacheSecurityGroup(t *testing.T) {
	t.Parallel()
	f := newClassicFixture(t)
	f.createCacheGroup("used")
	in := redisRequest("c")
	in.CacheSecurityGroupNames = []string{"Used"}
	f.createCluster(in)
	f.settle()
	for _, c := range []struct{ group, code, says string }{
		{"used", "InvalidCacheSecurityGroupState", "Cache security group used cannot be deleted: it is in use by cache cluster c."},
		{"default", "InvalidParameterValue", "The cache security group default cannot be deleted."},
		{"none", "CacheSecurityGroupNotFound", "CacheSecurityGroup not found: none"},
	} {
		wantError(t, f.DeleteCacheSecurityGroup(f.ctx, &wire.DeleteCacheSecurityGroupMessage{CacheSecurityGroupName: &c.group}), c.code, c.says)
	}
	if _, err := f.DeleteCacheCluster(f.ctx, &wire.DeleteCacheClusterMessage{CacheClusterId: core.Ptr("c")}); err != nil {
		t.Fatal(err)
	}
	f.settle()
	if err := f.DeleteCacheSecurityGroup(f.ctx, &wire.DeleteCacheSecurityGroupMessage{CacheSecurityGroupName: core.Ptr("used")}); err != nil {
		t.Error(err)
	}
	if got := f.describeCacheGroups(""); got != `default "default" 000000000000` {
		t.Errorf("left are %s", got)
	}
}

func TestCacheSecurityGroupTags(t *testing.T) {
	t.Parallel()
	f := newClassicFixture(t)
	f.createCacheGroup("mine")
	arn := func(name string) *string {
		return core.Ptr("arn:aws:elasticache:us-east-1:000000000000:securitygroup:" + name)
	}
	tags := []*wire.Tag{{Key: core.Ptr("team"), Value: core.Ptr("a")}}
	out, err := f.AddTagsToResource(f.ctx, &wire.AddTagsToResourceMessage{ResourceName: arn("mine"), Tags: tags})
	if err != nil || len(out.TagList) != 1 {
		t.Fatalf("tagged with %v, %v", out, err)
	}
	out, err = f.ListTagsForResource(f.ctx, &wire.ListTagsForResourceMessage{ResourceName: arn("mine")})
	if err != nil || len(out.TagList) != 1 || *out.TagList[0].Key != "team" {
		t.Errorf("the tags are %v, %v", out, err)
	}
	_, err = f.AddTagsToResource(f.ctx, &wire.AddTagsToResourceMessage{ResourceName: arn("default"), Tags: tags})
	wantError(t, err, "InvalidParameterValue", "The default group default cannot be tagged.")
	_, err = f.RemoveTagsFromResource(f.ctx, &wire.RemoveTagsFromResourceMessage{ResourceName: arn("default"), TagKeys: []string{"team"}})
	wantError(t, err, "InvalidParameterValue", "The default group default cannot be tagged.")
	_, err = f.ListTagsForResource(f.ctx, &wire.ListTagsForResourceMessage{ResourceName: arn("none")})
	wantError(t, err, "CacheSecurityGroupNotFound", "CacheSecurityGroup not found: none")
}

// An account that has no EC2-Classic may not use the groups in any way.
func TestCacheSecurityGroupsOfAVPCAccount(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createCluster(redisRequest("c"))
	f.createGroup(groupRequest("rg", 2))
	f.settle()
	before := f.dump()
	names := []string{"default"}
	for name, call := range map[string]func() error{
		"create": func() error {
			_, err := f.CreateCacheSecurityGroup(f.ctx, &wire.CreateCacheSecurityGroupMessage{CacheSecurityGroupName: core.Ptr("x"), Description: core.Ptr("x")})
			return err
		},
		"describe": func() error {
			_, err := f.DescribeCacheSecurityGroups(f.ctx, &wire.DescribeCacheSecurityGroupsMessage{})
			return err
		},
		"delete": func() error {
			return f.DeleteCacheSecurityGroup(f.ctx, &wire.DeleteCacheSecurityGroupMessage{CacheSecurityGroupName: core.Ptr("x")})
		},
		"authorize": func() error { _, err := f.authorizeCaches("default", "default"); return err },
		"revoke":    func() error { _, err := f.revokeCaches("default", "default"); return err },
		"tags": func() error {
			_, err := f.ListTagsForResource(f.ctx, &wire.ListTagsForResourceMessage{ResourceName: core.Ptr("arn:aws:elasticache:us-east-1:000000000000:securitygroup:default")})
			return err
		},
		"create a cluster": func() error {
			in := redisRequest("x")
			in.CacheSecurityGroupNames = names
			_, err := f.CreateCacheCluster(f.ctx, in)
			return err
		},
		"create a group": func() error {
			in := groupRequest("x", 2)
			in.CacheSecurityGroupNames = names
			_, err := f.CreateReplicationGroup(f.ctx, in)
			return err
		},
		"modify a cluster": func() error {
			_, err := f.ModifyCacheCluster(f.ctx, &wire.ModifyCacheClusterMessage{CacheClusterId: core.Ptr("c"), CacheSecurityGroupNames: names})
			return err
		},
		"modify a group": func() error {
			_, err := f.ModifyReplicationGroup(f.ctx, &wire.ModifyReplicationGroupMessage{ReplicationGroupId: core.Ptr("rg"), CacheSecurityGroupNames: names})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { wantError(t, call(), "InvalidParameterValue", notPermitted) })
	}
	if f.dump() != before {
		t.Error("a refused request stored something")
	}
}

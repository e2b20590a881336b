package ec2

import (
	"fmt"
	"strings"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/storetest"
)

func newClassicService(t *testing.T) *Service {
	t.Helper()
	return New(Config{Store: storetest.New(t), Account: account, Windows: [2]int{11, 21}, Clock: core.SystemClock{}, Classic: true, NewID: newID()})
}

func accountAttributes(t *testing.T, s *Service, names ...string) string {
	t.Helper()
	out, err := s.DescribeAccountAttributes(in(t, home), &wire.DescribeAccountAttributesRequest{AttributeNames: names})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, a := range out.AccountAttributes {
		var values []string
		for _, v := range a.AttributeValues {
			values = append(values, *v.AttributeValue)
		}
		all = append(all, *a.AttributeName+"="+strings.Join(values, ","))
	}
	return strings.Join(all, " ")
}

func TestAccountAttributesOfBothPlatforms(t *testing.T) {
	t.Parallel()
	vpc, classic := newService(t), newClassicService(t)
	if got := accountAttributes(t, vpc, "supported-platforms"); got != "supported-platforms=VPC" {
		t.Errorf("VPC only: %s", got)
	}
	want := "supported-platforms=EC2,VPC default-vpc=none max-instances=1000 vpc-max-security-groups-per-interface=5 max-elastic-ips=5 vpc-max-elastic-ips=5"
	if got := accountAttributes(t, classic); got != want {
		t.Errorf("with EC2-Classic: %s", got)
	}
	_, err := vpc.DescribeAccountAttributes(in(t, home), &wire.DescribeAccountAttributesRequest{AttributeNames: []string{"default-vpc", "x"}})
	refused(t, err, "InvalidParameterValue", "Value (x) for parameter attribute is invalid. Unknown attribute.")
}

// What EC2-Classic has for a VPC is made at the first look, and nothing names it.
func TestClassicNetworkIsHidden(t *testing.T) {
	t.Parallel()
	s := newClassicService(t)
	ctx := in(t, home)
	groups, err := s.DescribeSecurityGroups(ctx, &wire.DescribeSecurityGroupsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(groups.SecurityGroups) != 1 || *groups.SecurityGroups[0].GroupName != "default" || groups.SecurityGroups[0].VpcId != nil ||
		len(groups.SecurityGroups[0].IpPermissions) != 3 || len(groups.SecurityGroups[0].IpPermissionsEgress) != 0 {
		t.Errorf("the groups are %+v", groups.SecurityGroups)
	}
	var network *resource.VPC
	s.store.Local(func(r store.Reader) { network, _ = resource.ClassicNetwork(r, home) })
	if network == nil || network.Window != 12 || network.CIDR != "10.12.0.0/16" || len(network.Subnets) == 0 || !strings.HasPrefix(network.Subnets[1].CIDR, "10.12.16.0/20") {
		t.Fatalf("the network is %+v", network)
	}
	count := func(n int, err error) {
		t.Helper()
		if n != 0 || err != nil {
			t.Errorf("%d are shown, %v", n, err)
		}
	}
	vpcs, err := s.DescribeVpcs(ctx, &wire.DescribeVpcsRequest{})
	count(len(vpcs.Vpcs), err)
	subnets, err := s.DescribeSubnets(ctx, &wire.DescribeSubnetsRequest{})
	count(len(subnets.Subnets), err)
	acls, err := s.DescribeNetworkAcls(ctx, &wire.DescribeNetworkAclsRequest{})
	count(len(acls.NetworkAcls), err)
	tables, err := s.DescribeRouteTables(ctx, &wire.DescribeRouteTablesRequest{})
	count(len(tables.RouteTables), err)
	filtered, err := s.DescribeSecurityGroups(ctx, &wire.DescribeSecurityGroupsRequest{Filters: filterBy("vpc-id", network.ID)})
	count(len(filtered.SecurityGroups), err)
	id := &network.ID
	_, err = s.DescribeVpcs(ctx, &wire.DescribeVpcsRequest{VpcIds: []string{*id}})
	refused(t, err, "InvalidVpcID.Malformed", *id)
	refused(t, s.DeleteVpc(ctx, &wire.DeleteVpcRequest{VpcId: id}), "InvalidVpcID.Malformed", *id)
	_, err = s.CreateSubnet(ctx, &wire.CreateSubnetRequest{VpcId: id, CidrBlock: core.Ptr("10.12.200.0/24")})
	refused(t, err, "InvalidVpcID.Malformed", *id)
	_, err = s.CreateSecurityGroup(ctx, &wire.CreateSecurityGroupRequest{VpcId: id, GroupName: core.Ptr("x"), Description: core.Ptr("x")})
	refused(t, err, "InvalidVpcID.Malformed", *id)
	_, err = s.DescribeVpcAttribute(ctx, &wire.DescribeVpcAttributeRequest{VpcId: id, Attribute: core.Ptr("enableDnsSupport")})
	refused(t, err, "InvalidVpcID.Malformed", *id)
	refused(t, s.DeleteSubnet(ctx, &wire.DeleteSubnetRequest{SubnetId: &network.Subnets[0].ID}), "InvalidSubnetID.Malformed", network.Subnets[0].ID)
	_, err = s.CreateDefaultVpc(ctx, &wire.CreateDefaultVpcRequest{})
	refused(t, err, "OperationNotPermitted", "EC2-Classic")
}

// createClassicGroup makes a group of EC2-Classic and gives its id.
func createClassicGroup(t *testing.T, s *Service, name string) string {
	t.Helper()
	out, err := s.CreateSecurityGroup(in(t, home), &wire.CreateSecurityGroupRequest{GroupName: &name, Description: &name})
	if err != nil {
		t.Fatal(err)
	}
	return *out.GroupId
}

func TestClassicSecurityGroups(t *testing.T) {
	t.Parallel()
	s := newClassicService(t)
	ctx := in(t, home)
	web := createClassicGroup(t, s, "web")
	_, err := s.CreateSecurityGroup(ctx, &wire.CreateSecurityGroupRequest{GroupName: core.Ptr("Web"), Description: core.Ptr("x")})
	refused(t, err, "InvalidGroup.Duplicate", "The security group 'Web' already exists")
	if e, _ := core.AsError(err); strings.Contains(e.Message, "VPC") {
		t.Errorf("a VPC is named: %s", e.Message)
	}
	_, err = s.CreateSecurityGroup(ctx, &wire.CreateSecurityGroupRequest{GroupName: core.Ptr("default"), Description: core.Ptr("x")})
	refused(t, err, "InvalidGroup.Reserved", "default")
	_, err = s.DescribeSecurityGroups(ctx, &wire.DescribeSecurityGroupsRequest{GroupNames: []string{"none"}})
	refused(t, err, "InvalidGroup.NotFound", "The security group 'none' does not exist")

	authorize := func(p *wire.IpPermission) error {
		_, err := s.AuthorizeSecurityGroupIngress(ctx, &wire.AuthorizeSecurityGroupIngressRequest{GroupName: core.Ptr("web"), IpPermissions: []*wire.IpPermission{p}})
		return err
	}
	ssh := &wire.IpPermission{IpProtocol: core.Ptr("tcp"), FromPort: core.Ptr(22), ToPort: core.Ptr(22), IpRanges: []*wire.IpRange{{CidrIp: core.Ptr("192.0.2.1/32")}}}
	if err := authorize(ssh); err != nil {
		t.Fatal(err)
	}
	refused(t, authorize(ssh), "InvalidPermission.Duplicate", "The permission '192.0.2.1/32-1-22-22' has already been authorized on the specified group")
	all := &wire.IpPermission{IpProtocol: core.Ptr("-1"), IpRanges: ssh.IpRanges}
	refused(t, authorize(all), "InvalidPermission.Malformed", `Unsupported IP protocol "-1"`)
	six := &wire.IpPermission{IpProtocol: core.Ptr("tcp"), FromPort: core.Ptr(22), ToPort: core.Ptr(22), Ipv6Ranges: []*wire.Ipv6Range{{CidrIpv6: core.Ptr("::/0")}}}
	refused(t, authorize(six), "InvalidParameterValue", "CIDR block ::/0 is malformed")
	_, err = s.AuthorizeSecurityGroupEgress(ctx, &wire.AuthorizeSecurityGroupEgressRequest{GroupId: &web, IpPermissions: []*wire.IpPermission{ssh}})
	refused(t, err, "InvalidParameterValue", "Only Amazon VPC security groups may be used with this operation.")
	_, err = s.RevokeSecurityGroupEgress(ctx, &wire.RevokeSecurityGroupEgressRequest{GroupId: &web, IpPermissions: []*wire.IpPermission{ssh}})
	refused(t, err, "InvalidParameterValue", "Only Amazon VPC security groups may be used with this operation.")

	// A rule by the name of a group, which then is in use.
	createClassicGroup(t, s, "db")
	_, err = s.AuthorizeSecurityGroupIngress(ctx, &wire.AuthorizeSecurityGroupIngressRequest{GroupName: core.Ptr("db"), SourceSecurityGroupName: core.Ptr("web"), SourceSecurityGroupOwnerId: core.Ptr(account)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.DeleteSecurityGroup(ctx, &wire.DeleteSecurityGroupRequest{GroupName: core.Ptr("web")})
	refused(t, err, "InvalidGroup.InUse", "'web'")
	vpcGroup := &wire.IpPermission{IpProtocol: core.Ptr("tcp"), FromPort: core.Ptr(1), ToPort: core.Ptr(2), UserIdGroupPairs: []*wire.UserIdGroupPair{{GroupId: core.Ptr(groupOfVPC(t, s))}}}
	refused(t, authorize(vpcGroup), "InvalidGroup.NotFound", "different networks")

	out, err := s.RevokeSecurityGroupIngress(ctx, &wire.RevokeSecurityGroupIngressRequest{GroupName: core.Ptr("web"), IpPermissions: []*wire.IpPermission{
		{IpProtocol: core.Ptr("tcp"), FromPort: core.Ptr(23), ToPort: core.Ptr(23), IpRanges: ssh.IpRanges},
	}})
	if err != nil || len(out.UnknownIpPermissions) != 1 {
		t.Errorf("revoking what is not there: %+v, %v", out, err)
	}
	for i := range maxClassicRules - 1 {
		p := *ssh
		p.FromPort, p.ToPort = core.Ptr(1000+i), core.Ptr(1000+i)
		if err := authorize(&p); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, authorize(&wire.IpPermission{IpProtocol: core.Ptr("udp"), FromPort: core.Ptr(1), ToPort: core.Ptr(1), IpRanges: ssh.IpRanges}), "RulesPerSecurityGroupLimitExceeded", "maximum")
}

func groupOfVPC(t *testing.T, s *Service) string {
	t.Helper()
	vpc := createVPC(t, s, "10.0.0.0/16")
	out, err := s.CreateSecurityGroup(in(t, home), &wire.CreateSecurityGroupRequest{GroupName: core.Ptr("web"), Description: core.Ptr("x"), VpcId: &vpc})
	if err != nil {
		t.Fatal(err)
	}
	return *out.GroupId
}

func TestClassicGroupQuota(t *testing.T) {
	t.Parallel()
	s := newClassicService(t)
	groupOfVPC(t, s) // is none of EC2-Classic
	for i := range maxClassicGroups - 1 {
		createClassicGroup(t, s, fmt.Sprint("g", i))
	}
	_, err := s.CreateSecurityGroup(in(t, home), &wire.CreateSecurityGroupRequest{GroupName: core.Ptr("more"), Description: core.Ptr("x")})
	refused(t, err, "SecurityGroupLimitExceeded", "maximum")
}

func TestDeletingAClassicGroupThatCachesAdmit(t *testing.T) {
	t.Parallel()
	s := newClassicService(t)
	createClassicGroup(t, s, "web")
	put := func(revoked bool) {
		t.Helper()
		g := &resource.CacheSecurityGroup{Region: home, Name: "caches", Generation: 1, Ingress: []resource.CacheIngress{{GroupName: "web", Revoked: revoked, Generation: 1}}}
		err := s.store.Update(t.Context(), func(tx *store.Tx) error {
			resource.CacheSecurityGroups.Put(tx, key(g.Region, g.Name), g)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	put(false)
	_, err := s.DeleteSecurityGroup(in(t, home), &wire.DeleteSecurityGroupRequest{GroupName: core.Ptr("web")})
	refused(t, err, "InvalidGroup.InUse", "The security group 'web' is authorized by the cache security groups caches")
	put(true)
	if _, err := s.DeleteSecurityGroup(in(t, home), &wire.DeleteSecurityGroupRequest{GroupName: core.Ptr("web")}); err != nil {
		t.Error(err)
	}
}

// An account that gives EC2-Classic up keeps nothing of it.
func TestWithoutClassicItsNetworkGoes(t *testing.T) {
	t.Parallel()
	s := newClassicService(t)
	if _, err := s.DescribeSecurityGroups(in(t, home), &wire.DescribeSecurityGroupsRequest{}); err != nil {
		t.Fatal(err)
	}
	s.classic = false
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.store.Local(func(r store.Reader) {
		if keys := append(resource.VPCs.Keys(r, ""), resource.SecurityGroups.Keys(r, "")...); len(keys) > 0 {
			t.Errorf("left are %v", keys)
		}
	})
	vpcs, err := s.DescribeVpcs(in(t, home), &wire.DescribeVpcsRequest{})
	if err != nil || len(vpcs.Vpcs) != 1 || !*vpcs.Vpcs[0].IsDefault {
		t.Errorf("the VPCs are %+v, %v", vpcs, err)
	}
}

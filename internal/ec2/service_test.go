package ec2

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/storetest"
)

const account = "123456789012"

func newService(t *testing.T) *Service {
	t.Helper()
	return New(Config{Store: storetest.New(t), Account: account, Windows: [2]int{11, 21}, Clock: core.SystemClock{}, NewID: newID()})
}

// newID counts, from any number of goroutines.
func newID() func() string {
	var n atomic.Int64
	return func() string { return fmt.Sprintf("%020x", n.Add(1)<<20) }
}

func in(t *testing.T, region string) context.Context {
	t.Helper()
	return core.WithRequest(t.Context(), core.Request{Region: region, Account: account})
}

func filterBy(name string, values ...string) []*wire.Filter {
	return []*wire.Filter{{Name: core.Ptr(name), Values: values}}
}

// refused checks the code and a part of the message of a refusal.
func refused(t *testing.T, err error, code, part string) {
	t.Helper()
	e, ok := core.AsError(err)
	if !ok || e.Code != code || !strings.Contains(e.Message, part) {
		t.Errorf("got %v, want %s with %q", err, code, part)
	}
}

func TestDescribingMakesTheDefaultVPC(t *testing.T) {
	t.Parallel()
	s := newService(t)
	out, err := s.DescribeVpcs(in(t, "eu-west-1"), &wire.DescribeVpcsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Vpcs) != 1 {
		t.Fatalf("got %d VPCs", len(out.Vpcs))
	}
	vpc := out.Vpcs[0]
	if *vpc.CidrBlock != "172.31.0.0/16" || !*vpc.IsDefault || *vpc.State != "available" || *vpc.OwnerId != account {
		t.Errorf("unexpected VPC %+v", vpc)
	}
	if !regexp.MustCompile(`^vpc-[0-9a-f]{17}$`).MatchString(*vpc.VpcId) {
		t.Errorf("VPC id is %s", *vpc.VpcId)
	}
	s.store.Local(func(r store.Reader) {
		stored, ok := s.PeekDefaultVPC(r, "eu-west-1")
		if !ok || stored.ID != *vpc.VpcId || stored.Window != 12 {
			t.Errorf("stored %+v", stored)
		}
		if _, ok := s.PeekDefaultVPC(r, "eu-west-2"); ok {
			t.Error("a region that nobody looked at has a VPC")
		}
	})
}

func TestIdentifiersOutliveTheState(t *testing.T) {
	t.Parallel()
	ids := func(region string) string {
		s := newService(t)
		ctx := in(t, region)
		vpcs, err := s.DescribeVpcs(ctx, &wire.DescribeVpcsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		groups, err := s.DescribeSecurityGroups(ctx, &wire.DescribeSecurityGroupsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		subnets, err := s.DescribeSubnets(ctx, &wire.DescribeSubnetsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		out := *vpcs.Vpcs[0].VpcId + *groups.SecurityGroups[0].GroupId
		for _, n := range subnets.Subnets {
			out += *n.SubnetId
		}
		return out
	}
	first, again, other := ids("us-east-1"), ids("us-east-1"), ids("us-east-2")
	if first != again {
		t.Error("a new store gives other ids")
	}
	if first == other {
		t.Error("two regions share ids")
	}
}

func TestWindowsAreUniqueAndWithinTheirRange(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for i, want := range []int{12, 14, 16, 18, 20} {
		err := s.store.Update(t.Context(), func(tx *store.Tx) error {
			vpc, err := s.DefaultVPC(tx, fmt.Sprintf("xx-region-%d", i))
			if err == nil && vpc.Window != want {
				t.Errorf("window %d, want %d", vpc.Window, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.DescribeVpcs(in(t, "one-too-many-1"), &wire.DescribeVpcsRequest{})
	refused(t, err, "VpcLimitExceeded", "maximum")
}

func TestSubnets(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, "us-east-1")
	vpcs, err := s.DescribeVpcs(ctx, &wire.DescribeVpcsRequest{Filters: filterBy("isDefault", "true")})
	if err != nil {
		t.Fatal(err)
	}
	vpc := *vpcs.Vpcs[0].VpcId
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		for _, ip := range []string{"172.31.0.4", "172.31.0.5", "172.31.16.4"} {
			resource.Addresses.Put(tx, "us-east-1/"+vpc+"/"+ip, &resource.Address{Owner: "test"})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.DescribeSubnets(ctx, &wire.DescribeSubnetsRequest{Filters: filterBy("vpc-id", vpc)})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, n := range out.Subnets {
		got[*n.AvailabilityZone] = fmt.Sprintf("%s %s %d %v", *n.AvailabilityZoneId, *n.CidrBlock, *n.AvailableIpAddressCount, *n.DefaultForAz)
		if want := "arn:aws:ec2:us-east-1:" + account + ":subnet/" + *n.SubnetId; *n.SubnetArn != want {
			t.Errorf("arn %s", *n.SubnetArn)
		}
	}
	want := map[string]string{
		"us-east-1a": "use1-az1 172.31.0.0/20 4089 true",
		"us-east-1b": "use1-az2 172.31.16.0/20 4090 true",
		"us-east-1c": "use1-az3 172.31.32.0/20 4091 true",
	}
	for zone, text := range want {
		if got[zone] != text {
			t.Errorf("%s: got %q, want %q", zone, got[zone], text)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got zones %v", got)
	}
}

func TestDefaultSecurityGroup(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, "us-east-1")
	all, err := s.DescribeSecurityGroups(ctx, &wire.DescribeSecurityGroupsRequest{})
	if err != nil || len(all.SecurityGroups) != 1 {
		t.Fatal(err, all)
	}
	g := all.SecurityGroups[0]
	if *g.GroupName != "default" || *g.Description != "default VPC security group" || *g.OwnerId != account {
		t.Errorf("unexpected group %+v", g)
	}
	if p := g.IpPermissions[0]; *p.IpProtocol != "-1" || *p.UserIdGroupPairs[0].GroupId != *g.GroupId || p.FromPort != nil {
		t.Errorf("inbound rule %+v does not admit the group itself", p)
	}
	if p := g.IpPermissionsEgress[0]; *p.IpProtocol != "-1" || *p.IpRanges[0].CidrIp != "0.0.0.0/0" {
		t.Errorf("outbound rule %+v does not admit everything", p)
	}
	for _, c := range []struct {
		name string
		req  wire.DescribeSecurityGroupsRequest
		want int
	}{
		{"by id", wire.DescribeSecurityGroupsRequest{GroupIds: []string{*g.GroupId}}, 1},
		{"by name", wire.DescribeSecurityGroupsRequest{GroupNames: []string{"default"}}, 1},
		{"by filter", wire.DescribeSecurityGroupsRequest{Filters: append(filterBy("group-name", "default"), filterBy("vpc-id", *g.VpcId)...)}, 1},
		{"by its own rule", wire.DescribeSecurityGroupsRequest{Filters: filterBy("ip-permission.group-id", *g.GroupId)}, 1},
		{"by egress", wire.DescribeSecurityGroupsRequest{Filters: filterBy("egress.ip-permission.cidr", "0.0.0.0/*")}, 1},
		{"other name", wire.DescribeSecurityGroupsRequest{Filters: filterBy("group-name", "web")}, 0},
		{"other vpc", wire.DescribeSecurityGroupsRequest{Filters: append(filterBy("group-name", "default"), filterBy("vpc-id", "vpc-1")...)}, 0},
		{"port", wire.DescribeSecurityGroupsRequest{Filters: filterBy("ip-permission.from-port", "6379")}, 0},
	} {
		out, err := s.DescribeSecurityGroups(ctx, &c.req)
		if err != nil || len(out.SecurityGroups) != c.want {
			t.Errorf("%s: got %v, %v", c.name, out, err)
		} else if out.SecurityGroups == nil {
			t.Errorf("%s: an empty list must be shown as one", c.name)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, "us-east-1")
	for _, c := range []struct {
		name, code, part string
		call             func() error
	}{
		{"unknown VPC", "InvalidVpcID.NotFound", "The vpc ID 'vpc-0' does not exist", func() error {
			_, err := s.DescribeVpcs(ctx, &wire.DescribeVpcsRequest{VpcIds: []string{"vpc-0"}})
			return err
		}},
		{"unknown subnet", "InvalidSubnetID.NotFound", "The subnet ID 'subnet-0' does not exist", func() error {
			_, err := s.DescribeSubnets(ctx, &wire.DescribeSubnetsRequest{SubnetIds: []string{"subnet-0"}})
			return err
		}},
		{"unknown group", "InvalidGroup.NotFound", "The security group 'sg-0' does not exist", func() error {
			_, err := s.DescribeSecurityGroups(ctx, &wire.DescribeSecurityGroupsRequest{GroupIds: []string{"sg-0"}})
			return err
		}},
		{"malformed group", "InvalidGroupId.Malformed", `(expecting "sg-...")`, func() error {
			_, err := s.DescribeSecurityGroups(ctx, &wire.DescribeSecurityGroupsRequest{GroupIds: []string{"default"}})
			return err
		}},
		{"malformed VPC", "InvalidVpcID.Malformed", `Invalid id: "10.0.0.0" (expecting "vpc-...")`, func() error {
			_, err := s.DescribeVpcs(ctx, &wire.DescribeVpcsRequest{VpcIds: []string{"10.0.0.0"}})
			return err
		}},
		{"malformed subnet", "InvalidSubnetID.Malformed", `(expecting "subnet-...")`, func() error {
			return s.DeleteSubnet(ctx, &wire.DeleteSubnetRequest{SubnetId: core.Ptr("a")})
		}},
		{"malformed interface", "InvalidNetworkInterfaceId.Malformed", `(expecting "eni-...")`, func() error {
			_, err := s.DescribeNetworkInterfaces(ctx, &wire.DescribeNetworkInterfacesRequest{NetworkInterfaceIds: []string{"eth0"}})
			return err
		}},
		{"malformed ACL", "InvalidNetworkAclId.Malformed", `(expecting "acl-...")`, func() error {
			_, err := s.DescribeNetworkAcls(ctx, &wire.DescribeNetworkAclsRequest{NetworkAclIds: []string{"default"}})
			return err
		}},
		{"malformed route table", "InvalidRouteTableId.Malformed", `(expecting "rtb-...")`, func() error {
			_, err := s.DescribeRouteTables(ctx, &wire.DescribeRouteTablesRequest{RouteTableIds: []string{"main"}})
			return err
		}},
		{"unknown group name", "InvalidGroup.NotFound", "'web' does not exist in default VPC 'vpc-", func() error {
			_, err := s.DescribeSecurityGroups(ctx, &wire.DescribeSecurityGroupsRequest{GroupNames: []string{"web"}})
			return err
		}},
		{"unknown zone", "InvalidParameterValue", "[us-east-1z]", func() error {
			_, err := s.DescribeAvailabilityZones(ctx, &wire.DescribeAvailabilityZonesRequest{ZoneNames: []string{"us-east-1a", "us-east-1z"}})
			return err
		}},
		{"unknown region", "InvalidParameterValue", "[mars-1]", func() error {
			_, err := s.DescribeRegions(ctx, &wire.DescribeRegionsRequest{RegionNames: []string{"mars-1"}})
			return err
		}},
		{"unknown filter", "InvalidParameterValue", "The filter 'colour' is invalid", func() error {
			_, err := s.DescribeSubnets(ctx, &wire.DescribeSubnetsRequest{Filters: filterBy("colour", "red")})
			return err
		}},
		{"filter without name", "MissingParameter", "Filter.Name", func() error {
			_, err := s.DescribeVpcs(ctx, &wire.DescribeVpcsRequest{Filters: []*wire.Filter{{Values: []string{"x"}}}})
			return err
		}},
		{"filter without values", "InvalidParameterValue", "vpc-id", func() error {
			_, err := s.DescribeVpcs(ctx, &wire.DescribeVpcsRequest{Filters: filterBy("vpc-id")})
			return err
		}},
		{"page of named ids", "InvalidParameterCombination", "maxResults", func() error {
			all, err := s.DescribeSubnets(ctx, &wire.DescribeSubnetsRequest{})
			if err != nil {
				return err
			}
			_, err = s.DescribeSubnets(ctx, &wire.DescribeSubnetsRequest{SubnetIds: []string{*all.Subnets[0].SubnetId}, MaxResults: core.Ptr(5)})
			return err
		}},
		{"bad token", "InvalidNextToken", "not valid", func() error {
			_, err := s.DescribeSubnets(ctx, &wire.DescribeSubnetsRequest{NextToken: core.Ptr("x")})
			return err
		}},
		{"dry run", "DryRunOperation", "would have succeeded", func() error {
			_, err := s.DescribeVpcs(ctx, &wire.DescribeVpcsRequest{DryRun: core.Ptr(true)})
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) { refused(t, c.call(), c.code, c.part) })
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, "us-east-1")
	var seen []string
	var token *string
	for {
		// The smallest page a client can ask for is 5; the handler takes any.
		out, err := s.DescribeSubnets(ctx, &wire.DescribeSubnetsRequest{MaxResults: core.Ptr(2), NextToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range out.Subnets {
			seen = append(seen, *n.SubnetId)
		}
		if token = out.NextToken; token == nil {
			break
		}
	}
	if len(seen) != 3 || !slices.IsSorted(seen) || len(slices.Compact(seen)) != 3 {
		t.Errorf("pages held %v", seen)
	}
}

func TestZonesAndRegions(t *testing.T) {
	t.Parallel()
	s := newService(t)
	zones, err := s.DescribeAvailabilityZones(in(t, "ap-northeast-1"), &wire.DescribeAvailabilityZonesRequest{Filters: filterBy("state", "available")})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, z := range zones.AvailabilityZones {
		got = append(got, *z.ZoneName+"="+*z.ZoneId)
	}
	if want := []string{"ap-northeast-1a=apne1-az1", "ap-northeast-1b=apne1-az2", "ap-northeast-1c=apne1-az3"}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	one, err := s.DescribeAvailabilityZones(in(t, "us-east-1"), &wire.DescribeAvailabilityZonesRequest{ZoneIds: []string{"use1-az2"}})
	if err != nil || len(one.AvailabilityZones) != 1 || *one.AvailabilityZones[0].ZoneName != "us-east-1b" {
		t.Errorf("by zone id: %v %v", one, err)
	}
	regions, err := s.DescribeRegions(in(t, "us-east-1"), &wire.DescribeRegionsRequest{})
	if err != nil || len(regions.Regions) != 34 {
		t.Errorf("got %d regions, %v", len(regions.Regions), err)
	}
	named, err := s.DescribeRegions(in(t, "us-east-1"), &wire.DescribeRegionsRequest{RegionNames: []string{"eu-west-3"}})
	if err != nil || len(named.Regions) != 1 || *named.Regions[0].Endpoint != "ec2.eu-west-3.amazonaws.com" {
		t.Errorf("by name: %v %v", named, err)
	}
}

func TestZoneIDPrefix(t *testing.T) {
	t.Parallel()
	for region, want := range map[string]string{
		"us-east-1": "use1", "eu-central-2": "euc2", "ap-southeast-3": "apse3", "ap-south-1": "aps1",
		"us-gov-west-1": "usgw1", "cn-northwest-1": "cnnw1", "il-central-1": "ilc1",
	} {
		if got := zoneIDPrefix(region); got != want {
			t.Errorf("%s: got %s, want %s", region, got, want)
		}
	}
}

func TestAccountAttributes(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, "us-east-1")
	out, err := s.DescribeAccountAttributes(ctx, &wire.DescribeAccountAttributesRequest{AttributeNames: []string{"supported-platforms", "default-vpc"}})
	if err != nil {
		t.Fatal(err)
	}
	vpcs, err := s.DescribeVpcs(ctx, &wire.DescribeVpcsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range out.AccountAttributes {
		got = append(got, *a.AttributeName+"="+*a.AttributeValues[0].AttributeValue)
	}
	if want := []string{"supported-platforms=VPC", "default-vpc=" + *vpcs.Vpcs[0].VpcId}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, value string
		want           bool
	}{
		{"abc", "abc", true},
		{"abc", "abcd", false},
		{"", "", true},
		{"*", "", true},
		{"a*c", "abbbc", true},
		{"a*c", "abbb", false},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"*b*", "abc", true},
		{"a*b*c", "axxbyyc", true},
		{`\*`, "*", true},
		{`\*`, "x", false},
		{`a\?`, "a?", true},
		{`a\?`, "ab", false},
		{"Abc", "abc", false},
		{strings.Repeat("*a", 200), strings.Repeat("a", 199), false},
	} {
		if got := matches(c.pattern, c.value); got != c.want {
			t.Errorf("matches(%q, %q) = %v", c.pattern, c.value, got)
		}
	}
}

func FuzzMatches(f *testing.F) {
	f.Add("a*b?c", "axbyc")
	f.Fuzz(func(t *testing.T, pattern, value string) {
		matches(pattern, value) // must end, and not panic
		if !matches("*"+strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`).Replace(value), value) {
			t.Errorf("%q does not match itself", value)
		}
	})
}

package ec2

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

func createSubnet(t *testing.T, s *Service, vpc, cidr, zone string) string {
	t.Helper()
	out, err := s.CreateSubnet(in(t, home), &wire.CreateSubnetRequest{VpcId: &vpc, CidrBlock: &cidr, AvailabilityZone: &zone})
	if err != nil {
		t.Fatal(err)
	}
	return *out.Subnet.SubnetId
}

func TestVPCLife(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, home)
	made, err := s.CreateVpc(ctx, &wire.CreateVpcRequest{
		CidrBlock: core.Ptr("10.1.2.3/20"), InstanceTenancy: core.Ptr("default"), AmazonProvidedIpv6CidrBlock: core.Ptr(false),
		TagSpecifications: []*wire.TagSpecification{{ResourceType: core.Ptr("vpc"), Tags: []*wire.Tag{{Key: core.Ptr("Name"), Value: core.Ptr("sample")}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	v := made.Vpc
	if *v.CidrBlock != "10.1.0.0/20" || *v.IsDefault || *v.State != "available" || *v.Tags[0].Value != "sample" || len(*v.VpcId) != len("vpc-")+17 {
		t.Errorf("made %+v", v)
	}
	groups, err := s.DescribeSecurityGroups(ctx, &wire.DescribeSecurityGroupsRequest{Filters: append(filterBy("vpc-id", *v.VpcId), filterBy("group-name", "default")...)})
	if err != nil || len(groups.SecurityGroups) != 1 {
		t.Fatalf("default group: %v, %v", groups, err)
	}
	standard := *groups.SecurityGroups[0].GroupId
	if got, want := shown(t, s, standard), "in -1 "+standard+"\n"+everythingOut; got != want {
		t.Errorf("default group has\n%swant\n%s", got, want)
	}
	remove := func() error { return s.DeleteVpc(ctx, &wire.DeleteVpcRequest{VpcId: v.VpcId}) }
	subnet := createSubnet(t, s, *v.VpcId, "10.1.0.7/24", "us-east-1b")
	group := createGroup(t, s, *v.VpcId, "cache")
	refused(t, remove(), "DependencyViolation", "The vpc '"+*v.VpcId+"' has dependencies and cannot be deleted.")
	if err := s.DeleteSubnet(ctx, &wire.DeleteSubnetRequest{SubnetId: &subnet}); err != nil {
		t.Fatal(err)
	}
	refused(t, remove(), "DependencyViolation", *v.VpcId)
	if _, err := s.DeleteSecurityGroup(ctx, &wire.DeleteSecurityGroupRequest{GroupId: &group}); err != nil {
		t.Fatal(err)
	}
	if err := remove(); err != nil {
		t.Fatal(err)
	}
	refused(t, remove(), "InvalidVpcID.NotFound", *v.VpcId)
	_, err = s.DescribeSecurityGroups(ctx, &wire.DescribeSecurityGroupsRequest{GroupIds: []string{standard}})
	refused(t, err, "InvalidGroup.NotFound", standard)
}

func TestVPCRefusals(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, c := range []struct{ cidr, code, says string }{
		{"", "MissingParameter", "cidrBlock"},
		{"10.0.0.0", "InvalidParameterValue", "Value (10.0.0.0) for parameter cidrBlock is invalid. This is not a valid CIDR block."},
		{"fd00::/56", "InvalidParameterValue", "not a valid CIDR block"},
		{"10.0.0.0/15", "InvalidVpc.Range", "The CIDR '10.0.0.0/15' is invalid."},
		{"10.0.0.0/29", "InvalidVpc.Range", "The CIDR '10.0.0.0/29' is invalid."},
		{"127.1.0.0/16", "InvalidVpc.Range", "127.1.0.0/16"},
		{"169.254.0.0/20", "InvalidVpc.Range", "169.254.0.0/20"},
		{"224.0.0.0/16", "InvalidVpc.Range", "224.0.0.0/16"},
	} {
		_, err := s.CreateVpc(in(t, home), &wire.CreateVpcRequest{CidrBlock: &c.cidr})
		refused(t, err, c.code, c.says)
	}
	for _, good := range []string{"10.0.0.0/16", "192.168.3.16/28", "100.64.0.0/20"} {
		createVPC(t, s, good)
	}
}

func TestSubnetLife(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, home)
	vpc := createVPC(t, s, "10.0.0.0/20")
	first := createSubnet(t, s, vpc, "10.0.0.0/24", "us-east-1c")
	out, err := s.DescribeSubnets(ctx, &wire.DescribeSubnetsRequest{SubnetIds: []string{first}})
	if err != nil {
		t.Fatal(err)
	}
	n := out.Subnets[0]
	if *n.AvailabilityZoneId != "use1-az3" || *n.AvailableIpAddressCount != 251 || *n.DefaultForAz || *n.MapPublicIpOnLaunch || *n.VpcId != vpc {
		t.Errorf("made %+v", n)
	}
	zone, err := s.CreateSubnet(ctx, &wire.CreateSubnetRequest{VpcId: &vpc, CidrBlock: core.Ptr("10.0.15.240/28"), AvailabilityZoneId: core.Ptr("use1-az2")})
	if err != nil || *zone.Subnet.AvailabilityZone != "us-east-1b" {
		t.Errorf("by zone id: %v, %v", zone, err)
	}
	for _, c := range []struct{ name, vpc, cidr, zone, code, says string }{
		{"inside another", vpc, "10.0.0.128/25", "us-east-1a", "InvalidSubnet.Conflict", "The CIDR '10.0.0.128/25' conflicts with another subnet"},
		{"around another", vpc, "10.0.0.0/23", "us-east-1a", "InvalidSubnet.Conflict", "10.0.0.0/23"},
		{"outside", vpc, "10.0.16.0/24", "us-east-1a", "InvalidSubnet.Range", "The CIDR '10.0.16.0/24' is invalid."},
		{"larger than the VPC", vpc, "10.0.0.0/16", "us-east-1a", "InvalidSubnet.Range", "10.0.0.0/16"},
		{"too small", vpc, "10.0.4.0/29", "us-east-1a", "InvalidSubnet.Range", "10.0.4.0/29"},
		{"no range", vpc, "", "us-east-1a", "MissingParameter", "cidrBlock"},
		{"malformed", vpc, "10.0.4.0", "us-east-1a", "InvalidParameterValue", "not a valid CIDR block"},
		{"no such zone", vpc, "10.0.4.0/24", "us-east-1z", "InvalidParameterValue", "Value (us-east-1z) for parameter availabilityZone is invalid. Subnets can currently only be created in the following availability zones: us-east-1a, us-east-1b, us-east-1c."},
		{"no such VPC", "vpc-0", "10.0.4.0/24", "us-east-1a", "InvalidVpcID.NotFound", "vpc-0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := s.CreateSubnet(ctx, &wire.CreateSubnetRequest{VpcId: &c.vpc, CidrBlock: &c.cidr, AvailabilityZone: &c.zone})
			refused(t, err, c.code, c.says)
		})
	}
	address := func(put bool) {
		err := s.store.Update(ctx, func(tx *store.Tx) error {
			if put {
				resource.Addresses.Put(tx, key(home, vpc)+"/10.0.0.9", &resource.Address{Owner: "test"})
			} else {
				resource.Addresses.Delete(tx, key(home, vpc)+"/10.0.0.9")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	address(true)
	refused(t, s.DeleteSubnet(ctx, &wire.DeleteSubnetRequest{SubnetId: &first}), "DependencyViolation", "The subnet '"+first+"' has dependencies and cannot be deleted.")
	address(false)
	if err := s.DeleteSubnet(ctx, &wire.DeleteSubnetRequest{SubnetId: &first}); err != nil {
		t.Fatal(err)
	}
	refused(t, s.DeleteSubnet(ctx, &wire.DeleteSubnetRequest{SubnetId: &first}), "InvalidSubnetID.NotFound", first)
}

// The default VPC goes like any other and stays away until it is asked for.
func TestDefaultVPCGoesAndComesBack(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, home)
	vpc, group := defaultVPC(t, s)
	_, err := s.CreateDefaultVpc(ctx, &wire.CreateDefaultVpcRequest{})
	refused(t, err, "DefaultVpcAlreadyExists", home)
	subnets, err := s.DescribeSubnets(ctx, &wire.DescribeSubnetsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range subnets.Subnets {
		if err := s.DeleteSubnet(ctx, &wire.DeleteSubnetRequest{SubnetId: n.SubnetId}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DeleteVpc(ctx, &wire.DeleteVpcRequest{VpcId: &vpc}); err != nil {
		t.Fatal(err)
	}
	left, err := s.DescribeVpcs(ctx, &wire.DescribeVpcsRequest{})
	if err != nil || len(left.Vpcs) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	_, err = s.DescribeVpcs(ctx, &wire.DescribeVpcsRequest{Filters: filterBy("colour", "red")})
	refused(t, err, "InvalidParameterValue", "The filter 'colour' is invalid")
	_, err = s.CreateSecurityGroup(ctx, &wire.CreateSecurityGroupRequest{GroupName: core.Ptr("x"), Description: core.Ptr("x")})
	refused(t, err, "VPCIdNotSpecified", "No default VPC for this user.")
	_, err = s.DescribeSecurityGroups(ctx, &wire.DescribeSecurityGroupsRequest{GroupNames: []string{"default"}})
	refused(t, err, "VPCIdNotSpecified", "No default VPC")
	platform, err := s.DescribeAccountAttributes(ctx, &wire.DescribeAccountAttributesRequest{AttributeNames: []string{"default-vpc"}})
	if err != nil || *platform.AccountAttributes[0].AttributeValues[0].AttributeValue != "none" {
		t.Errorf("default-vpc: %v, %v", platform, err)
	}
	again, err := s.CreateDefaultVpc(ctx, &wire.CreateDefaultVpcRequest{})
	if err != nil || !*again.Vpc.IsDefault {
		t.Fatalf("made again: %v, %v", again, err)
	}
	if v, g := defaultVPC(t, s); v != *again.Vpc.VpcId || g != group {
		t.Errorf("made again as %s with %s", v, g)
	}
}

func TestVPCAttributes(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, home)
	standard, _ := defaultVPC(t, s)
	own := createVPC(t, s, "10.0.0.0/16")
	shown := func(vpc string) string {
		var out []string
		for _, name := range []string{"enableDnsSupport", "enableDnsHostnames", "enableNetworkAddressUsageMetrics"} {
			a, err := s.DescribeVpcAttribute(ctx, &wire.DescribeVpcAttributeRequest{VpcId: &vpc, Attribute: &name})
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range []*wire.AttributeBooleanValue{a.EnableDnsSupport, a.EnableDnsHostnames, a.EnableNetworkAddressUsageMetrics} {
				if v != nil {
					out = append(out, fmt.Sprint(*v.Value))
				}
			}
		}
		return strings.Join(out, " ")
	}
	if a, b := shown(standard), shown(own); a != "true true false" || b != "true false false" {
		t.Errorf("default %s, own %s", a, b)
	}
	modify := func(in wire.ModifyVpcAttributeRequest) error { return s.ModifyVpcAttribute(ctx, &in) }
	if err := modify(wire.ModifyVpcAttributeRequest{VpcId: &own, EnableDnsHostnames: attribute(true)}); err != nil {
		t.Fatal(err)
	}
	if err := modify(wire.ModifyVpcAttributeRequest{VpcId: &own, EnableDnsSupport: attribute(true)}); err != nil {
		t.Fatal(err)
	}
	if got := shown(own); got != "true true false" {
		t.Errorf("after the change %s", got)
	}
	refused(t, modify(wire.ModifyVpcAttributeRequest{VpcId: &own, EnableDnsSupport: attribute(false)}), "UnsupportedOperation", "EnableDnsSupport")
	refused(t, modify(wire.ModifyVpcAttributeRequest{VpcId: &own, EnableNetworkAddressUsageMetrics: attribute(true)}), "UnsupportedOperation", "EnableNetworkAddressUsageMetrics")
	refused(t, modify(wire.ModifyVpcAttributeRequest{VpcId: &own}), "InvalidParameterCombination", "No attributes")
	refused(t, modify(wire.ModifyVpcAttributeRequest{VpcId: &own, EnableDnsSupport: attribute(true), EnableDnsHostnames: attribute(true)}), "InvalidParameterCombination", "multiple")
	refused(t, modify(wire.ModifyVpcAttributeRequest{VpcId: core.Ptr("vpc-0"), EnableDnsSupport: attribute(true)}), "InvalidVpcID.NotFound", "vpc-0")
}

// What comes with a VPC can be read, as Terraform does, and not be changed.
func TestPartsOfAVPC(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, home)
	vpc := createVPC(t, s, "10.0.0.0/16")
	subnet := createSubnet(t, s, vpc, "10.0.0.0/24", "us-east-1a")
	acls, err := s.DescribeNetworkAcls(ctx, &wire.DescribeNetworkAclsRequest{Filters: append(filterBy("default", "true"), filterBy("vpc-id", vpc)...)})
	if err != nil || len(acls.NetworkAcls) != 1 {
		t.Fatalf("network ACLs: %v, %v", acls, err)
	}
	if a := acls.NetworkAcls[0]; *a.Associations[0].SubnetId != subnet || len(a.Entries) != 4 || !*a.IsDefault {
		t.Errorf("network ACL %+v", a)
	}
	tables, err := s.DescribeRouteTables(ctx, &wire.DescribeRouteTablesRequest{Filters: append(filterBy("association.main", "true"), filterBy("vpc-id", vpc)...)})
	if err != nil || len(tables.RouteTables) != 1 {
		t.Fatalf("route tables: %v, %v", tables, err)
	}
	if r := tables.RouteTables[0]; *r.Routes[0].DestinationCidrBlock != "10.0.0.0/16" || *r.Routes[0].GatewayId != "local" || len(r.Routes) != 1 {
		t.Errorf("route table %+v", r)
	}
	_, err = s.DescribeRouteTables(ctx, &wire.DescribeRouteTablesRequest{RouteTableIds: []string{"rtb-0"}})
	refused(t, err, "InvalidRouteTableID.NotFound", "rtb-0")
	_, err = s.DescribeNetworkAcls(ctx, &wire.DescribeNetworkAclsRequest{NetworkAclIds: []string{"acl-0"}})
	refused(t, err, "InvalidNetworkAclID.NotFound", "acl-0")
}

func TestNetworkInterfaces(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, home)
	vpc := createVPC(t, s, "10.0.0.0/16")
	subnet := createSubnet(t, s, vpc, "10.0.0.0/24", "us-east-1a")
	group := createGroup(t, s, vpc, "cache")
	none, err := s.DescribeNetworkInterfaces(ctx, &wire.DescribeNetworkInterfacesRequest{Filters: filterBy("subnet-id", subnet)})
	if err != nil || len(none.NetworkInterfaces) != 0 {
		t.Fatalf("without nodes: %v, %v", none, err)
	}
	c := &resource.CacheCluster{Region: home, ID: "rg-001", UID: "u1", Spec: resource.CacheClusterSpec{SecurityGroupIDs: []string{group}, Nodes: []resource.NodeSlot{{
		ID: "0001", Zone: "us-east-1a", SubnetID: subnet, Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Endpoint: resource.Endpoint{VPC: core.Endpoint{Address: "10.0.0.9", Port: 6379}},
	}}}}
	put := func() {
		if err := s.store.Update(ctx, func(tx *store.Tx) error { resource.CacheClusters.Put(tx, key(home, c.ID), c); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	put()
	var ids []string
	for name, filters := range map[string][]*wire.Filter{
		"group":       filterBy("group-id", group),
		"group name":  filterBy("group-name", "cache"),
		"subnet":      filterBy("subnet-id", subnet),
		"network":     filterBy("vpc-id", vpc),
		"description": filterBy("description", "ElastiCache rg-001"),
		"requester":   filterBy("requester-managed", "true"),
	} {
		out, err := s.DescribeNetworkInterfaces(ctx, &wire.DescribeNetworkInterfacesRequest{Filters: filters})
		if err != nil || len(out.NetworkInterfaces) != 1 {
			t.Fatalf("by %s: %v, %v", name, out, err)
		}
		n := out.NetworkInterfaces[0]
		ids = append(ids, *n.NetworkInterfaceId)
		if *n.PrivateIpAddress != "10.0.0.9" || *n.VpcId != vpc || *n.Groups[0].GroupName != "cache" || *n.Status != "in-use" {
			t.Errorf("shown as %+v", n)
		}
	}
	if slices.Sort(ids); ids[0] != ids[len(ids)-1] {
		t.Errorf("one interface has the ids %v", ids)
	}
	c.UID = "u2" // a cluster of the same name later
	put()
	out, err := s.DescribeNetworkInterfaces(ctx, &wire.DescribeNetworkInterfacesRequest{})
	if err != nil || *out.NetworkInterfaces[0].NetworkInterfaceId == ids[0] {
		t.Errorf("another node has the same interface: %v, %v", out, err)
	}
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		for address, detached := range map[string]bool{"10.0.0.10": false, "": true} {
			a := &resource.Attachment{Region: home, VPCID: vpc, Address: address, SecurityGroupIDs: []string{group}, Detached: detached}
			if detached {
				a.VPCID = "vpc-0"
			}
			resource.Attachments.Put(tx, a.Key(), a)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	host, err := s.DescribeNetworkInterfaces(ctx, &wire.DescribeNetworkInterfacesRequest{Filters: filterBy("description", "Larder host")})
	if err != nil || len(host.NetworkInterfaces) != 1 || *host.NetworkInterfaces[0].SubnetId != subnet || *host.NetworkInterfaces[0].PrivateIpAddress != "10.0.0.10" {
		t.Errorf("of the host: %v, %v", host, err)
	}
	_, err = s.DescribeNetworkInterfaces(ctx, &wire.DescribeNetworkInterfacesRequest{NetworkInterfaceIds: []string{"eni-0"}})
	refused(t, err, "InvalidNetworkInterfaceID.NotFound", "eni-0")
}

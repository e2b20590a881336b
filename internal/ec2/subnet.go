package ec2

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// reserved is how many addresses of a subnet AWS keeps: the first four and the
// last one.
const reserved = 5

// subnet is a subnet with what is derived when it is described.
type subnet struct {
	resource.Subnet
	vpc  *resource.VPC
	free int
}

// DescribeSubnets lists the subnets of the region.
func (s *Service) DescribeSubnets(ctx context.Context, in *wire.DescribeSubnetsRequest) (*wire.DescribeSubnetsResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	var all []subnet
	err := s.withVPC(ctx, func(r store.Reader, _ *resource.VPC) error {
		all = subnets(r, region(ctx))
		return nil
	})
	if err != nil {
		return nil, err
	}
	id := func(n subnet) string { return n.ID }
	if unknown := absent(in.SubnetIds, all, id); len(unknown) > 0 {
		return nil, errSubnetNotFound(unknown[0])
	}
	found, err := filtered(all, in.Filters, s.subnetAttributes)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(n subnet) bool { return !named(in.SubnetIds, n.ID) })
	page, next, err := paginate(found, id, "DescribeSubnets", "subnetId", in.SubnetIds, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeSubnetsResult{Subnets: []*wire.Subnet{}, NextToken: next}
	for _, n := range page {
		out.Subnets = append(out.Subnets, s.wireSubnet(n))
	}
	return out, nil
}

// subnets are all subnets of a region, sorted by id.
func subnets(r store.Reader, region string) []subnet {
	var out []subnet
	for _, vpc := range resource.VPCs.List(r, region+"/") {
		taken := addresses(r, vpc)
		for _, n := range vpc.Subnets {
			out = append(out, subnet{Subnet: n, vpc: vpc, free: freeAddresses(n.CIDR, taken)})
		}
	}
	slices.SortFunc(out, func(a, b subnet) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// addresses are the addresses of a VPC that something has been given.
func addresses(r store.Reader, vpc *resource.VPC) []netip.Addr {
	prefix := vpcKey(vpc) + "/"
	var out []netip.Addr
	for _, key := range resource.Addresses.Keys(r, prefix) {
		if a, err := netip.ParseAddr(strings.TrimPrefix(key, prefix)); err == nil {
			out = append(out, a)
		}
	}
	return out
}

func freeAddresses(cidr string, taken []netip.Addr) int {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return 0
	}
	free := 1<<(prefix.Addr().BitLen()-prefix.Bits()) - reserved
	for _, a := range taken {
		if prefix.Contains(a) {
			free--
		}
	}
	return max(free, 0)
}

func (s *Service) wireSubnet(n subnet) *wire.Subnet {
	return &wire.Subnet{
		AvailabilityZone: core.Ptr(n.Zone), AvailabilityZoneId: core.Ptr(n.ZoneID),
		AvailableIpAddressCount: core.Ptr(n.free), CidrBlock: core.Ptr(n.CIDR),
		DefaultForAz: core.Ptr(n.DefaultForAZ), MapPublicIpOnLaunch: core.Ptr(n.DefaultForAZ),
		MapCustomerOwnedIpOnLaunch: core.Ptr(false), State: core.Ptr("available"),
		SubnetId: core.Ptr(n.ID), VpcId: core.Ptr(n.vpc.ID), OwnerId: core.Ptr(s.account),
		AssignIpv6AddressOnCreation: core.Ptr(false), Ipv6CidrBlockAssociationSet: []*wire.SubnetIpv6CidrBlockAssociation{},
		Tags: wireTags(n.Tags), SubnetArn: core.Ptr(s.arn(n.vpc.Region, "subnet", n.ID)),
		EnableDns64: core.Ptr(false), Ipv6Native: core.Ptr(false),
		PrivateDnsNameOptionsOnLaunch: &wire.PrivateDnsNameOptionsOnLaunch{
			HostnameType:                 core.Ptr("ip-name"),
			EnableResourceNameDnsARecord: core.Ptr(false), EnableResourceNameDnsAAAARecord: core.Ptr(false),
		},
	}
}

func (s *Service) subnetAttributes(n subnet) attributes {
	return attributes{
		"availability-zone": {n.Zone}, "availability-zone-id": {n.ZoneID},
		"available-ip-address-count": {strconv.Itoa(n.free)},
		"cidr":                       {n.CIDR}, "cidr-block": {n.CIDR}, "default-for-az": boolText(n.DefaultForAZ),
		"map-public-ip-on-launch": boolText(n.DefaultForAZ), "assign-ipv6-address-on-creation": boolText(false),
		"map-customer-owned-ip-on-launch": boolText(false), "customer-owned-ipv4-pool": nil, "outpost-arn": nil,
		"enable-dns64": boolText(false), "ipv6-native": boolText(false), "enable-lni-at-device-index": nil,
		"ipv6-cidr-block-association.ipv6-cidr-block": nil, "ipv6-cidr-block-association.association-id": nil,
		"ipv6-cidr-block-association.state":                                       nil,
		"private-dns-name-options-on-launch.hostname-type":                        {"ip-name"},
		"private-dns-name-options-on-launch.enable-resource-name-dns-a-record":    boolText(false),
		"private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record": boolText(false),
		"owner-id": {s.account}, "state": {"available"}, "subnet-arn": {s.arn(n.vpc.Region, "subnet", n.ID)},
		"subnet-id": {n.ID}, "vpc-id": {n.vpc.ID},
	}.tagged(n.Tags)
}

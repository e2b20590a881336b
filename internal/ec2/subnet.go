package ec2

import (
	"context"
	"fmt"
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

// maxSubnets is the quota of a VPC.
const maxSubnets = 200

// subnet is a subnet with what is derived when it is described.
type subnet struct {
	resource.Subnet
	vpc  *resource.VPC
	free int
}

// CreateSubnet adds a part of a VPC's range, in one zone.
func (s *Service) CreateSubnet(ctx context.Context, in *wire.CreateSubnetRequest) (*wire.CreateSubnetResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	err := refuse(
		refusal{"Ipv6CidrBlock", in.Ipv6CidrBlock != nil}, refusal{"OutpostArn", in.OutpostArn != nil},
		refusal{"Ipv6Native", core.Val(in.Ipv6Native)},
		refusal{"Ipv4IpamPoolId", in.Ipv4IpamPoolId != nil}, refusal{"Ipv4NetmaskLength", in.Ipv4NetmaskLength != nil},
		refusal{"Ipv6IpamPoolId", in.Ipv6IpamPoolId != nil}, refusal{"Ipv6NetmaskLength", in.Ipv6NetmaskLength != nil},
	)
	if err != nil {
		return nil, err
	}
	if core.Val(in.CidrBlock) == "" {
		return nil, errMissing("cidrBlock")
	}
	cidr, ok := parseCIDR(*in.CidrBlock)
	if !ok {
		return nil, errCIDR(*in.CidrBlock)
	}
	tags, err := tagSpecification(in.TagSpecifications, "subnet")
	if err != nil {
		return nil, err
	}
	zone, err := subnetZone(region(ctx), in.AvailabilityZone, in.AvailabilityZoneId)
	if err != nil {
		return nil, err
	}
	n := resource.Subnet{ID: s.fresh("subnet"), CIDR: cidr.String(), Zone: zone.name, ZoneID: zone.id, Tags: tags}
	var out *wire.Subnet
	err = s.update(ctx, func(tx *store.Tx) error {
		vpc, ok := getVPC(tx, region(ctx), *in.VpcId)
		if !ok {
			return errVPCNotFound(*in.VpcId)
		}
		if err := fits(vpc, cidr); err != nil {
			return err
		}
		vpc.Subnets = append(vpc.Subnets, n)
		resource.VPCs.Put(tx, vpcKey(vpc), vpc)
		out = s.wireSubnet(subnet{Subnet: n, vpc: vpc, free: freeAddresses(n.CIDR, nil)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &wire.CreateSubnetResult{Subnet: out}, nil
}

// subnetZone is the zone that a request names, or the region's first.
func subnetZone(region string, name, id *string) (zone, error) {
	all := zones(region)
	if name != nil && id != nil {
		return zone{}, errCombination("availabilityZone", "availabilityZoneId")
	}
	var names, ids []string
	for _, z := range all {
		if name != nil && z.name == *name || id != nil && z.id == *id {
			return z, nil
		}
		names, ids = append(names, z.name), append(ids, z.id)
	}
	switch {
	case name != nil:
		return zone{}, errSubnetZone("availabilityZone", *name, names)
	case id != nil:
		return zone{}, errSubnetZone("availabilityZoneId", *id, ids)
	}
	return all[0], nil
}

// fits refuses a range that is no free part of a VPC.
func fits(vpc *resource.VPC, cidr netip.Prefix) error {
	whole, err := netip.ParsePrefix(vpc.CIDR)
	if err != nil {
		return fmt.Errorf("range of %s: %w", vpc.ID, err)
	}
	if cidr.Bits() < max(minBits, whole.Bits()) || cidr.Bits() > maxBits || !whole.Contains(cidr.Addr()) {
		return errSubnetRange(cidr.String())
	}
	for _, n := range vpc.Subnets {
		if other, ok := parseCIDR(n.CIDR); ok && other.Overlaps(cidr) {
			return errSubnetConflict(cidr.String())
		}
	}
	if len(vpc.Subnets) >= maxSubnets {
		return errSubnetLimit()
	}
	return nil
}

// DeleteSubnet removes a subnet in which no address is in use.
func (s *Service) DeleteSubnet(ctx context.Context, in *wire.DeleteSubnetRequest) error {
	if err := dryRun(in.DryRun); err != nil {
		return err
	}
	return s.update(ctx, func(tx *store.Tx) error {
		vpc, at := findSubnet(tx, region(ctx), *in.SubnetId)
		if vpc == nil {
			return errSubnetNotFound(*in.SubnetId)
		}
		cidr, _ := parseCIDR(vpc.Subnets[at].CIDR)
		if slices.ContainsFunc(addresses(tx, vpc), cidr.Contains) {
			return errDependency("subnet", *in.SubnetId)
		}
		vpc.Subnets = slices.Delete(vpc.Subnets, at, at+1)
		resource.VPCs.Put(tx, vpcKey(vpc), vpc)
		return nil
	})
}

// findSubnet is the VPC of a subnet and the subnet's place in it; nil if there is
// no such subnet.
func findSubnet(r store.Reader, region, id string) (*resource.VPC, int) {
	for _, vpc := range vpcsOf(r, region) {
		if at := slices.IndexFunc(vpc.Subnets, func(n resource.Subnet) bool { return n.ID == id }); at >= 0 {
			return vpc, at
		}
	}
	return nil, 0
}

// DescribeSubnets lists the subnets of the region.
func (s *Service) DescribeSubnets(ctx context.Context, in *wire.DescribeSubnetsRequest) (*wire.DescribeSubnetsResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	var all []subnet
	err := s.view(ctx, func(r store.Reader) error {
		all = subnets(r, region(ctx))
		return nil
	})
	if err != nil {
		return nil, err
	}
	page, next, err := answer(all, question[subnet]{
		scope: "DescribeSubnets", idParam: "subnetId", ids: in.SubnetIds, id: func(n subnet) string { return n.ID }, absent: errSubnetNotFound,
		filters: in.Filters, attributes: s.subnetAttributes, blank: subnet{vpc: &resource.VPC{}}, max: in.MaxResults, token: in.NextToken,
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeSubnetsResult{Subnets: []*wire.Subnet{}, NextToken: next}
	for _, n := range page {
		out.Subnets = append(out.Subnets, s.wireSubnet(n))
	}
	return out, nil
}

// subnets are all subnets of a region.
func subnets(r store.Reader, region string) []subnet {
	var out []subnet
	for _, vpc := range vpcsOf(r, region) {
		taken := addresses(r, vpc)
		for _, n := range vpc.Subnets {
			out = append(out, subnet{Subnet: n, vpc: vpc, free: freeAddresses(n.CIDR, taken)})
		}
	}
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

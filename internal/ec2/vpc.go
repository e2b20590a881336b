package ec2

import (
	"context"
	"net/netip"
	"slices"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

func vpcKey(v *resource.VPC) string { return key(v.Region, v.ID) }

// addVPC stores a new VPC with its default security group.
func (s *Service) addVPC(tx *store.Tx, v *resource.VPC) error {
	window, err := s.freeWindow(tx)
	if err != nil {
		return err
	}
	v.Window = window
	resource.VPCs.Put(tx, vpcKey(v), v)
	s.addDefaultGroup(tx, v)
	return nil
}

// freeWindow finds the lowest even window that is free together with the odd one
// after it; see resource.VPC.
func (s *Service) freeWindow(r store.Reader) (int, error) {
	if s.windows == [2]int{} {
		return 0, nil
	}
	taken := map[int]bool{}
	for _, vpc := range resource.VPCs.List(r, "") {
		taken[vpc.Window] = true
	}
	for w := s.windows[0] + s.windows[0]%2; w < s.windows[1]; w += 2 {
		if !taken[w] {
			return w, nil
		}
	}
	return 0, errVPCLimit()
}

// CreateVpc makes a VPC with a default security group and no subnets.
func (s *Service) CreateVpc(ctx context.Context, in *wire.CreateVpcRequest) (*wire.CreateVpcResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	err := refuse(
		refusal{"AmazonProvidedIpv6CidrBlock", core.Val(in.AmazonProvidedIpv6CidrBlock)},
		refusal{"Ipv6Pool", in.Ipv6Pool != nil}, refusal{"Ipv6CidrBlock", in.Ipv6CidrBlock != nil},
		refusal{"Ipv4IpamPoolId", in.Ipv4IpamPoolId != nil}, refusal{"Ipv4NetmaskLength", in.Ipv4NetmaskLength != nil},
		refusal{"Ipv6IpamPoolId", in.Ipv6IpamPoolId != nil}, refusal{"Ipv6NetmaskLength", in.Ipv6NetmaskLength != nil},
		refusal{"InstanceTenancy", not(in.InstanceTenancy, "default")},
		refusal{"Ipv6CidrBlockNetworkBorderGroup", in.Ipv6CidrBlockNetworkBorderGroup != nil},
	)
	if err != nil {
		return nil, err
	}
	if core.Val(in.CidrBlock) == "" {
		return nil, errMissing("cidrBlock")
	}
	cidr, err := vpcCIDR(*in.CidrBlock)
	if err != nil {
		return nil, err
	}
	tags, err := tagSpecification(in.TagSpecifications, "vpc")
	if err != nil {
		return nil, err
	}
	id := s.fresh("vpc")
	vpc := &resource.VPC{Region: region(ctx), ID: id, CIDR: cidr.String(), Tags: tags, DefaultSecurityGroup: s.id("sg", region(ctx), id)}
	if err := s.store.Update(ctx, func(tx *store.Tx) error { return s.addVPC(tx, vpc) }); err != nil {
		return nil, err
	}
	return &wire.CreateVpcResult{Vpc: s.wireVPC(vpc)}, nil
}

func vpcCIDR(text string) (netip.Prefix, error) {
	cidr, ok := parseCIDR(text)
	if !ok {
		return cidr, errCIDR(text)
	}
	if cidr.Bits() < minBits || cidr.Bits() > maxBits || slices.ContainsFunc(unusable(), cidr.Overlaps) {
		return cidr, errVPCRange(text)
	}
	return cidr, nil
}

// DeleteVpc removes a VPC in which nothing is left but its default group.
func (s *Service) DeleteVpc(ctx context.Context, in *wire.DeleteVpcRequest) error {
	if err := dryRun(in.DryRun); err != nil {
		return err
	}
	return s.update(ctx, func(tx *store.Tx) error {
		vpc, ok := getVPC(tx, region(ctx), *in.VpcId)
		if !ok {
			return errVPCNotFound(*in.VpcId)
		}
		others := slices.ContainsFunc(groupsOf(tx, vpc), func(g *resource.SecurityGroup) bool { return g.ID != vpc.DefaultSecurityGroup })
		if len(vpc.Subnets) > 0 || others {
			return errDependency("vpc", vpc.ID)
		}
		resource.VPCs.Delete(tx, vpcKey(vpc))
		resource.SecurityGroups.Delete(tx, key(vpc.Region, vpc.DefaultSecurityGroup))
		if vpc.IsDefault {
			resource.NetworkRegions.Put(tx, vpc.Region, &resource.NetworkRegion{NoDefaultVPC: true})
		}
		return nil
	})
}

// DescribeVpcs lists the region's VPCs.
func (s *Service) DescribeVpcs(ctx context.Context, in *wire.DescribeVpcsRequest) (*wire.DescribeVpcsResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	var all []*resource.VPC
	err := s.view(ctx, func(r store.Reader) error {
		all = vpcsOf(r, region(ctx))
		return nil
	})
	if err != nil {
		return nil, err
	}
	page, next, err := answer(all, question[*resource.VPC]{
		scope: "DescribeVpcs", idParam: "vpcId", ids: in.VpcIds, id: func(v *resource.VPC) string { return v.ID }, absent: errVPCNotFound,
		filters: in.Filters, attributes: s.vpcAttributes, blank: &resource.VPC{}, max: in.MaxResults, token: in.NextToken,
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeVpcsResult{Vpcs: []*wire.Vpc{}, NextToken: next}
	for _, v := range page {
		out.Vpcs = append(out.Vpcs, s.wireVPC(v))
	}
	return out, nil
}

func (s *Service) cidrAssociation(v *resource.VPC) string {
	return s.id("vpc-cidr-assoc", v.Region, v.ID)
}

func (s *Service) wireVPC(v *resource.VPC) *wire.Vpc {
	return &wire.Vpc{
		CidrBlock: core.Ptr(v.CIDR), DhcpOptionsId: core.Ptr("default"), State: core.Ptr("available"),
		VpcId: core.Ptr(v.ID), OwnerId: core.Ptr(s.account), InstanceTenancy: core.Ptr("default"),
		CidrBlockAssociationSet: []*wire.VpcCidrBlockAssociation{{
			AssociationId: core.Ptr(s.cidrAssociation(v)), CidrBlock: core.Ptr(v.CIDR),
			CidrBlockState: &wire.VpcCidrBlockState{State: core.Ptr("associated")},
		}},
		IsDefault: core.Ptr(v.IsDefault), Tags: wireTags(v.Tags),
	}
}

func (s *Service) vpcAttributes(v *resource.VPC) attributes {
	return attributes{
		"cidr": {v.CIDR}, "cidr-block-association.cidr-block": {v.CIDR},
		"cidr-block-association.association-id": {s.cidrAssociation(v)}, "cidr-block-association.state": {"associated"},
		"dhcp-options-id": {"default"}, "is-default": boolText(v.IsDefault), "owner-id": {s.account},
		"state": {"available"}, "vpc-id": {v.ID},
		"ipv6-cidr-block-association.ipv6-cidr-block": nil, "ipv6-cidr-block-association.ipv6-pool": nil,
		"ipv6-cidr-block-association.association-id": nil, "ipv6-cidr-block-association.state": nil,
	}.tagged(v.Tags)
}

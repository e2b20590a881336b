package ec2

import (
	"context"
	"fmt"
	"slices"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// defaultCIDR is the range of every default VPC.
const defaultCIDR = "172.31.0.0/16"

// DefaultVPC returns the region's default VPC, made in tx when it is missing.
func (s *Service) DefaultVPC(tx *store.Tx, region string) (*resource.VPC, error) {
	if vpc, ok := s.PeekDefaultVPC(tx, region); ok {
		return vpc, nil
	}
	window, err := s.freeWindow(tx)
	if err != nil {
		return nil, err
	}
	vpc := &resource.VPC{
		Region: region, ID: s.id("vpc", region, "default"), CIDR: defaultCIDR, IsDefault: true, Window: window,
		DefaultSecurityGroup: s.id("sg", region, "default"),
	}
	for i, z := range zones(region) {
		vpc.Subnets = append(vpc.Subnets, resource.Subnet{
			ID: s.id("subnet", region, z.name), CIDR: fmt.Sprintf("172.31.%d.0/20", i*16),
			Zone: z.name, ZoneID: z.id, DefaultForAZ: true,
		})
	}
	resource.VPCs.Put(tx, vpcKey(vpc), vpc)
	return vpc, nil
}

// PeekDefaultVPC is the region's default VPC if it has been made.
func (s *Service) PeekDefaultVPC(r store.Reader, region string) (*resource.VPC, bool) {
	for _, vpc := range resource.VPCs.List(r, region+"/") {
		if vpc.IsDefault {
			return vpc, true
		}
	}
	return nil, false
}

func vpcKey(v *resource.VPC) string { return v.Region + "/" + v.ID }

// freeWindow finds the lowest even window that is free together with the odd one
// after it; see resource.VPC.
func (s *Service) freeWindow(r store.Reader) (int, error) {
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

// withVPC calls fn with the region's default VPC as it is stored, made before
// when the region is looked at for the first time.
func (s *Service) withVPC(ctx context.Context, fn func(r store.Reader, vpc *resource.VPC) error) error {
	for {
		made := false
		err := s.store.View(ctx, func(r store.Reader) error {
			vpc, ok := s.PeekDefaultVPC(r, region(ctx))
			if !ok {
				return nil
			}
			made = true
			return fn(r, vpc)
		})
		if made || err != nil {
			return err
		}
		err = s.store.Update(ctx, func(tx *store.Tx) error {
			_, err := s.DefaultVPC(tx, region(ctx))
			return err
		})
		if err != nil {
			return err
		}
	}
}

// DescribeVpcs lists the region's VPCs.
func (s *Service) DescribeVpcs(ctx context.Context, in *wire.DescribeVpcsRequest) (*wire.DescribeVpcsResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	var all []*resource.VPC
	err := s.withVPC(ctx, func(r store.Reader, _ *resource.VPC) error {
		all = resource.VPCs.List(r, region(ctx)+"/")
		return nil
	})
	if err != nil {
		return nil, err
	}
	id := func(v *resource.VPC) string { return v.ID }
	if unknown := absent(in.VpcIds, all, id); len(unknown) > 0 {
		return nil, errVPCNotFound(unknown[0])
	}
	found, err := filtered(all, in.Filters, s.vpcAttributes)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(v *resource.VPC) bool { return !named(in.VpcIds, v.ID) })
	page, next, err := paginate(found, id, "DescribeVpcs", "vpcId", in.VpcIds, in.MaxResults, in.NextToken)
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

package ec2

import (
	"context"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// lastRule is the number of the rule at the end of every network ACL.
const lastRule = 32767

// vpcPart is one of the things that come with a VPC, unchangeable.
type vpcPart struct {
	id  string
	vpc *resource.VPC
}

// vpcParts are the things of one kind, one for each VPC of the region.
func (s *Service) vpcParts(ctx context.Context, prefix string) ([]vpcPart, error) {
	var all []vpcPart
	err := s.view(ctx, func(r store.Reader) error {
		for _, v := range vpcsOf(r, region(ctx)) {
			all = append(all, vpcPart{s.id(prefix, v.Region, v.ID), v})
		}
		return nil
	})
	return all, err
}

// DescribeNetworkAcls shows the network ACL of each VPC: it lets everything pass,
// and there is no other.
func (s *Service) DescribeNetworkAcls(ctx context.Context, in *wire.DescribeNetworkAclsRequest) (*wire.DescribeNetworkAclsResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	all, err := s.vpcParts(ctx, "acl")
	if err != nil {
		return nil, err
	}
	page, next, err := answer(all, question[vpcPart]{
		scope: "DescribeNetworkAcls", idParam: "networkAclId", ids: in.NetworkAclIds, id: func(a vpcPart) string { return a.id },
		absent: errACLNotFound, filters: in.Filters, attributes: s.aclAttributes, blank: vpcPart{vpc: &resource.VPC{}},
		max: in.MaxResults, token: in.NextToken,
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeNetworkAclsResult{NetworkAcls: []*wire.NetworkAcl{}, NextToken: next}
	for _, a := range page {
		out.NetworkAcls = append(out.NetworkAcls, s.wireACL(a))
	}
	return out, nil
}

func (s *Service) wireACL(a vpcPart) *wire.NetworkAcl {
	out := &wire.NetworkAcl{
		NetworkAclId: core.Ptr(a.id), VpcId: core.Ptr(a.vpc.ID), OwnerId: core.Ptr(s.account), IsDefault: core.Ptr(true),
		Associations: []*wire.NetworkAclAssociation{}, Tags: []*wire.Tag{},
	}
	for _, egress := range []bool{true, false} {
		for _, r := range []struct {
			number int
			action string
		}{{100, "allow"}, {lastRule, "deny"}} {
			out.Entries = append(out.Entries, &wire.NetworkAclEntry{
				CidrBlock: core.Ptr(anywhere), Egress: core.Ptr(egress), Protocol: core.Ptr(anyProtocol),
				RuleAction: core.Ptr(r.action), RuleNumber: core.Ptr(r.number),
			})
		}
	}
	for _, n := range a.vpc.Subnets {
		out.Associations = append(out.Associations, &wire.NetworkAclAssociation{
			NetworkAclAssociationId: core.Ptr(s.aclAssociation(a.vpc, n)), NetworkAclId: core.Ptr(a.id), SubnetId: core.Ptr(n.ID),
		})
	}
	return out
}

func (s *Service) aclAssociation(v *resource.VPC, n resource.Subnet) string {
	return s.id("aclassoc", v.Region, n.ID)
}

func (s *Service) aclAttributes(a vpcPart) attributes {
	out := attributes{
		"association.association-id": nil, "association.network-acl-id": {a.id}, "association.subnet-id": nil,
		"default": boolText(true), "entry.cidr": {anywhere}, "entry.icmp.code": nil, "entry.icmp.type": nil, "entry.ipv6-cidr": nil,
		"entry.port-range.from": nil, "entry.port-range.to": nil, "entry.protocol": {anyProtocol}, "entry.rule-action": {"allow", "deny"},
		"entry.egress": {"true", "false"}, "entry.rule-number": {"100", decimal(lastRule)},
		"network-acl-id": {a.id}, "owner-id": {s.account}, "vpc-id": {a.vpc.ID},
	}
	for _, n := range a.vpc.Subnets {
		out["association.association-id"] = append(out["association.association-id"], s.aclAssociation(a.vpc, n))
		out["association.subnet-id"] = append(out["association.subnet-id"], n.ID)
	}
	return out.tagged(nil)
}

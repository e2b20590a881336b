package ec2

import (
	"context"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
)

// DescribeRouteTables shows the main route table of each VPC. It leads to the VPC
// itself and nowhere else, and there is no other.
func (s *Service) DescribeRouteTables(ctx context.Context, in *wire.DescribeRouteTablesRequest) (*wire.DescribeRouteTablesResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	all, err := s.vpcParts(ctx, "rtb")
	if err != nil {
		return nil, err
	}
	page, next, err := answer(all, question[vpcPart]{
		scope: "DescribeRouteTables", idParam: "routeTableId", ids: in.RouteTableIds, id: func(t vpcPart) string { return t.id },
		absent: errRouteTableNotFound, filters: in.Filters, attributes: s.routeAttributes, blank: vpcPart{vpc: &resource.VPC{}},
		max: in.MaxResults, token: in.NextToken,
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeRouteTablesResult{RouteTables: []*wire.RouteTable{}, NextToken: next}
	for _, t := range page {
		out.RouteTables = append(out.RouteTables, s.wireRouteTable(t))
	}
	return out, nil
}

func (s *Service) routeAssociation(v *resource.VPC) string { return s.id("rtbassoc", v.Region, v.ID) }

func (s *Service) wireRouteTable(t vpcPart) *wire.RouteTable {
	return &wire.RouteTable{
		RouteTableId: core.Ptr(t.id), VpcId: core.Ptr(t.vpc.ID), OwnerId: core.Ptr(s.account),
		Associations: []*wire.RouteTableAssociation{{
			Main: core.Ptr(true), RouteTableAssociationId: core.Ptr(s.routeAssociation(t.vpc)), RouteTableId: core.Ptr(t.id),
			AssociationState: &wire.RouteTableAssociationState{State: core.Ptr("associated")},
		}},
		Routes: []*wire.Route{{
			DestinationCidrBlock: core.Ptr(t.vpc.CIDR), GatewayId: core.Ptr("local"), Origin: core.Ptr("CreateRouteTable"), State: core.Ptr("active"),
		}},
		PropagatingVgws: []*wire.PropagatingVgw{}, Tags: []*wire.Tag{},
	}
}

func (s *Service) routeAttributes(t vpcPart) attributes {
	out := attributes{
		"association.main": boolText(true), "association.route-table-association-id": {s.routeAssociation(t.vpc)},
		"association.route-table-id": {t.id}, "association.subnet-id": nil, "association.gateway-id": nil,
		"owner-id": {s.account}, "route-table-id": {t.id}, "vpc-id": {t.vpc.ID},
		"route.destination-cidr-block": {t.vpc.CIDR}, "route.gateway-id": {"local"}, "route.origin": {"CreateRouteTable"}, "route.state": {"active"},
	}
	for _, name := range []string{
		"destination-ipv6-cidr-block", "destination-prefix-list-id", "egress-only-internet-gateway-id", "instance-id",
		"nat-gateway-id", "transit-gateway-id", "vpc-peering-connection-id",
	} {
		out["route."+name] = nil
	}
	return out.tagged(nil)
}

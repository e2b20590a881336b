package ec2

import (
	"context"
	"slices"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// The default security group of a VPC: its members reach each other, and
// everything else.
const (
	defaultGroupName        = "default"
	defaultGroupDescription = "default VPC security group"
	anyProtocol             = "-1"
	anywhere                = "0.0.0.0/0"
)

// DescribeSecurityGroups lists the default security groups of the region's VPCs.
func (s *Service) DescribeSecurityGroups(ctx context.Context, in *wire.DescribeSecurityGroupsRequest) (*wire.DescribeSecurityGroupsResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	var all []*wire.SecurityGroup
	var defaultVPC string
	err := s.withVPC(ctx, func(r store.Reader, vpc *resource.VPC) error {
		defaultVPC = vpc.ID
		for _, v := range resource.VPCs.List(r, region(ctx)+"/") {
			all = append(all, s.defaultGroup(v))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	id := func(g *wire.SecurityGroup) string { return *g.GroupId }
	slices.SortFunc(all, func(a, b *wire.SecurityGroup) int { return strings.Compare(id(a), id(b)) })
	wanted, err := wantedGroups(in, all, defaultVPC)
	if err != nil {
		return nil, err
	}
	found, err := filtered(wanted, in.Filters, groupAttributes)
	if err != nil {
		return nil, err
	}
	page, next, err := paginate(found, id, "DescribeSecurityGroups", "GroupId", in.GroupIds, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &wire.DescribeSecurityGroupsResult{SecurityGroups: append([]*wire.SecurityGroup{}, page...), NextToken: next}, nil
}

// wantedGroups are the groups that a request names by id, or by name within the
// default VPC; without either all.
func wantedGroups(in *wire.DescribeSecurityGroupsRequest, all []*wire.SecurityGroup, defaultVPC string) ([]*wire.SecurityGroup, error) {
	for _, id := range in.GroupIds {
		if !strings.HasPrefix(id, "sg-") {
			return nil, errGroupIDMalformed(id)
		}
	}
	if unknown := absent(in.GroupIds, all, func(g *wire.SecurityGroup) string { return *g.GroupId }); len(unknown) > 0 {
		return nil, errGroupNotFound(unknown[0])
	}
	inDefault := slices.DeleteFunc(slices.Clone(all), func(g *wire.SecurityGroup) bool { return *g.VpcId != defaultVPC })
	if unknown := absent(in.GroupNames, inDefault, func(g *wire.SecurityGroup) string { return *g.GroupName }); len(unknown) > 0 {
		return nil, errGroupNameNotFound(unknown[0], defaultVPC)
	}
	return slices.DeleteFunc(all, func(g *wire.SecurityGroup) bool {
		byName := *g.VpcId == defaultVPC && slices.Contains(in.GroupNames, *g.GroupName)
		byID := slices.Contains(in.GroupIds, *g.GroupId)
		return len(in.GroupIds)+len(in.GroupNames) > 0 && !byName && !byID
	}), nil
}

func (s *Service) defaultGroup(v *resource.VPC) *wire.SecurityGroup {
	id := v.DefaultSecurityGroup
	return &wire.SecurityGroup{
		Description: core.Ptr(defaultGroupDescription), GroupName: core.Ptr(defaultGroupName),
		OwnerId: core.Ptr(s.account), GroupId: core.Ptr(id), VpcId: core.Ptr(v.ID),
		SecurityGroupArn: core.Ptr(s.arn(v.Region, "security-group", id)),
		IpPermissions: []*wire.IpPermission{permission(func(p *wire.IpPermission) {
			p.UserIdGroupPairs = []*wire.UserIdGroupPair{{GroupId: core.Ptr(id), UserId: core.Ptr(s.account)}}
		})},
		IpPermissionsEgress: []*wire.IpPermission{permission(func(p *wire.IpPermission) {
			p.IpRanges = []*wire.IpRange{{CidrIp: core.Ptr(anywhere)}}
		})},
	}
}

// permission is a rule for all protocols and ports. EC2 lists every kind of peer,
// also those without an entry.
func permission(peers func(*wire.IpPermission)) *wire.IpPermission {
	p := &wire.IpPermission{
		IpProtocol: core.Ptr(anyProtocol), IpRanges: []*wire.IpRange{}, Ipv6Ranges: []*wire.Ipv6Range{},
		PrefixListIds: []*wire.PrefixListId{}, UserIdGroupPairs: []*wire.UserIdGroupPair{},
	}
	peers(p)
	return p
}

func groupAttributes(g *wire.SecurityGroup) attributes {
	a := attributes{
		"description": {*g.Description}, "group-id": {*g.GroupId}, "group-name": {*g.GroupName},
		"owner-id": {*g.OwnerId}, "vpc-id": {*g.VpcId},
	}
	a.rules("ip-permission", g.IpPermissions)
	a.rules("egress.ip-permission", g.IpPermissionsEgress)
	return a.tagged(nil)
}

// rules adds the filters that ask for the peers of rules. Rules for all ports
// have no ports to ask for.
func (a attributes) rules(prefix string, permissions []*wire.IpPermission) {
	for _, name := range []string{
		"cidr", "from-port", "to-port", "group-id", "group-name", "ipv6-cidr", "prefix-list-id", "protocol", "user-id",
	} {
		a[prefix+"."+name] = nil
	}
	for _, p := range permissions {
		a[prefix+".protocol"] = append(a[prefix+".protocol"], *p.IpProtocol)
		for _, r := range p.IpRanges {
			a[prefix+".cidr"] = append(a[prefix+".cidr"], *r.CidrIp)
		}
		for _, g := range p.UserIdGroupPairs {
			a[prefix+".group-id"] = append(a[prefix+".group-id"], *g.GroupId)
			a[prefix+".user-id"] = append(a[prefix+".user-id"], *g.UserId)
		}
	}
}

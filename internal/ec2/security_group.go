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

const (
	defaultGroupName        = "default"
	defaultGroupDescription = "default VPC security group"
	anyProtocol             = "-1"
	anywhere                = "0.0.0.0/0"

	maxGroups    = 2500
	maxGroupText = 255
)

func groupKey(g *resource.SecurityGroup) string { return key(g.Region, g.ID) }

// groupsOf are the security groups of a VPC.
func groupsOf(r store.Reader, vpc *resource.VPC) []*resource.SecurityGroup {
	return slices.DeleteFunc(resource.SecurityGroups.List(r, key(vpc.Region, "")), func(g *resource.SecurityGroup) bool { return g.VPCID != vpc.ID })
}

// addDefaultGroup gives a VPC its default group, whose members reach each other
// and everything else.
func (s *Service) addDefaultGroup(tx *store.Tx, vpc *resource.VPC) {
	g := &resource.SecurityGroup{
		Region: vpc.Region, ID: vpc.DefaultSecurityGroup, VPCID: vpc.ID, Name: defaultGroupName, Description: defaultGroupDescription,
	}
	among := resource.SecurityGroupRule{ID: s.id("sgr", vpc.Region, g.ID+"/in"), Protocol: anyProtocol, FromPort: -1, ToPort: -1, GroupID: g.ID}
	g.Rules = []resource.SecurityGroupRule{among, s.allOut(g)}
	resource.SecurityGroups.Put(tx, groupKey(g), g)
}

// allOut is the rule that every new group has.
func (s *Service) allOut(g *resource.SecurityGroup) resource.SecurityGroupRule {
	return resource.SecurityGroupRule{
		ID: s.id("sgr", g.Region, g.ID+"/out"), Egress: true, Protocol: anyProtocol, FromPort: -1, ToPort: -1, CIDR: anywhere,
	}
}

// CreateSecurityGroup makes a group that lets nothing in and everything out.
func (s *Service) CreateSecurityGroup(ctx context.Context, in *wire.CreateSecurityGroupRequest) (*wire.CreateSecurityGroupResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	if err := checkGroupName(*in.GroupName); err != nil {
		return nil, err
	}
	if !groupText(*in.Description) {
		return nil, errGroupText("description", "descriptions")
	}
	tags, err := tagSpecification(in.TagSpecifications, "security-group")
	if err != nil {
		return nil, err
	}
	g := &resource.SecurityGroup{Region: region(ctx), ID: s.fresh("sg"), Name: *in.GroupName, Description: *in.Description, Tags: tags}
	err = s.update(ctx, func(tx *store.Tx) error {
		vpc, err := s.vpcOr(tx, region(ctx), in.VpcId)
		if err != nil {
			return err
		}
		g.VPCID, g.Rules = vpc.ID, nil
		if !classicGroup(g) {
			g.Rules = []resource.SecurityGroupRule{s.allOut(g)}
		}
		if err := admitGroup(tx, vpc, g); err != nil {
			return err
		}
		resource.SecurityGroups.Put(tx, groupKey(g), g)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &wire.CreateSecurityGroupResult{GroupId: core.Ptr(g.ID), Tags: wireTags(g.Tags), SecurityGroupArn: s.groupARN(g)}, nil
}

// admitGroup refuses a new group whose name is taken, or that is one too many on
// its platform.
func admitGroup(r store.Reader, vpc *resource.VPC, g *resource.SecurityGroup) error {
	n, limit := 0, maxGroups
	if classicGroup(g) {
		limit = maxClassicGroups
	}
	for _, o := range resource.SecurityGroups.List(r, key(g.Region, "")) {
		if o.VPCID == vpc.ID && strings.EqualFold(o.Name, g.Name) {
			if classicGroup(g) {
				return errGroupDuplicateClassic(g.Name)
			}
			return errGroupDuplicate(g.Name, vpc.ID)
		}
		if classicGroup(o) == classicGroup(g) {
			n++
		}
	}
	if n >= limit {
		return errGroupLimit()
	}
	return nil
}

// vpcOr is the VPC with an id. Where there is none it is the default VPC, or what
// EC2-Classic has for one.
func (s *Service) vpcOr(tx *store.Tx, region string, id *string) (*resource.VPC, error) {
	if core.Val(id) == "" {
		if s.classic {
			return s.ClassicNetwork(tx, region)
		}
		return s.DefaultVPC(tx, region)
	}
	vpc, ok := getVPC(tx, region, *id)
	if !ok {
		return nil, errVPCNotFound(*id)
	}
	return vpc, nil
}

func checkGroupName(name string) error {
	switch {
	case !groupText(name):
		return errGroupText("name", "names")
	case strings.HasPrefix(strings.ToLower(name), "sg-"):
		return errGroupPrefix()
	case strings.EqualFold(name, defaultGroupName):
		return errGroupReserved(name)
	}
	return nil
}

// groupText reports whether a name or description has the length and characters
// that EC2 takes.
func groupText(s string) bool {
	return len(s) <= maxGroupText && !strings.ContainsFunc(s, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune(" ._-:/()#,@[]+=&;{}!$*", r)
	})
}

// findGroup is the group that a request names by id, or by name in EC2-Classic or
// else the default VPC.
func (s *Service) findGroup(r store.Reader, region string, id, name *string) (*resource.SecurityGroup, error) {
	if core.Val(id) != "" {
		if !strings.HasPrefix(*id, "sg-") {
			return nil, errGroupIDMalformed(*id)
		}
		g, ok := resource.SecurityGroups.Get(r, key(region, *id))
		if !ok {
			return nil, errGroupNotFound(*id)
		}
		return g, nil
	}
	if core.Val(name) == "" {
		return nil, errMissing("groupName or groupId")
	}
	network := s.PeekDefaultVPC
	if s.classic {
		network = resource.ClassicNetwork
	}
	vpc, ok := network(r, region)
	if !ok {
		return nil, errNoDefaultVPC()
	}
	for _, g := range groupsOf(r, vpc) {
		if g.Name == *name {
			return g, nil
		}
	}
	if s.classic {
		return nil, errGroupNotFound(*name)
	}
	return nil, errGroupNameNotFound(*name, vpc.ID)
}

// DeleteSecurityGroup removes a group that nothing is in and no other group's
// rules refer to.
func (s *Service) DeleteSecurityGroup(ctx context.Context, in *wire.DeleteSecurityGroupRequest) (*wire.DeleteSecurityGroupResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	var id string
	err := s.update(ctx, func(tx *store.Tx) error {
		g, err := s.findGroup(tx, region(ctx), in.GroupId, in.GroupName)
		if err != nil {
			return err
		}
		id = g.ID
		if g.Name == defaultGroupName {
			return errGroupDefault(g.ID, g.Name)
		}
		if names := cacheGroupsAdmitting(tx, g); len(names) > 0 {
			return errGroupUsedByCaches(g.Name, names)
		}
		if groupInUse(tx, g) {
			if classicGroup(g) {
				return errGroupInUseClassic(g.Name)
			}
			return errGroupInUse(g.ID)
		}
		resource.SecurityGroups.Delete(tx, groupKey(g))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &wire.DeleteSecurityGroupResult{Return: core.Ptr(true), GroupId: core.Ptr(id)}, nil
}

func groupInUse(r store.Reader, g *resource.SecurityGroup) bool {
	attached := slices.ContainsFunc(resource.CacheClusters.List(r, key(g.Region, "")), func(c *resource.CacheCluster) bool {
		return slices.Contains(c.Spec.SecurityGroupIDs, g.ID)
	}) || slices.ContainsFunc(resource.Attachments.List(r, key(g.Region, "")), func(a *resource.Attachment) bool {
		return slices.Contains(a.SecurityGroupIDs, g.ID)
	})
	attached = attached || slices.ContainsFunc(resource.Publications.List(r, key(g.Region, "")), func(p *resource.Publication) bool {
		return slices.Contains(p.SecurityGroupIDs, g.ID)
	})
	attached = attached || slices.ContainsFunc(resource.Instances.List(r, key(g.Region, "")), func(i *resource.Instance) bool {
		return i.Exists() && slices.Contains(i.Spec.SecurityGroupIDs, g.ID)
	})
	return attached || slices.ContainsFunc(resource.SecurityGroups.List(r, key(g.Region, "")), func(o *resource.SecurityGroup) bool {
		return o.ID != g.ID && slices.ContainsFunc(o.Rules, func(r resource.SecurityGroupRule) bool { return r.GroupID == g.ID })
	})
}

// DescribeSecurityGroups lists the security groups of the region.
func (s *Service) DescribeSecurityGroups(ctx context.Context, in *wire.DescribeSecurityGroupsRequest) (*wire.DescribeSecurityGroupsResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	for _, id := range in.GroupIds {
		if !strings.HasPrefix(id, "sg-") {
			return nil, errGroupIDMalformed(id)
		}
	}
	var all []*resource.SecurityGroup
	ids := slices.Clone(in.GroupIds)
	err := s.view(ctx, func(r store.Reader) error {
		all = resource.SecurityGroups.List(r, key(region(ctx), ""))
		for _, name := range in.GroupNames {
			g, err := s.findGroup(r, region(ctx), nil, &name)
			if err != nil {
				return err
			}
			ids = append(ids, g.ID)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	page, next, err := answer(all, question[*resource.SecurityGroup]{
		scope: "DescribeSecurityGroups", idParam: "GroupId", ids: ids, id: func(g *resource.SecurityGroup) string { return g.ID }, absent: errGroupNotFound,
		filters: in.Filters, attributes: s.groupAttributes, blank: &resource.SecurityGroup{}, max: in.MaxResults, token: in.NextToken,
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeSecurityGroupsResult{SecurityGroups: []*wire.SecurityGroup{}, NextToken: next}
	for _, g := range page {
		out.SecurityGroups = append(out.SecurityGroups, s.wireGroup(g))
	}
	return out, nil
}

func (s *Service) groupARN(g *resource.SecurityGroup) *string {
	return core.Ptr(s.arn(g.Region, "security-group", g.ID))
}

func (s *Service) wireGroup(g *resource.SecurityGroup) *wire.SecurityGroup {
	return &wire.SecurityGroup{
		Description: core.Ptr(g.Description), GroupName: core.Ptr(g.Name), OwnerId: core.Ptr(s.account),
		GroupId: core.Ptr(g.ID), VpcId: shownVPC(g), Tags: wireTags(g.Tags), SecurityGroupArn: s.groupARN(g),
		IpPermissions: s.wirePermissions(g.Rules, false), IpPermissionsEgress: s.wirePermissions(g.Rules, true),
	}
}

func (s *Service) groupAttributes(g *resource.SecurityGroup) attributes {
	a := attributes{
		"description": {g.Description}, "group-id": {g.ID}, "group-name": {g.Name}, "owner-id": {s.account}, "vpc-id": nil,
	}
	if !classicGroup(g) {
		a["vpc-id"] = []string{g.VPCID}
	}
	for _, direction := range []string{"", "egress."} {
		for _, name := range []string{
			"cidr", "from-port", "to-port", "group-id", "group-name", "ipv6-cidr", "prefix-list-id", "protocol", "user-id",
		} {
			a[direction+"ip-permission."+name] = nil
		}
	}
	for _, r := range g.Rules {
		a.rule(r, s.account)
	}
	return a.tagged(g.Tags)
}

// rule adds what filters can ask of one rule. Rules for all ports have no ports
// to ask for.
func (a attributes) rule(r resource.SecurityGroupRule, account string) {
	prefix := "ip-permission."
	if r.Egress {
		prefix = "egress." + prefix
	}
	add := func(name, value string) { a[prefix+name] = append(a[prefix+name], value) }
	add("protocol", r.Protocol)
	if from, to := wirePorts(r); from != nil {
		add("from-port", decimal(*from))
		add("to-port", decimal(*to))
	}
	switch {
	case r.GroupID != "":
		add("group-id", r.GroupID)
		add("user-id", account)
	case ipv6(r):
		add("ipv6-cidr", r.CIDR)
	default:
		add("cidr", r.CIDR)
	}
}

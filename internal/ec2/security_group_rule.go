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

// rule is a rule and the group that it is in.
type rule struct {
	resource.SecurityGroupRule
	group *resource.SecurityGroup
}

// DescribeSecurityGroupRules lists the rules of all groups of the region.
func (s *Service) DescribeSecurityGroupRules(ctx context.Context, in *wire.DescribeSecurityGroupRulesRequest) (*wire.DescribeSecurityGroupRulesResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	if err := checkRuleIDs(in.SecurityGroupRuleIds); err != nil {
		return nil, err
	}
	var all []rule
	err := s.view(ctx, func(r store.Reader) error {
		for _, g := range resource.SecurityGroups.List(r, key(region(ctx), "")) {
			for _, r := range g.Rules {
				all = append(all, rule{r, g})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	page, next, err := answer(all, question[rule]{
		scope: "DescribeSecurityGroupRules", idParam: "securityGroupRuleId", ids: in.SecurityGroupRuleIds,
		id: func(r rule) string { return r.ID }, absent: errRuleIDNotFound, filters: in.Filters,
		attributes: func(r rule) attributes {
			return attributes{"group-id": {r.group.ID}, "security-group-rule-id": {r.ID}}.tagged(r.Tags)
		},
		blank: rule{group: &resource.SecurityGroup{}}, max: in.MaxResults, token: in.NextToken,
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeSecurityGroupRulesResult{SecurityGroupRules: []*wire.SecurityGroupRule{}, NextToken: next}
	for _, r := range page {
		out.SecurityGroupRules = append(out.SecurityGroupRules, s.wireRule(r.group, r.SecurityGroupRule))
	}
	return out, nil
}

func checkRuleIDs(ids []string) error {
	for _, id := range ids {
		if !strings.HasPrefix(id, "sgr-") {
			return errRuleIDMalformed(id)
		}
	}
	return nil
}

func (s *Service) wireRule(g *resource.SecurityGroup, r resource.SecurityGroupRule) *wire.SecurityGroupRule {
	out := &wire.SecurityGroupRule{
		SecurityGroupRuleId: core.Ptr(r.ID), GroupId: core.Ptr(g.ID), GroupOwnerId: core.Ptr(s.account), IsEgress: core.Ptr(r.Egress),
		IpProtocol: core.Ptr(r.Protocol), FromPort: core.Ptr(r.FromPort), ToPort: core.Ptr(r.ToPort), Description: some(r.Description),
		Tags: wireTags(r.Tags), SecurityGroupRuleArn: core.Ptr(s.arn(g.Region, "security-group-rule", r.ID)),
	}
	switch {
	case r.GroupID != "":
		out.ReferencedGroupInfo = &wire.ReferencedSecurityGroup{GroupId: core.Ptr(r.GroupID), UserId: core.Ptr(s.account), VpcId: shownVPC(g)}
	case ipv6(r):
		out.CidrIpv6 = core.Ptr(r.CIDR)
	default:
		out.CidrIpv4 = core.Ptr(r.CIDR)
	}
	return out
}

// resolve finds the groups that rules refer to, which must be of the VPC of the
// group that the rules are for, and refuses rules that the group cannot have.
func (s *Service) resolve(r store.Reader, g *resource.SecurityGroup, demands []demand) ([]resource.SecurityGroupRule, error) {
	out := make([]resource.SecurityGroupRule, len(demands))
	for i, d := range demands {
		out[i] = d.SecurityGroupRule
		if classicGroup(g) {
			if err := checkClassicRule(out[i]); err != nil {
				return nil, err
			}
		}
		if d.GroupID == "" && d.groupName == "" {
			continue
		}
		peer, err := s.findGroup(r, g.Region, &d.GroupID, &d.groupName)
		if err != nil {
			return nil, err
		}
		if peer.VPCID != g.VPCID {
			return nil, errGroupNetworks()
		}
		out[i].GroupID = peer.ID
	}
	return out, nil
}

// ruleIndex is the place of a rule that admits the same; -1 if there is none.
func ruleIndex(rules []resource.SecurityGroupRule, r resource.SecurityGroupRule) int {
	return slices.IndexFunc(rules, r.Same)
}

// maxRules is the quota of rules of one direction, for IPv4 and for IPv6; a
// reference to a group counts in both.
const maxRules = 60

func checkRuleQuota(g *resource.SecurityGroup) error {
	if classicGroup(g) {
		if len(g.Rules) > maxClassicRules {
			return errRuleLimit()
		}
		return nil
	}
	type family struct{ egress, ipv6 bool }
	count := map[family]int{}
	for _, r := range g.Rules {
		if r.GroupID != "" || ipv6(r) {
			count[family{r.Egress, true}]++
		}
		if !ipv6(r) {
			count[family{r.Egress, false}]++
		}
	}
	for _, n := range count {
		if n > maxRules {
			return errRuleLimit()
		}
	}
	return nil
}

// editRules changes the rules of a group in one transaction.
func (s *Service) editRules(ctx context.Context, id, name *string, edit func(tx *store.Tx, g *resource.SecurityGroup) error) error {
	return s.update(ctx, func(tx *store.Tx) error {
		g, err := s.findGroup(tx, region(ctx), id, name)
		if err != nil {
			return err
		}
		if err := edit(tx, g); err != nil {
			return err
		}
		g.Generation++
		resource.SecurityGroups.Put(tx, groupKey(g), g)
		return nil
	})
}

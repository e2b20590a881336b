package ec2

import (
	"context"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// AuthorizeSecurityGroupIngress adds rules that let in; all of them or none.
func (s *Service) AuthorizeSecurityGroupIngress(ctx context.Context, in *wire.AuthorizeSecurityGroupIngressRequest) (*wire.AuthorizeSecurityGroupIngressResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	demands, err := s.demands(in.IpPermissions, flat{
		protocol: in.IpProtocol, from: in.FromPort, to: in.ToPort, cidr: in.CidrIp,
		groupName: in.SourceSecurityGroupName, groupOwner: in.SourceSecurityGroupOwnerId,
	}, false)
	if err != nil {
		return nil, err
	}
	rules, err := s.authorize(ctx, in.GroupId, in.GroupName, demands, in.TagSpecifications)
	if err != nil {
		return nil, err
	}
	return &wire.AuthorizeSecurityGroupIngressResult{Return: core.Ptr(true), SecurityGroupRules: rules}, nil
}

// AuthorizeSecurityGroupEgress adds rules that let out; all of them or none.
func (s *Service) AuthorizeSecurityGroupEgress(ctx context.Context, in *wire.AuthorizeSecurityGroupEgressRequest) (*wire.AuthorizeSecurityGroupEgressResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	demands, err := s.demands(in.IpPermissions, flat{
		protocol: in.IpProtocol, from: in.FromPort, to: in.ToPort, cidr: in.CidrIp,
		groupName: in.SourceSecurityGroupName, groupOwner: in.SourceSecurityGroupOwnerId,
	}, true)
	if err != nil {
		return nil, err
	}
	rules, err := s.authorize(ctx, in.GroupId, nil, demands, in.TagSpecifications)
	if err != nil {
		return nil, err
	}
	return &wire.AuthorizeSecurityGroupEgressResult{Return: core.Ptr(true), SecurityGroupRules: rules}, nil
}

func (s *Service) authorize(ctx context.Context, id, name *string, demands []demand, specifications []*wire.TagSpecification) ([]*wire.SecurityGroupRule, error) {
	tags, err := tagSpecification(specifications, "security-group-rule")
	if err != nil {
		return nil, err
	}
	for i := range demands {
		demands[i].ID, demands[i].Tags = s.fresh("sgr"), tags
	}
	var out []*wire.SecurityGroupRule
	err = s.editRules(ctx, id, name, func(tx *store.Tx, g *resource.SecurityGroup) error {
		rules, err := s.resolve(tx, g, demands)
		if err != nil {
			return err
		}
		out = nil
		for i, r := range rules {
			if ruleIndex(rules[:i], r) >= 0 {
				return errRuleTwice()
			}
			if ruleIndex(g.Rules, r) >= 0 {
				return ruleExists(g, r)
			}
			out = append(out, s.wireRule(g, r))
		}
		g.Rules = append(g.Rules, rules...)
		return checkRuleQuota(g)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ruleExists refuses a rule that a group has already.
func ruleExists(g *resource.SecurityGroup, r resource.SecurityGroupRule) error {
	if classicGroup(g) {
		return errRuleExistsClassic(classicRuleText(r))
	}
	return errRuleExists(ruleText(r))
}

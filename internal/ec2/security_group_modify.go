package ec2

import (
	"context"
	"slices"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// ModifySecurityGroupRules gives rules another content under their ids.
func (s *Service) ModifySecurityGroupRules(ctx context.Context, in *wire.ModifySecurityGroupRulesRequest) (*wire.ModifySecurityGroupRulesResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	demands := make([]demand, len(in.SecurityGroupRules))
	for i, u := range in.SecurityGroupRules {
		if err := checkRuleIDs([]string{*u.SecurityGroupRuleId}); err != nil {
			return nil, err
		}
		if u.SecurityGroupRule == nil {
			return nil, errMissing("SecurityGroupRule")
		}
		d, err := s.demandsOf(permissionOf(u.SecurityGroupRule), false)
		if err != nil {
			return nil, err
		}
		if len(d) > 1 {
			return nil, errInvalid("Only one of cidrIpv4, cidrIpv6, prefixListId and referencedGroupId can be specified for a security group rule.")
		}
		demands[i] = d[0]
		demands[i].ID = *u.SecurityGroupRuleId
	}
	err := s.editRules(ctx, in.GroupId, nil, func(tx *store.Tx, g *resource.SecurityGroup) error {
		rules, err := s.resolve(tx, g, demands)
		if err != nil {
			return err
		}
		for _, r := range rules {
			at := slices.IndexFunc(g.Rules, func(old resource.SecurityGroupRule) bool { return old.ID == r.ID })
			if at < 0 {
				return errRuleIDNotFound(r.ID)
			}
			r.Egress, r.Tags = g.Rules[at].Egress, g.Rules[at].Tags
			g.Rules[at] = r
		}
		for i, r := range g.Rules {
			if ruleIndex(g.Rules[:i], r) >= 0 {
				return ruleExists(g, r)
			}
		}
		return checkRuleQuota(g)
	})
	if err != nil {
		return nil, err
	}
	return &wire.ModifySecurityGroupRulesResult{Return: core.Ptr(true)}, nil
}

// permissionOf is a rule in the form that has room for many peers.
func permissionOf(r *wire.SecurityGroupRuleRequest) *wire.IpPermission {
	p := &wire.IpPermission{IpProtocol: r.IpProtocol, FromPort: r.FromPort, ToPort: r.ToPort}
	if r.CidrIpv4 != nil {
		p.IpRanges = []*wire.IpRange{{CidrIp: r.CidrIpv4, Description: r.Description}}
	}
	if r.CidrIpv6 != nil {
		p.Ipv6Ranges = []*wire.Ipv6Range{{CidrIpv6: r.CidrIpv6, Description: r.Description}}
	}
	if r.ReferencedGroupId != nil {
		p.UserIdGroupPairs = []*wire.UserIdGroupPair{{GroupId: r.ReferencedGroupId, Description: r.Description}}
	}
	if r.PrefixListId != nil {
		p.PrefixListIds = []*wire.PrefixListId{{PrefixListId: r.PrefixListId}}
	}
	return p
}

// UpdateSecurityGroupRuleDescriptionsIngress changes what rules say of
// themselves.
func (s *Service) UpdateSecurityGroupRuleDescriptionsIngress(ctx context.Context, in *wire.UpdateSecurityGroupRuleDescriptionsIngressRequest) (*wire.UpdateSecurityGroupRuleDescriptionsIngressResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	if err := s.describeRules(ctx, in.GroupId, in.GroupName, false, in.IpPermissions, in.SecurityGroupRuleDescriptions); err != nil {
		return nil, err
	}
	return &wire.UpdateSecurityGroupRuleDescriptionsIngressResult{Return: core.Ptr(true)}, nil
}

// UpdateSecurityGroupRuleDescriptionsEgress is the same for the other direction.
func (s *Service) UpdateSecurityGroupRuleDescriptionsEgress(ctx context.Context, in *wire.UpdateSecurityGroupRuleDescriptionsEgressRequest) (*wire.UpdateSecurityGroupRuleDescriptionsEgressResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	if err := s.describeRules(ctx, in.GroupId, in.GroupName, true, in.IpPermissions, in.SecurityGroupRuleDescriptions); err != nil {
		return nil, err
	}
	return &wire.UpdateSecurityGroupRuleDescriptionsEgressResult{Return: core.Ptr(true)}, nil
}

func (s *Service) describeRules(ctx context.Context, id, name *string, egress bool, permissions []*wire.IpPermission, byID []*wire.SecurityGroupRuleDescription) error {
	var demands []demand
	switch {
	case len(byID) > 0 && len(permissions) > 0:
		return errCombination("securityGroupRuleDescription", "ipPermissions")
	case len(byID) == 0:
		var err error
		if demands, err = s.demands(permissions, flat{}, egress); err != nil {
			return err
		}
	}
	for _, d := range byID {
		if !groupText(core.Val(d.Description)) {
			return errRuleDescription()
		}
		if err := checkRuleIDs([]string{core.Val(d.SecurityGroupRuleId)}); err != nil {
			return err
		}
	}
	return s.editRules(ctx, id, name, func(tx *store.Tx, g *resource.SecurityGroup) error {
		for _, d := range byID {
			at := slices.IndexFunc(g.Rules, func(r resource.SecurityGroupRule) bool { return r.ID == *d.SecurityGroupRuleId && r.Egress == egress })
			if at < 0 {
				return errRuleIDNotFound(*d.SecurityGroupRuleId)
			}
			g.Rules[at].Description = core.Val(d.Description)
		}
		rules, err := s.resolve(tx, g, demands)
		if err != nil {
			return err
		}
		for _, r := range rules {
			at := ruleIndex(g.Rules, r)
			if at < 0 {
				return errRuleNotFound()
			}
			g.Rules[at].Description = r.Description
		}
		return nil
	})
}

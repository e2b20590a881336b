package ec2

import (
	"context"
	"slices"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// revocation is what a request wants to have removed: rules by their ids, or by
// what they admit.
type revocation struct {
	groupID, groupName *string
	egress             bool
	ids                []string
	permissions        []*wire.IpPermission
	flat               flat
}

// RevokeSecurityGroupIngress removes rules that let in.
func (s *Service) RevokeSecurityGroupIngress(ctx context.Context, in *wire.RevokeSecurityGroupIngressRequest) (*wire.RevokeSecurityGroupIngressResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	revoked, unknown, err := s.revoke(ctx, revocation{
		groupID: in.GroupId, groupName: in.GroupName, ids: in.SecurityGroupRuleIds, permissions: in.IpPermissions,
		flat: flat{
			protocol: in.IpProtocol, from: in.FromPort, to: in.ToPort, cidr: in.CidrIp,
			groupName: in.SourceSecurityGroupName, groupOwner: in.SourceSecurityGroupOwnerId,
		},
	})
	if err != nil {
		return nil, err
	}
	return &wire.RevokeSecurityGroupIngressResult{Return: core.Ptr(true), UnknownIpPermissions: unknown, RevokedSecurityGroupRules: revoked}, nil
}

// RevokeSecurityGroupEgress removes rules that let out.
func (s *Service) RevokeSecurityGroupEgress(ctx context.Context, in *wire.RevokeSecurityGroupEgressRequest) (*wire.RevokeSecurityGroupEgressResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	revoked, unknown, err := s.revoke(ctx, revocation{
		groupID: in.GroupId, egress: true, ids: in.SecurityGroupRuleIds, permissions: in.IpPermissions,
		flat: flat{
			protocol: in.IpProtocol, from: in.FromPort, to: in.ToPort, cidr: in.CidrIp,
			groupName: in.SourceSecurityGroupName, groupOwner: in.SourceSecurityGroupOwnerId,
		},
	})
	if err != nil {
		return nil, err
	}
	return &wire.RevokeSecurityGroupEgressResult{Return: core.Ptr(true), UnknownIpPermissions: unknown, RevokedSecurityGroupRules: revoked}, nil
}

func (s *Service) revoke(ctx context.Context, q revocation) ([]*wire.RevokedSecurityGroupRule, []*wire.IpPermission, error) {
	var demands []demand
	var err error
	if len(q.ids) > 0 {
		if len(q.permissions) > 0 || q.flat != (flat{}) {
			return nil, nil, errCombination("securityGroupRuleId", "ipPermissions")
		}
		err = checkRuleIDs(q.ids)
	} else {
		demands, err = s.demands(q.permissions, q.flat, q.egress)
	}
	if err != nil {
		return nil, nil, err
	}
	var revoked []*wire.RevokedSecurityGroupRule
	var unknown []*wire.IpPermission
	err = s.editRules(ctx, q.groupID, q.groupName, func(tx *store.Tx, g *resource.SecurityGroup) error {
		going, absent, err := s.going(tx, g, q, demands)
		if err != nil {
			return err
		}
		revoked, unknown = nil, s.wirePermissions(absent, q.egress)
		g.Rules = slices.DeleteFunc(g.Rules, func(r resource.SecurityGroupRule) bool {
			gone := slices.Contains(going, r.ID)
			if gone {
				revoked = append(revoked, revokedRule(g, r))
			}
			return gone
		})
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return revoked, unknown, nil
}

// going are the ids of the rules to remove, and absent what was asked for but is
// not there: in the default VPC and in EC2-Classic that is no error.
func (s *Service) going(tx *store.Tx, g *resource.SecurityGroup, q revocation, demands []demand) (going []string, absent []resource.SecurityGroupRule, err error) {
	for _, id := range q.ids {
		if !slices.ContainsFunc(g.Rules, func(r resource.SecurityGroupRule) bool { return r.ID == id && r.Egress == q.egress }) {
			return nil, nil, errRuleIDNotFound(id)
		}
		going = append(going, id)
	}
	rules, err := s.resolve(tx, g, demands)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range rules {
		if at := ruleIndex(g.Rules, r); at >= 0 {
			going = append(going, g.Rules[at].ID)
		} else {
			absent = append(absent, r)
		}
	}
	vpc, ok := resource.VPCs.Get(tx, key(g.Region, g.VPCID))
	if len(absent) > 0 && !(ok && vpc.IsDefault) && !classicGroup(g) {
		return nil, nil, errRuleNotFound()
	}
	return going, absent, nil
}

func revokedRule(g *resource.SecurityGroup, r resource.SecurityGroupRule) *wire.RevokedSecurityGroupRule {
	out := &wire.RevokedSecurityGroupRule{
		SecurityGroupRuleId: core.Ptr(r.ID), GroupId: core.Ptr(g.ID), IsEgress: core.Ptr(r.Egress), IpProtocol: core.Ptr(r.Protocol),
		FromPort: core.Ptr(r.FromPort), ToPort: core.Ptr(r.ToPort), ReferencedGroupId: some(r.GroupID), Description: some(r.Description),
	}
	if ipv6(r) {
		out.CidrIpv6 = core.Ptr(r.CIDR)
	} else {
		out.CidrIpv4 = some(r.CIDR)
	}
	return out
}

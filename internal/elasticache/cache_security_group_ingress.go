package elasticache

import (
	"context"
	"slices"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// Status of an EC2 security group in a cache security group. What it says becomes
// true when the network enforces it:
//
//	Authorize -> authorizing -> authorized -> Revoke -> revoking -> gone
//
// An Authorize of what is being revoked begins anew, and so does a Revoke of what
// is being authorized.
const (
	ingressAuthorizing = "authorizing"
	ingressAuthorized  = "authorized"
	ingressRevoking    = "revoking"
)

// ingressStatus derives the status of one that there still is.
func ingressStatus(g *resource.CacheSecurityGroup, i resource.CacheIngress) string {
	switch {
	case i.Revoked:
		return ingressRevoking
	case g.Settled(i):
		return ingressAuthorized
	}
	return ingressAuthorizing
}

// AuthorizeCacheSecurityGroupIngress lets in the instances of an EC2 security group
// of EC2-Classic.
func (s *Service) AuthorizeCacheSecurityGroupIngress(ctx context.Context, in *wire.AuthorizeCacheSecurityGroupIngressMessage) (*wire.AuthorizeCacheSecurityGroupIngressResult, error) {
	name, err := s.ingressOf(in.CacheSecurityGroupName, in.EC2SecurityGroupOwnerId)
	if err != nil {
		return nil, err
	}
	from := *in.EC2SecurityGroupName
	g, err := s.editIngress(ctx, name, func(tx *store.Tx, g *resource.CacheSecurityGroup) error {
		if !s.isOwn(*in.EC2SecurityGroupOwnerId) {
			return errEC2GroupUnknown(from, *in.EC2SecurityGroupOwnerId)
		}
		network, err := s.networks.ClassicNetwork(tx, g.Region)
		if err != nil {
			return err
		}
		groups := resource.SecurityGroups.List(tx, key(g.Region, ""))
		if !slices.ContainsFunc(groups, func(o *resource.SecurityGroup) bool { return o.VPCID == network.ID && o.Name == from }) {
			return errEC2GroupUnknown(from, *in.EC2SecurityGroupOwnerId)
		}
		if g.Admits(from) {
			return errIngressExists(from, g.Name)
		}
		setIngress(g, resource.CacheIngress{GroupName: from, Generation: g.Generation})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &wire.AuthorizeCacheSecurityGroupIngressResult{CacheSecurityGroup: s.wireCacheGroup(g)}, nil
}

// RevokeCacheSecurityGroupIngress lets the instances of an EC2 security group in no
// longer. Connections that they have live on.
func (s *Service) RevokeCacheSecurityGroupIngress(ctx context.Context, in *wire.RevokeCacheSecurityGroupIngressMessage) (*wire.RevokeCacheSecurityGroupIngressResult, error) {
	name, err := s.ingressOf(in.CacheSecurityGroupName, in.EC2SecurityGroupOwnerId)
	if err != nil {
		return nil, err
	}
	from := *in.EC2SecurityGroupName
	g, err := s.editIngress(ctx, name, func(_ *store.Tx, g *resource.CacheSecurityGroup) error {
		if !s.isOwn(*in.EC2SecurityGroupOwnerId) || !g.Admits(from) {
			return errIngressNotFound(from, g.Name)
		}
		setIngress(g, resource.CacheIngress{GroupName: from, Revoked: true, Generation: g.Generation})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &wire.RevokeCacheSecurityGroupIngressResult{CacheSecurityGroup: s.wireCacheGroup(g)}, nil
}

// ingressOf checks what both requests have; an owner is twelve digits, with or
// without hyphens.
func (s *Service) ingressOf(group, owner *string) (string, error) {
	name, err := s.cacheGroupName(group)
	if err != nil {
		return "", err
	}
	digits := plainAccount(*owner)
	if len(digits) != 12 || strings.Trim(digits, "0123456789") != "" {
		return "", errInvalidValue("The parameter EC2SecurityGroupOwnerId must be an AWS account number of 12 digits.")
	}
	return name, nil
}

func plainAccount(owner string) string { return strings.ReplaceAll(owner, "-", "") }

func (s *Service) isOwn(owner string) bool { return plainAccount(owner) == s.account }

// editIngress changes the ingress of a group in one transaction; edit finds the
// generation of its change in the group.
func (s *Service) editIngress(ctx context.Context, name string, edit func(tx *store.Tx, g *resource.CacheSecurityGroup) error) (*resource.CacheSecurityGroup, error) {
	var out *resource.CacheSecurityGroup
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		g, err := getCacheGroup(tx, region(ctx), name)
		if err != nil {
			return err
		}
		g.Ingress = g.Current()
		g.Generation++
		if err := edit(tx, g); err != nil {
			return err
		}
		resource.CacheSecurityGroups.Put(tx, key(g.Region, g.Name), g)
		out = g
		return nil
	})
	return out, err
}

// setIngress replaces what a group says of an EC2 security group, or adds it.
func setIngress(g *resource.CacheSecurityGroup, i resource.CacheIngress) {
	at := slices.IndexFunc(g.Ingress, func(o resource.CacheIngress) bool { return o.GroupName == i.GroupName })
	if at < 0 {
		g.Ingress = append(g.Ingress, i)
		return
	}
	g.Ingress[at] = i
}

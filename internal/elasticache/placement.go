package elasticache

import (
	"slices"

	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// subnetsOf finds the network and the subnets of a subnet group, by its name in
// lower case. The group "default" is all subnets of the default VPC; no group is
// all of EC2-Classic.
func (s *Service) subnetsOf(tx *store.Tx, region, group string) (*resource.VPC, []resource.Subnet, error) {
	if group == "" {
		v, err := s.networks.ClassicNetwork(tx, region)
		if err != nil {
			return nil, nil, err
		}
		return v, v.Subnets, nil
	}
	if group == defaultSubnetGroup {
		if s.withoutDefaultVPC(tx, region) {
			return nil, nil, errSubnetGroupNotFound(group)
		}
		vpc, err := s.networks.DefaultVPC(tx, region)
		if err != nil {
			return nil, nil, err
		}
		if len(vpc.Subnets) == 0 {
			return nil, nil, errVPCGone(group, vpc.ID)
		}
		return vpc, vpc.Subnets, nil
	}
	g, ok := resource.SubnetGroups.Get(tx, key(region, group))
	if !ok {
		return nil, nil, errSubnetGroupNotFound(group)
	}
	vpc, ok := resource.VPCs.Get(tx, key(region, g.VPCID))
	if !ok {
		return nil, nil, errVPCGone(group, g.VPCID)
	}
	subnets := slices.DeleteFunc(slices.Clone(vpc.Subnets), func(n resource.Subnet) bool {
		return !slices.Contains(g.SubnetIDs, n.ID)
	})
	if len(subnets) == 0 {
		return nil, nil, errVPCGone(group, g.VPCID)
	}
	return vpc, subnets, nil
}

// withoutDefaultVPC reports whether a region has no default VPC and gets none by
// itself: it was deleted, or the account has EC2-Classic instead.
func (s *Service) withoutDefaultVPC(r store.Reader, region string) bool {
	if _, ok := s.networks.PeekDefaultVPC(r, region); ok {
		return false
	}
	return s.classic || resource.DefaultVPCDeleted(r, region)
}

// placement says in which subnets the nodes of a cluster or group may be: the
// subnets of the subnet group by zone.
type placement struct {
	zones   []string
	subnets map[string][]resource.Subnet
}

func newPlacement(subnets []resource.Subnet) placement {
	p := placement{subnets: map[string][]resource.Subnet{}}
	for _, s := range subnets {
		if len(p.subnets[s.Zone]) == 0 {
			p.zones = append(p.zones, s.Zone)
		}
		p.subnets[s.Zone] = append(p.subnets[s.Zone], s)
	}
	return p
}

// spread gives n zones: those asked for, or else all zones in turn, going on
// after the nodes that exist already.
func (p placement) spread(asked []string, existing, n int) ([]string, error) {
	for _, zone := range asked {
		if len(p.subnets[zone]) == 0 {
			return nil, errUnknownZone(zone, p.zones)
		}
	}
	if len(asked) > 0 {
		return asked, nil
	}
	zones := make([]string, n)
	for i := range zones {
		zones[i] = p.zones[(existing+i)%len(p.zones)]
	}
	return zones, nil
}

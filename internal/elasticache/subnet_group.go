package elasticache

import (
	"cmp"
	"context"
	"slices"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// CreateCacheSubnetGroup implements wire.Service.
func (s *Service) CreateCacheSubnetGroup(ctx context.Context, in *wire.CreateCacheSubnetGroupMessage) (*wire.CreateCacheSubnetGroupResult, error) {
	name, err := identifier("CacheSubnetGroupName", in.CacheSubnetGroupName, maxGroupName)
	if err != nil {
		return nil, err
	}
	text, err := description("CacheSubnetGroupDescription", in.CacheSubnetGroupDescription)
	if err != nil {
		return nil, err
	}
	tags, err := validateTags(in.Tags)
	if err != nil {
		return nil, err
	}
	if len(in.SubnetIds) == 0 {
		return nil, errMissing("SubnetIds")
	}
	var out *wire.CacheSubnetGroup
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		k := key(region(ctx), name)
		if _, exists := resource.SubnetGroups.Get(tx, k); exists || name == defaultSubnetGroup {
			return errSubnetGroupExists(name)
		}
		if len(resource.SubnetGroups.Keys(tx, key(region(ctx), ""))) >= maxGroups {
			return errSubnetGroupQuota()
		}
		g := &resource.SubnetGroup{Region: region(ctx), Name: name, Description: text, Tags: tags}
		vpc, err := setSubnets(tx, g, in.SubnetIds)
		if err != nil {
			return err
		}
		resource.SubnetGroups.Put(tx, k, g)
		out = s.wireSubnetGroup(g, vpc)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &wire.CreateCacheSubnetGroupResult{CacheSubnetGroup: out}, nil
}

// setSubnets gives a group the subnets with the given ids, which must exist and
// lie in one VPC, and returns that.
func setSubnets(r store.Reader, g *resource.SubnetGroup, ids []string) (*resource.VPC, error) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) > maxSubnets {
		return nil, errSubnetQuota()
	}
	home := map[string]*resource.VPC{}
	for _, vpc := range resource.VPCs.List(r, key(g.Region, "")) {
		if resource.IsClassic(vpc.ID) {
			continue
		}
		for _, n := range vpc.Subnets {
			home[n.ID] = vpc
		}
	}
	for _, id := range ids {
		if home[id] == nil {
			return nil, errSubnetUnknown(ids)
		}
		if home[id].ID != home[ids[0]].ID {
			return nil, errSubnetVPCs(ids[0], id)
		}
	}
	vpc := home[ids[0]]
	if g.VPCID != "" && g.VPCID != vpc.ID {
		return nil, errSubnetVPCs(g.SubnetIDs[0], ids[0])
	}
	g.VPCID, g.SubnetIDs = vpc.ID, ids
	return vpc, nil
}

// DescribeCacheSubnetGroups implements wire.Service. The group "default" of the
// default VPC is listed among the others.
func (s *Service) DescribeCacheSubnetGroups(ctx context.Context, in *wire.DescribeCacheSubnetGroupsMessage) (*wire.CacheSubnetGroupMessage, error) {
	if err := s.ensureDefaultVPC(ctx); err != nil {
		return nil, err
	}
	out := &wire.CacheSubnetGroupMessage{}
	err := s.store.View(ctx, func(r store.Reader) error {
		groups, err := s.findSubnetGroups(r, region(ctx), strings.ToLower(core.Val(in.CacheSubnetGroupName)))
		if err != nil {
			return err
		}
		groups, next, err := page(groups, func(g *resource.SubnetGroup) string { return g.Name },
			"DescribeCacheSubnetGroups", in.MaxRecords, in.Marker)
		if err != nil {
			return err
		}
		out.Marker, out.CacheSubnetGroups = next, make([]*wire.CacheSubnetGroup, 0, len(groups))
		for _, g := range groups {
			vpc, ok := resource.VPCs.Get(r, key(g.Region, g.VPCID))
			if !ok {
				vpc = &resource.VPC{} // deleted, and the subnets with it
			}
			out.CacheSubnetGroups = append(out.CacheSubnetGroups, s.wireSubnetGroup(g, vpc))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ensureDefaultVPC makes the region's default VPC where nothing has needed it
// yet: to a user it was always there, and so was its subnet group. One that was
// deleted stays away.
func (s *Service) ensureDefaultVPC(ctx context.Context) error {
	exists := false
	err := s.store.View(ctx, func(r store.Reader) error {
		_, exists = s.networks.PeekDefaultVPC(r, region(ctx))
		exists = exists || s.withoutDefaultVPC(r, region(ctx))
		return nil
	})
	if err != nil || exists {
		return err
	}
	return s.store.Update(ctx, func(tx *store.Tx) error {
		_, err := s.networks.DefaultVPC(tx, region(ctx))
		return err
	})
}

// findSubnetGroups are all groups of a region sorted by name, or the one that is
// named.
func (s *Service) findSubnetGroups(r store.Reader, region, name string) ([]*resource.SubnetGroup, error) {
	groups := resource.SubnetGroups.List(r, key(region, ""))
	if vpc, ok := s.networks.PeekDefaultVPC(r, region); ok {
		standard := &resource.SubnetGroup{Region: region, Name: defaultSubnetGroup, Description: "Default CacheSubnetGroup", VPCID: vpc.ID}
		for _, n := range vpc.Subnets {
			standard.SubnetIDs = append(standard.SubnetIDs, n.ID)
		}
		groups = append(groups, standard)
	}
	if name != "" {
		groups = slices.DeleteFunc(groups, func(g *resource.SubnetGroup) bool { return g.Name != name })
		if len(groups) == 0 {
			return nil, errSubnetGroupNotFound(name)
		}
	}
	slices.SortFunc(groups, func(a, b *resource.SubnetGroup) int { return cmp.Compare(a.Name, b.Name) })
	return groups, nil
}

func (s *Service) wireSubnetGroup(g *resource.SubnetGroup, vpc *resource.VPC) *wire.CacheSubnetGroup {
	out := &wire.CacheSubnetGroup{
		CacheSubnetGroupName:        core.Ptr(g.Name),
		CacheSubnetGroupDescription: core.Ptr(g.Description),
		VpcId:                       core.Ptr(g.VPCID),
		Subnets:                     []*wire.Subnet{},
		ARN:                         s.arn(g.Region, arnSubnetGroup, g.Name),
		SupportedNetworkTypes:       []string{networkType},
	}
	for _, n := range vpc.Subnets {
		if slices.Contains(g.SubnetIDs, n.ID) {
			out.Subnets = append(out.Subnets, &wire.Subnet{
				SubnetIdentifier:       core.Ptr(n.ID),
				SubnetAvailabilityZone: &wire.AvailabilityZone{Name: core.Ptr(n.Zone)},
				SupportedNetworkTypes:  []string{networkType},
			})
		}
	}
	return out
}

// ModifyCacheSubnetGroup implements wire.Service.
func (s *Service) ModifyCacheSubnetGroup(ctx context.Context, in *wire.ModifyCacheSubnetGroupMessage) (*wire.ModifyCacheSubnetGroupResult, error) {
	name, err := identifier("CacheSubnetGroupName", in.CacheSubnetGroupName, maxGroupName)
	if err != nil {
		return nil, err
	}
	if name == defaultSubnetGroup {
		return nil, errInvalidValue("The cache subnet group %s cannot be modified.", name)
	}
	if in.CacheSubnetGroupDescription != nil {
		if _, err := description("CacheSubnetGroupDescription", in.CacheSubnetGroupDescription); err != nil {
			return nil, err
		}
	}
	var out *wire.CacheSubnetGroup
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		k := key(region(ctx), name)
		g, ok := resource.SubnetGroups.Get(tx, k)
		if !ok {
			return errSubnetGroupNotFound(name)
		}
		if in.CacheSubnetGroupDescription != nil {
			g.Description = *in.CacheSubnetGroupDescription
		}
		vpc, ok := resource.VPCs.Get(tx, key(g.Region, g.VPCID))
		if !ok {
			return errVPCGone(g.Name, g.VPCID)
		}
		if len(in.SubnetIds) > 0 {
			var err error
			if vpc, err = setSubnets(tx, g, in.SubnetIds); err != nil {
				return err
			}
			if err := checkSubnetsStillServe(tx, g, vpc); err != nil {
				return err
			}
		}
		resource.SubnetGroups.Put(tx, k, g)
		out = s.wireSubnetGroup(g, vpc)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &wire.ModifyCacheSubnetGroupResult{CacheSubnetGroup: out}, nil
}

// checkSubnetsStillServe refuses a group that lost a subnet with nodes in it, or
// left a Multi-AZ replication group with one zone.
func checkSubnetsStillServe(tx *store.Tx, g *resource.SubnetGroup, vpc *resource.VPC) error {
	zones := map[string]bool{}
	for _, n := range vpc.Subnets {
		if slices.Contains(g.SubnetIDs, n.ID) {
			zones[n.Zone] = true
		}
	}
	for _, c := range clustersInSubnets(tx, g) {
		for _, n := range c.Spec.Nodes {
			if !slices.Contains(g.SubnetIDs, n.SubnetID) {
				return errSubnetInUse(n.SubnetID)
			}
		}
		rg, ok := resource.ReplicationGroups.Get(tx, key(g.Region, c.Spec.ReplicationGroupID))
		if ok && rg.Spec.MultiAZ && len(zones) < 2 {
			return errSubnetZones(g.Name, rg.ID)
		}
	}
	return nil
}

func clustersInSubnets(r store.Reader, g *resource.SubnetGroup) []*resource.CacheCluster {
	return slices.DeleteFunc(resource.CacheClusters.List(r, key(g.Region, "")), func(c *resource.CacheCluster) bool {
		return c.Spec.SubnetGroup != g.Name
	})
}

// DeleteCacheSubnetGroup implements wire.Service.
func (s *Service) DeleteCacheSubnetGroup(ctx context.Context, in *wire.DeleteCacheSubnetGroupMessage) error {
	name, err := identifier("CacheSubnetGroupName", in.CacheSubnetGroupName, maxGroupName)
	if err != nil {
		return err
	}
	if name == defaultSubnetGroup {
		return errInvalidValue("The cache subnet group %s cannot be deleted.", name)
	}
	return s.store.Update(ctx, func(tx *store.Tx) error {
		k := key(region(ctx), name)
		g, ok := resource.SubnetGroups.Get(tx, k)
		if !ok {
			return errSubnetGroupGone(name)
		}
		if len(clustersInSubnets(tx, g)) > 0 {
			return errSubnetGroupInUse(name)
		}
		resource.SubnetGroups.Delete(tx, k)
		return nil
	})
}

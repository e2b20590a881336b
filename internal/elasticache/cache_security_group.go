package elasticache

import (
	"context"
	"maps"
	"slices"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// maxCacheGroups is the quota of cache security groups of a region, the default
// one included.
const maxCacheGroups = 50

// CreateCacheSecurityGroup makes a group that lets nobody in.
func (s *Service) CreateCacheSecurityGroup(ctx context.Context, in *wire.CreateCacheSecurityGroupMessage) (*wire.CreateCacheSecurityGroupResult, error) {
	name, err := s.cacheGroupName(in.CacheSecurityGroupName)
	if err != nil {
		return nil, err
	}
	text, err := description("Description", in.Description)
	if err != nil {
		return nil, err
	}
	tags, err := validateTags(in.Tags)
	if err != nil {
		return nil, err
	}
	if name == resource.DefaultCacheSecurityGroup {
		return nil, errCacheGroupDefault(name, "created")
	}
	g := &resource.CacheSecurityGroup{Region: region(ctx), Name: name, UID: s.newID(), Description: text, Tags: tags}
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		all := listCacheGroups(tx, g.Region)
		if slices.ContainsFunc(all, func(o *resource.CacheSecurityGroup) bool { return o.Name == name }) {
			return errCacheGroupExists(name)
		}
		if len(all) >= maxCacheGroups {
			return errCacheGroupQuota()
		}
		resource.CacheSecurityGroups.Put(tx, key(g.Region, g.Name), g)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &wire.CreateCacheSecurityGroupResult{CacheSecurityGroup: s.wireCacheGroup(g)}, nil
}

// DescribeCacheSecurityGroups answers one group or all of the region: the default
// one, then the others by name.
func (s *Service) DescribeCacheSecurityGroups(ctx context.Context, in *wire.DescribeCacheSecurityGroupsMessage) (*wire.CacheSecurityGroupMessage, error) {
	if !s.classic {
		return nil, errClassicNotPermitted()
	}
	out := &wire.CacheSecurityGroupMessage{CacheSecurityGroups: []*wire.CacheSecurityGroup{}}
	err := s.store.View(ctx, func(r store.Reader) error {
		groups := listCacheGroups(r, region(ctx))
		if set(in.CacheSecurityGroupName) {
			g, err := getCacheGroup(r, region(ctx), strings.ToLower(*in.CacheSecurityGroupName))
			if err != nil {
				return err
			}
			groups = []*resource.CacheSecurityGroup{g}
		}
		groups, next, err := page(groups, cacheGroupOrder, "DescribeCacheSecurityGroups", in.MaxRecords, in.Marker)
		if err != nil {
			return err
		}
		out.Marker = next
		for _, g := range groups {
			out.CacheSecurityGroups = append(out.CacheSecurityGroups, s.wireCacheGroup(g))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteCacheSecurityGroup removes a group that no cluster names.
func (s *Service) DeleteCacheSecurityGroup(ctx context.Context, in *wire.DeleteCacheSecurityGroupMessage) error {
	name, err := s.cacheGroupName(in.CacheSecurityGroupName)
	if err != nil {
		return err
	}
	if name == resource.DefaultCacheSecurityGroup {
		return errCacheGroupDefault(name, "deleted")
	}
	return s.store.Update(ctx, func(tx *store.Tx) error {
		g, err := getCacheGroup(tx, region(ctx), name)
		if err != nil {
			return err
		}
		for _, c := range resource.CacheClusters.List(tx, key(g.Region, "")) {
			if slices.Contains(c.Spec.CacheSecurityGroups, name) {
				return errCacheGroupInUse(name, c.ID)
			}
		}
		resource.CacheSecurityGroups.Delete(tx, key(g.Region, name))
		return nil
	})
}

// cacheGroupName checks the name that a request must give, of an account that can
// have such groups.
func (s *Service) cacheGroupName(value *string) (string, error) {
	if !s.classic {
		return "", errClassicNotPermitted()
	}
	return identifier("CacheSecurityGroupName", value, maxGroupName)
}

// defaultCacheGroup is the group that every region has, as long as nothing of it
// has changed.
func defaultCacheGroup(region string) *resource.CacheSecurityGroup {
	return &resource.CacheSecurityGroup{Region: region, Name: resource.DefaultCacheSecurityGroup, Description: "default"}
}

// getCacheGroup is the group with a name, which must be in lower case.
func getCacheGroup(r store.Reader, region, name string) (*resource.CacheSecurityGroup, error) {
	g, ok := resource.CacheSecurityGroups.Get(r, key(region, name))
	switch {
	case ok:
		return g, nil
	case name == resource.DefaultCacheSecurityGroup:
		return defaultCacheGroup(region), nil
	}
	return nil, errCacheGroupNotFound(name)
}

// listCacheGroups are all groups of a region in the order of Describe.
func listCacheGroups(r store.Reader, region string) []*resource.CacheSecurityGroup {
	all := slices.Clone(resource.CacheSecurityGroups.List(r, key(region, "")))
	if _, ok := resource.CacheSecurityGroups.Get(r, key(region, resource.DefaultCacheSecurityGroup)); !ok {
		all = append(all, defaultCacheGroup(region))
	}
	slices.SortFunc(all, func(a, b *resource.CacheSecurityGroup) int {
		return strings.Compare(cacheGroupOrder(a), cacheGroupOrder(b))
	})
	return all
}

// cacheGroupOrder puts the default group before all names.
func cacheGroupOrder(g *resource.CacheSecurityGroup) string {
	if g.Name == resource.DefaultCacheSecurityGroup {
		return "-"
	}
	return g.Name
}

func (s *Service) wireCacheGroup(g *resource.CacheSecurityGroup) *wire.CacheSecurityGroup {
	out := &wire.CacheSecurityGroup{
		OwnerId: core.Ptr(s.account), CacheSecurityGroupName: core.Ptr(g.Name), Description: core.Ptr(g.Description),
		ARN: s.arn(g.Region, arnSecurityGroup, g.Name), EC2SecurityGroups: []*wire.EC2SecurityGroup{},
	}
	for _, i := range g.Current() {
		out.EC2SecurityGroups = append(out.EC2SecurityGroups, &wire.EC2SecurityGroup{
			Status: core.Ptr(ingressStatus(g, i)), EC2SecurityGroupName: core.Ptr(i.GroupName), EC2SecurityGroupOwnerId: core.Ptr(s.account),
		})
	}
	return out
}

// wireCacheGroups are the groups of a cluster as the cluster shows them.
func wireCacheGroups(names []string) []*wire.CacheSecurityGroupMembership {
	out := make([]*wire.CacheSecurityGroupMembership, 0, len(names))
	for _, name := range names {
		out = append(out, &wire.CacheSecurityGroupMembership{CacheSecurityGroupName: core.Ptr(name), Status: core.Ptr(statusActive)})
	}
	return out
}

// findTaggedCacheGroup is findTagged for these groups.
func (s *Service) findTaggedCacheGroup(r store.Reader, k, name string) (tagged, error) {
	if !s.classic {
		return tagged{}, errClassicNotPermitted()
	}
	if name == resource.DefaultCacheSecurityGroup {
		return tagged{locked: errNotTaggable(name)}, nil
	}
	g, ok := resource.CacheSecurityGroups.Get(r, k)
	if !ok {
		return tagged{}, errCacheGroupNotFound(name)
	}
	return tagged{tags: maps.Clone(g.Tags), put: func(tx *store.Tx, tags map[string]string) {
		g.Tags = tags
		resource.CacheSecurityGroups.Put(tx, k, g)
	}}, nil
}

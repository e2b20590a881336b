package elasticache

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/parameter"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// maxParameterChanges is how many parameters one call may change.
const maxParameterChanges = 20

// CreateCacheParameterGroup implements wire.Service.
func (s *Service) CreateCacheParameterGroup(ctx context.Context, in *wire.CreateCacheParameterGroupMessage) (*wire.CreateCacheParameterGroupResult, error) {
	group, err := newParameterGroup(region(ctx), in)
	if err != nil {
		return nil, err
	}
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		k := key(group.Region, group.Name)
		if _, exists := resource.ParameterGroups.Get(tx, k); exists {
			return errParameterGroupExists(group.Name)
		}
		if len(resource.ParameterGroups.Keys(tx, key(group.Region, ""))) >= maxGroups {
			return errParameterGroupQuota()
		}
		resource.ParameterGroups.Put(tx, k, group)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &wire.CreateCacheParameterGroupResult{CacheParameterGroup: s.wireParameterGroup(group)}, nil
}

func newParameterGroup(region string, in *wire.CreateCacheParameterGroupMessage) (*resource.ParameterGroup, error) {
	name, err := identifier("CacheParameterGroupName", in.CacheParameterGroupName, maxGroupName)
	if err != nil {
		return nil, err
	}
	family, err := knownFamily(in.CacheParameterGroupFamily)
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
	return &resource.ParameterGroup{
		Region: region, Name: name, Family: family.Name, Description: text, Values: map[string]string{}, Tags: tags,
	}, nil
}

func knownFamily(name *string) (parameter.Family, error) {
	if !set(name) {
		return parameter.Family{}, errMissing("CacheParameterGroupFamily")
	}
	f, ok := parameter.Lookup(strings.ToLower(*name))
	if !ok {
		return f, errFamilyUnknown(*name)
	}
	return f, nil
}

// DescribeCacheParameterGroups implements wire.Service. Default groups are
// listed among the others.
func (s *Service) DescribeCacheParameterGroups(ctx context.Context, in *wire.DescribeCacheParameterGroupsMessage) (*wire.CacheParameterGroupsMessage, error) {
	out := &wire.CacheParameterGroupsMessage{}
	err := s.store.View(ctx, func(r store.Reader) error {
		groups, err := s.findParameterGroups(r, region(ctx), in.CacheParameterGroupName)
		if err != nil {
			return err
		}
		groups, next, err := page(groups, func(g *resource.ParameterGroup) string { return g.Name },
			"DescribeCacheParameterGroups", in.MaxRecords, in.Marker)
		if err != nil {
			return err
		}
		out.Marker, out.CacheParameterGroups = next, make([]*wire.CacheParameterGroup, 0, len(groups))
		for _, g := range groups {
			out.CacheParameterGroups = append(out.CacheParameterGroups, s.wireParameterGroup(g))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) findParameterGroups(r store.Reader, region string, name *string) ([]*resource.ParameterGroup, error) {
	if set(name) {
		g, err := s.lookupParameterGroup(r, region, strings.ToLower(*name))
		if err != nil {
			return nil, err
		}
		return []*resource.ParameterGroup{g}, nil
	}
	groups := resource.ParameterGroups.List(r, key(region, ""))
	for _, g := range parameter.DefaultGroups() {
		groups = append(groups, defaultParameterGroup(region, g))
	}
	slices.SortFunc(groups, func(a, b *resource.ParameterGroup) int { return cmp.Compare(a.Name, b.Name) })
	return groups, nil
}

// lookupParameterGroup finds a group by its name in lower case, default groups
// included.
func (s *Service) lookupParameterGroup(r store.Reader, region, name string) (*resource.ParameterGroup, error) {
	if g, ok := parameter.DefaultGroup(name); ok {
		return defaultParameterGroup(region, g), nil
	}
	g, ok := resource.ParameterGroups.Get(r, key(region, name))
	if !ok {
		return nil, errParameterGroupNotFound(name)
	}
	return g, nil
}

func defaultParameterGroup(region string, g parameter.Group) *resource.ParameterGroup {
	return &resource.ParameterGroup{Region: region, Name: g.Name, Family: g.Family, Description: g.Description, Values: g.Values()}
}

func (s *Service) wireParameterGroup(g *resource.ParameterGroup) *wire.CacheParameterGroup {
	return &wire.CacheParameterGroup{
		CacheParameterGroupName:   core.Ptr(g.Name),
		CacheParameterGroupFamily: core.Ptr(g.Family),
		Description:               core.Ptr(g.Description),
		IsGlobal:                  core.Ptr(false),
		ARN:                       s.arn(g.Region, arnParameterGroup, g.Name),
	}
}

// ModifyCacheParameterGroup implements wire.Service.
func (s *Service) ModifyCacheParameterGroup(ctx context.Context, in *wire.ModifyCacheParameterGroupMessage) (*wire.CacheParameterGroupNameMessage, error) {
	switch n := len(in.ParameterNameValues); {
	case n == 0:
		return nil, errMissing("ParameterNameValues")
	case n > maxParameterChanges:
		return nil, errInvalidValue("The parameter ParameterNameValues must not have more than %d members.", maxParameterChanges)
	}
	return s.changeParameters(ctx, in.CacheParameterGroupName, func(g *resource.ParameterGroup) error {
		for _, p := range in.ParameterNameValues {
			name, err := parameterName(p)
			if err != nil {
				return err
			}
			if err := checkParameter(g.Family, name, core.Val(p.ParameterValue)); err != nil {
				return err
			}
			g.Values[name] = core.Val(p.ParameterValue)
		}
		return nil
	})
}

// ResetCacheParameterGroup implements wire.Service.
func (s *Service) ResetCacheParameterGroup(ctx context.Context, in *wire.ResetCacheParameterGroupMessage) (*wire.CacheParameterGroupNameMessage, error) {
	all := core.Val(in.ResetAllParameters)
	if all == (len(in.ParameterNameValues) > 0) {
		return nil, errInvalidCombination("Either ResetAllParameters or ParameterNameValues must be provided, and not both.")
	}
	return s.changeParameters(ctx, in.CacheParameterGroupName, func(g *resource.ParameterGroup) error {
		if all {
			g.Values = map[string]string{}
			return nil
		}
		family, _ := parameter.Lookup(g.Family)
		for _, p := range in.ParameterNameValues {
			name, err := parameterName(p)
			if err != nil {
				return err
			}
			known, ok := family.Find(name)
			if !ok {
				return errParameterUnknown(name)
			}
			if !known.Modifiable {
				return errParameterFixed(name)
			}
			delete(g.Values, name)
		}
		return nil
	})
}

func parameterName(p *wire.ParameterNameValue) (string, error) {
	if p == nil || !set(p.ParameterName) {
		return "", errMissing("ParameterName")
	}
	return *p.ParameterName, nil
}

// checkParameter words the refusals of package parameter.
func checkParameter(family, name, value string) error {
	err := parameter.Validate(family, name, value)
	f, _ := parameter.Lookup(family)
	p, _ := f.Find(name)
	switch {
	case errors.Is(err, parameter.ErrUnknown):
		return errParameterUnknown(name)
	case errors.Is(err, parameter.ErrFixed):
		return errParameterFixed(name)
	case errors.Is(err, parameter.ErrValue):
		return errParameterValue(name, value, p.Allowed)
	case errors.Is(err, parameter.ErrUnserved):
		return errParameterUnserved(name, value, p.Default)
	}
	return err
}

// changeParameters applies edit to the values of a stored group in one
// transaction and checks that every cluster that uses it can run with them. An
// edit that changes nothing leaves the generation alone.
func (s *Service) changeParameters(ctx context.Context, groupName *string, edit func(g *resource.ParameterGroup) error) (*wire.CacheParameterGroupNameMessage, error) {
	name, err := identifier("CacheParameterGroupName", groupName, maxGroupName)
	if err != nil {
		return nil, err
	}
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		k := key(region(ctx), name)
		g, ok := resource.ParameterGroups.Get(tx, k)
		if !ok {
			return errParameterGroupNotFound(name)
		}
		if g.Values == nil {
			g.Values = map[string]string{}
		}
		before := maps.Clone(g.Values)
		if err := edit(g); err != nil {
			return err
		}
		if maps.Equal(before, g.Values) {
			return nil
		}
		for _, c := range clustersWithParameters(tx, g) {
			if changed := unattachedDifference(g.Family, before, g.Values); changed != "" {
				return errParameterAttached(changed, g.Name)
			}
			if err := checkParametersFit(g, c.Spec.NodeType); err != nil {
				return err
			}
		}
		g.Generation++
		resource.ParameterGroups.Put(tx, k, g)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &wire.CacheParameterGroupNameMessage{CacheParameterGroupName: &name}, nil
}

// clustersWithParameters are the clusters that use a group, or still run with it.
func clustersWithParameters(r store.Reader, g *resource.ParameterGroup) []*resource.CacheCluster {
	return slices.DeleteFunc(resource.CacheClusters.List(r, key(g.Region, "")), func(c *resource.CacheCluster) bool {
		return c.Spec.ParameterGroup != g.Name && c.Status.ParameterGroup != g.Name
	})
}

// unattachedDifference is the name of the first parameter that cannot change
// under a running cluster and differs between two sets of values; empty if none.
func unattachedDifference(family string, a, b map[string]string) string {
	f, _ := parameter.Lookup(family)
	for _, p := range f.Parameters {
		if p.Unattached && f.Value(a, p.Name) != f.Value(b, p.Name) {
			return p.Name
		}
	}
	return ""
}

// checkParametersFit refuses values of a group that a node type cannot run with.
func checkParametersFit(g *resource.ParameterGroup, nodeType string) error {
	t, ok := catalog.LookupNodeType(nodeType)
	if !ok {
		return nil
	}
	err := parameter.Check(g.Family, g.Values, t)
	var conflict *parameter.Conflict
	if errors.As(err, &conflict) {
		return errParameterConflict(conflict)
	}
	return err
}

// DeleteCacheParameterGroup implements wire.Service.
func (s *Service) DeleteCacheParameterGroup(ctx context.Context, in *wire.DeleteCacheParameterGroupMessage) error {
	name, err := identifier("CacheParameterGroupName", in.CacheParameterGroupName, maxGroupName)
	if err != nil {
		return err
	}
	return s.store.Update(ctx, func(tx *store.Tx) error {
		k := key(region(ctx), name)
		g, ok := resource.ParameterGroups.Get(tx, k)
		if !ok {
			return errParameterGroupNotFound(name)
		}
		if len(clustersWithParameters(tx, g)) > 0 {
			return errParameterGroupInUse(name)
		}
		resource.ParameterGroups.Delete(tx, k)
		return nil
	})
}

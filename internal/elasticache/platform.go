package elasticache

import (
	"slices"
	"strings"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// setPlatform decides where a new cluster goes: into the VPC of its subnet group,
// or, where none is named, into EC2-Classic if the account has that, else into the
// default VPC.
func (s *Service) setPlatform(spec *resource.CacheClusterSpec, in clusterSettings) error {
	caches, groups := namesIn(in.cacheGroups), namesIn(in.securityGroups)
	switch {
	case len(caches) > 0 && !s.classic:
		return errClassicNotPermitted()
	case len(caches) > 0 && (set(in.subnetGroup) || len(groups) > 0):
		return errCacheGroupsInVPC()
	case !set(in.subnetGroup) && s.classic && len(groups) > 0:
		return errClassicSecurityGroups()
	case !set(in.subnetGroup) && s.classic:
		spec.CacheSecurityGroups = caches
		if len(caches) == 0 {
			spec.CacheSecurityGroups = []string{resource.DefaultCacheSecurityGroup}
		}
		return nil
	}
	spec.SubnetGroup = strings.ToLower(core.Val(in.subnetGroup))
	if spec.SubnetGroup == "" {
		spec.SubnetGroup = defaultSubnetGroup
	}
	return nil
}

// namesIn are the names in a list as they are stored, each once.
func namesIn(list []string) []string {
	var out []string
	for _, name := range list {
		if name = strings.ToLower(name); name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// checkCacheGroups refuses names that no cache security group has.
func checkCacheGroups(r store.Reader, region string, names []string) error {
	for _, name := range names {
		if _, err := getCacheGroup(r, region, name); err != nil {
			return err
		}
	}
	return nil
}

// changeCacheGroups sets the cache security groups of a cluster in EC2-Classic and
// reports whether they are others; nil is no change.
func (s *Service) changeCacheGroups(r store.Reader, c *resource.CacheCluster, asked []string) (bool, error) {
	names := namesIn(asked)
	switch {
	case asked == nil:
		return false, nil
	case !s.classic:
		return false, errClassicNotPermitted()
	case !c.Spec.Classic():
		return false, errCacheGroupsOfVPCCluster()
	case len(names) == 0:
		return false, errMissing("CacheSecurityGroupNames")
	case slices.Contains(names, resource.DefaultCacheSecurityGroup):
		return false, errCacheGroupDefault(resource.DefaultCacheSecurityGroup, "assigned")
	}
	if err := checkCacheGroups(r, c.Region, names); err != nil || slices.Equal(names, c.Spec.CacheSecurityGroups) {
		return false, err
	}
	c.Spec.CacheSecurityGroups = names
	return true, nil
}

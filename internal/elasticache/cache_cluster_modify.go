package elasticache

import (
	"context"
	"slices"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/parameter"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// ModifyCacheCluster changes a cluster of its own, or what is a member's own of
// a member of a replication group.
func (s *Service) ModifyCacheCluster(ctx context.Context, in *wire.ModifyCacheClusterMessage) (*wire.ModifyCacheClusterResult, error) {
	if err := refuseUnserved(unservedOfModifyCluster(in)); err != nil {
		return nil, err
	}
	if in.CacheSecurityGroupNames != nil && !s.classic {
		return nil, errClassicNotPermitted()
	}
	id, err := clusterID(in.CacheClusterId)
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	var out *wire.CacheCluster
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		c, err := loadCluster(tx, region(ctx), id)
		if err != nil {
			return err
		}
		if clusterStatus(c) != statusAvailable {
			return errClusterState("Cache cluster %s is not in available state to be modified.", id)
		}
		e := &clusterEdit{service: s, tx: tx, c: c, in: in, now: now}
		if err := e.apply(); err != nil {
			return err
		}
		resource.CacheClusters.Put(tx, key(c.Region, c.ID), c)
		out = s.wireCluster(tx, c, true)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &wire.ModifyCacheClusterResult{CacheCluster: out}, nil
}

// unservedOfModifyCluster lists what ModifyCacheCluster does not do yet.
func unservedOfModifyCluster(in *wire.ModifyCacheClusterMessage) []refusal {
	return []refusal{
		{"NotificationTopicArn", set(in.NotificationTopicArn)},
		{"NotificationTopicStatus", set(in.NotificationTopicStatus)},
		{"SnapshotRetentionLimit", core.Val(in.SnapshotRetentionLimit) != 0},
		{"AuthToken", in.AuthToken != nil},
		{"AuthTokenUpdateStrategy", set(in.AuthTokenUpdateStrategy)},
		{"LogDeliveryConfigurations", len(in.LogDeliveryConfigurations) > 0},
		{"IpDiscovery", not(in.IpDiscovery, networkType)},
		{"ScaleConfig", in.ScaleConfig != nil},
	}
}

// beginClusterChange records that the controllers have work to do for c.
func beginClusterChange(c *resource.CacheCluster, change string) {
	c.Generation++
	c.Spec.Change = change
}

// changeParameterGroup sets the parameter group of a cluster to one of the same
// family and reports whether it is another one.
func (s *Service) changeParameterGroup(r store.Reader, c *resource.CacheCluster, name *string) (bool, error) {
	if !set(name) || strings.EqualFold(*name, c.Spec.ParameterGroup) {
		return false, nil
	}
	version, _ := s.catalog.Lookup(c.Spec.Engine, c.Spec.EngineVersion)
	if err := s.replaces(r, c, strings.ToLower(*name), version, c.Spec.NodeType); err != nil {
		return false, err
	}
	c.Spec.ParameterGroup = strings.ToLower(*name)
	return true, nil
}

// replaces checks that a parameter group can take the place of the one that c has, with a
// version and a node type.
func (s *Service) replaces(r store.Reader, c *resource.CacheCluster, name string, v catalog.Version, nodeType string) error {
	after, err := s.parameterGroupFor(r, c.Region, name, v, nodeType)
	if err != nil {
		return err
	}
	before, err := s.lookupParameterGroup(r, c.Region, c.Spec.ParameterGroup)
	if err != nil {
		return err
	}
	if after != (before.Values[parameter.ClusterEnabled] == "yes") {
		return errClusterEnabledFixed()
	}
	return nil
}

// changeSecurityGroups sets the security groups and reports whether they are
// others. An empty list that was sent means the default group; nil, no change.
func (s *Service) changeSecurityGroups(tx *store.Tx, c *resource.CacheCluster, asked []string) (bool, error) {
	if asked == nil {
		return false, nil
	}
	if c.Spec.Classic() {
		return false, errClassicSecurityGroups()
	}
	vpc, _, err := s.subnetsOf(tx, c.Region, c.Spec.SubnetGroup)
	if err != nil {
		return false, err
	}
	groups, err := securityGroups(tx, vpc, c.Spec.SubnetGroup, asked)
	if err != nil || slices.Equal(groups, c.Spec.SecurityGroupIDs) {
		return false, err
	}
	c.Spec.SecurityGroupIDs = groups
	return true, nil
}

// changeAutoMinor sets AutoMinorVersionUpgrade and reports whether it changed.
func changeAutoMinor(spec *resource.CacheClusterSpec, asked *bool) bool {
	if asked == nil || *asked == spec.AutoMinorVersionUpgrade {
		return false
	}
	spec.AutoMinorVersionUpgrade = *asked
	return true
}

// checkMemcachedOnly refuses parameters that only Memcached has.
func checkMemcachedOnly(c *resource.CacheCluster, in *wire.ModifyCacheClusterMessage) error {
	if c.Spec.Engine == catalog.Memcached {
		return nil
	}
	switch {
	case in.NumCacheNodes != nil && *in.NumCacheNodes != len(c.Spec.Nodes):
		return errRedisNodeCount()
	case len(in.CacheNodeIdsToRemove) > 0:
		return errInvalidCombination("The parameter CacheNodeIdsToRemove is supported only for Memcached clusters.")
	case len(in.NewAvailabilityZones) > 0:
		return errInvalidCombination("The parameter NewAvailabilityZones is supported only for Memcached clusters.")
	case core.Val(in.AZMode) == azCross:
		return errInvalidCombination("The parameter AZMode can be cross-az only for Memcached clusters with more than one node.")
	}
	return nil
}

package elasticache

import (
	"context"
	"maps"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// adopt makes a group around a cluster of its own, which becomes its primary and
// keeps its process, its data, its clients and its address. Replicas come with
// IncreaseReplicaCount.
func (s *Service) adopt(ctx context.Context, in *wire.CreateReplicationGroupMessage) (*wire.ReplicationGroup, error) {
	if err := checkAdoption(in); err != nil {
		return nil, err
	}
	clusterName, err := clusterID(in.PrimaryClusterId)
	if err != nil {
		return nil, err
	}
	draft, err := s.groupRecord(ctx, in)
	if err != nil {
		return nil, err
	}
	switch {
	case draft.Spec.AutomaticFailover:
		return nil, errFailoverNodes()
	case draft.Spec.MultiAZ:
		return nil, errMultiAZNeedsFailover()
	}
	var out *wire.ReplicationGroup
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		g := *draft
		if _, exists := resource.ReplicationGroups.Get(tx, key(g.Region, g.ID)); exists {
			return errReplicationGroupExists(g.ID)
		}
		c, err := adoptable(tx, g.Region, clusterName)
		if err != nil {
			return err
		}
		if err := s.take(tx, &g, c); err != nil {
			return err
		}
		out = s.wireGroup(tx, &g)
		return nil
	})
	return out, err
}

// checkAdoption refuses what the cluster has already.
func checkAdoption(in *wire.CreateReplicationGroupMessage) error {
	if in.NumCacheClusters != nil && *in.NumCacheClusters != 1 || core.Val(in.ReplicasPerNodeGroup) != 0 || core.Val(in.NumNodeGroups) > 1 {
		return errInvalidCombination("The group of the cluster in PrimaryClusterId begins with one node. Add replicas with IncreaseReplicaCount.")
	}
	for _, f := range []refusal{
		{"ClusterMode", not(in.ClusterMode, disabled)},
		{"CacheNodeType", set(in.CacheNodeType)},
		{"Engine", set(in.Engine)},
		{"EngineVersion", set(in.EngineVersion)},
		{"CacheParameterGroupName", set(in.CacheParameterGroupName)},
		{"CacheSubnetGroupName", set(in.CacheSubnetGroupName)},
		{"CacheSecurityGroupNames", len(in.CacheSecurityGroupNames) > 0},
		{"SecurityGroupIds", len(in.SecurityGroupIds) > 0},
		{"Port", in.Port != nil},
		{"PreferredMaintenanceWindow", set(in.PreferredMaintenanceWindow)},
		{"SnapshotWindow", set(in.SnapshotWindow)},
		{"PreferredCacheClusterAZs", len(in.PreferredCacheClusterAZs) > 0},
		{"NodeGroupConfiguration", len(in.NodeGroupConfiguration) > 0},
		{"AutoMinorVersionUpgrade", in.AutoMinorVersionUpgrade != nil},
		{"AuthToken", in.AuthToken != nil},
		{"TransitEncryptionEnabled", core.Val(in.TransitEncryptionEnabled)},
		{"TransitEncryptionMode", set(in.TransitEncryptionMode)},
	} {
		if f.given {
			return errInvalidCombination("The parameter %s cannot be used together with PrimaryClusterId: the cluster keeps what it has.", f.parameter)
		}
	}
	return nil
}

// adoptable finds a cluster that a group can be made around.
func adoptable(tx *store.Tx, region, id string) (*resource.CacheCluster, error) {
	c, err := loadCluster(tx, region, id)
	switch {
	case err != nil:
		return nil, err
	case c.Spec.Engine == catalog.Memcached:
		return nil, errInvalidValue("The parameter PrimaryClusterId names a Memcached cluster: a replication group has Redis or Valkey nodes.")
	case c.Spec.ReplicationGroupID != "":
		return nil, errClusterState("Cache cluster %s is already a member of replication group %s.", id, c.Spec.ReplicationGroupID)
	case clusterStatus(c) != statusAvailable:
		return nil, errClusterState("Cache cluster %s is not in available state.", id)
	case c.Spec.TLS != resource.TLSOff || keepsToken(tx, c):
		return nil, errInvalidCombination("Cache cluster %s has TLS or a token of the replication group that it was in: no group can be made around it.", id)
	}
	return c, nil
}

// take makes c the only member of g.
func (s *Service) take(tx *store.Tx, g *resource.ReplicationGroup, c *resource.CacheCluster) error {
	// The node's hidden passwords are derived from this, and must not change under it.
	if n, ok := resource.Nodes.Get(tx, key(c.Region, c.ID+"/"+onlyNode)); ok {
		g.UID = n.Spec.Auth.SecretsFrom
	}
	if len(g.Tags) == 0 {
		g.Tags = maps.Clone(c.Tags)
	} else {
		c.Tags = maps.Clone(g.Tags)
	}
	g.Spec.Engine, g.Spec.Members = c.Spec.Engine, []string{c.ID}
	g.Spec.Pending, c.Spec.Pending = c.Spec.Pending, resource.Pending{}
	c.Spec.ReplicationGroupID = g.ID
	vpc, subnets, err := s.subnetsOf(tx, c.Region, c.Spec.SubnetGroup)
	if err != nil {
		return err
	}
	if err := s.siteOf(tx, vpc, subnets).addGroupEndpoints(g, []*resource.CacheCluster{c}); err != nil {
		return err
	}
	resource.CacheClusters.Put(tx, key(c.Region, c.ID), c)
	resource.ReplicationGroups.Put(tx, key(g.Region, g.ID), g)
	return nil
}

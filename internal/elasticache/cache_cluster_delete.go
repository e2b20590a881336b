package elasticache

import (
	"context"
	"slices"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// RebootCacheCluster restarts nodes of a cluster; their data is lost.
func (s *Service) RebootCacheCluster(ctx context.Context, in *wire.RebootCacheClusterMessage) (*wire.RebootCacheClusterResult, error) {
	id, err := clusterID(in.CacheClusterId)
	if err != nil {
		return nil, err
	}
	if len(in.CacheNodeIdsToReboot) == 0 {
		return nil, errMissing("CacheNodeIdsToReboot")
	}
	var out *wire.CacheCluster
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		c, err := loadCluster(tx, region(ctx), id)
		if err != nil {
			return err
		}
		if clusterStatus(c) != statusAvailable {
			return errClusterState("Cache cluster %s is not in available state to be rebooted.", id)
		}
		if err := rebootable(tx, c); err != nil {
			return err
		}
		if err := askReboot(c, in.CacheNodeIdsToReboot); err != nil {
			return err
		}
		resource.CacheClusters.Put(tx, key(c.Region, c.ID), c)
		out = s.wireCluster(tx, c, true)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &wire.RebootCacheClusterResult{CacheCluster: out}, nil
}

// rebootable refuses the nodes of shards, whose data a reboot would lose with the
// slots still theirs.
func rebootable(tx *store.Tx, c *resource.CacheCluster) error {
	if c.Spec.ReplicationGroupID == "" {
		return nil
	}
	g, _, err := loadGroup(tx, c.Region, c.Spec.ReplicationGroupID)
	if err == nil && g.Spec.ClusterMode() {
		err = errClusterModeReboot(c.ID, g.ID)
	}
	return err
}

func askReboot(c *resource.CacheCluster, ids []string) error {
	if c.Spec.Reboot == nil {
		c.Spec.Reboot = map[string]int{}
	}
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		if !slices.ContainsFunc(c.Spec.Nodes, func(n resource.NodeSlot) bool { return n.ID == id }) {
			return errInvalidValue("The parameter CacheNodeIdsToReboot names node %s, which cache cluster %s does not have.", id, c.ID)
		}
		c.Spec.Reboot[id]++
	}
	beginClusterChange(c, changeRebooting)
	return nil
}

// DeleteCacheCluster deletes a cluster of its own, or takes a replica out of its
// replication group.
func (s *Service) DeleteCacheCluster(ctx context.Context, in *wire.DeleteCacheClusterMessage) (*wire.DeleteCacheClusterResult, error) {
	id, err := clusterID(in.CacheClusterId)
	if err != nil {
		return nil, err
	}
	if err := refuseUnserved([]refusal{{"FinalSnapshotIdentifier", set(in.FinalSnapshotIdentifier)}}); err != nil {
		return nil, err
	}
	var out *wire.CacheCluster
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		c, err := loadCluster(tx, region(ctx), id)
		if err != nil {
			return err
		}
		if c.Spec.ReplicationGroupID != "" {
			err = leaveGroup(tx, c)
		} else if !clusterDeletable(c) {
			err = errClusterNotDeletable(id)
		}
		if err != nil {
			return err
		}
		deleteCluster(tx, c)
		out = s.wireCluster(tx, c, true)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &wire.DeleteCacheClusterResult{CacheCluster: out}, nil
}

// deleteCluster marks a cluster for the controllers to take down.
func deleteCluster(tx *store.Tx, c *resource.CacheCluster) {
	c.Spec.Deleting = true
	c.Generation++
	resource.CacheClusters.Put(tx, key(c.Region, c.ID), c)
}

// leaveGroup takes a replica that is going to be deleted out of its group.
func leaveGroup(tx *store.Tx, c *resource.CacheCluster) error {
	g, members, err := loadGroup(tx, c.Region, c.Spec.ReplicationGroupID)
	if err != nil {
		return err
	}
	switch {
	case c.Spec.Deleting:
		return errClusterNotDeletable(c.ID)
	case g.Spec.ClusterMode():
		return errClusterModeMember(c.ID, g.ID)
	case len(members) == 1:
		return errOnlyMember()
	case servesGroup(tx, g, c):
		return errServingPrimary(c.ID, g.ID)
	case g.Spec.AutomaticFailover && len(members) == 2:
		return errLastReplica(g.ID)
	case g.Spec.MultiAZ:
		return errMultiAZReplica(c.ID, g.ID)
	case groupStatus(g) != statusAvailable || !clusterDeletable(c):
		return errClusterNotDeletable(c.ID)
	}
	g.Spec.Members = slices.DeleteFunc(g.Spec.Members, func(id string) bool { return id == c.ID })
	beginGroupChange(g)
	resource.ReplicationGroups.Put(tx, key(g.Region, g.ID), g)
	return nil
}

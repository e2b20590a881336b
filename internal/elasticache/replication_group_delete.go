package elasticache

import (
	"context"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// DeleteReplicationGroup deletes a group with its members; with
// RetainPrimaryCluster the primary stays as a cluster of its own.
func (s *Service) DeleteReplicationGroup(ctx context.Context, in *wire.DeleteReplicationGroupMessage) (*wire.DeleteReplicationGroupResult, error) {
	id, err := replicationGroupID(in.ReplicationGroupId)
	if err != nil {
		return nil, err
	}
	if err := refuseUnserved([]refusal{{"FinalSnapshotIdentifier", set(in.FinalSnapshotIdentifier)}}); err != nil {
		return nil, err
	}
	var out *wire.ReplicationGroup
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		g, members, err := loadGroup(tx, region(ctx), id)
		if err != nil {
			return err
		}
		if err := checkGroupDeletable(g, members); err != nil {
			return err
		}
		if g.Spec.ClusterMode() && core.Val(in.RetainPrimaryCluster) {
			return errInvalidCombination("The parameter RetainPrimaryCluster cannot be used for a replication group with cluster mode enabled.")
		}
		g.Spec.Deleting, g.Spec.RetainPrimary = true, core.Val(in.RetainPrimaryCluster)
		g.Generation++
		for _, c := range members {
			if g.Spec.RetainPrimary && c.ID == groupPrimary(g) {
				beginClusterChange(c, changeModifying)
				resource.CacheClusters.Put(tx, key(c.Region, c.ID), c)
				continue
			}
			deleteCluster(tx, c)
		}
		resource.ReplicationGroups.Put(tx, key(g.Region, g.ID), g)
		out = s.wireGroup(tx, g)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &wire.DeleteReplicationGroupResult{ReplicationGroup: out}, nil
}

func checkGroupDeletable(g *resource.ReplicationGroup, members []*resource.CacheCluster) error {
	if !groupDeletable(g) {
		return errReplicationGroupState("Replication group %s is not in a valid state to be deleted.", g.ID)
	}
	if g.Status.Failure != "" {
		return nil
	}
	for _, c := range members {
		if !clusterDeletable(c) {
			return errReplicationGroupState("Cache cluster %s is not in a valid state to be deleted", c.ID)
		}
	}
	return nil
}

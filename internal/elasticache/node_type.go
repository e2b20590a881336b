package elasticache

import (
	"context"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// ListAllowedNodeTypeModifications implements wire.Service. How much memory the
// data takes is not known here, so that smaller types are all listed.
func (s *Service) ListAllowedNodeTypeModifications(ctx context.Context, in *wire.ListAllowedNodeTypeModificationsMessage) (*wire.AllowedNodeTypeModificationsMessage, error) {
	if set(in.CacheClusterId) == set(in.ReplicationGroupId) {
		return nil, errInvalidCombination("Either CacheClusterId or ReplicationGroupId must be provided, and not both.")
	}
	out := &wire.AllowedNodeTypeModificationsMessage{}
	err := s.store.View(ctx, func(r store.Reader) error {
		c, err := findScaled(r, region(ctx), in)
		if err != nil {
			return err
		}
		if t, ok := catalog.LookupNodeType(c.Spec.NodeType); ok {
			out.ScaleUpModifications, out.ScaleDownModifications = t.ScaleTargets(c.Spec.Engine, c.Spec.EngineVersion)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// findScaled is the cluster that is asked for, or the first member of the
// replication group: all members have one type.
func findScaled(r store.Reader, region string, in *wire.ListAllowedNodeTypeModificationsMessage) (*resource.CacheCluster, error) {
	if set(in.CacheClusterId) {
		id, err := clusterID(in.CacheClusterId)
		if err != nil {
			return nil, err
		}
		return loadCluster(r, region, id)
	}
	id, err := replicationGroupID(in.ReplicationGroupId)
	if err != nil {
		return nil, err
	}
	g, ok := resource.ReplicationGroups.Get(r, key(region, id))
	if !ok || len(g.Spec.Members) == 0 {
		return nil, errReplicationGroupNotFound(id)
	}
	return loadCluster(r, region, g.Spec.Members[0])
}

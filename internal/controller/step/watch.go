package step

import (
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// GroupsOf are the keys of the replication groups, none or one, that a change of a
// group, of a member or of a member's node is about.
func GroupsOf(st *store.Store, change store.Change) []string {
	switch change.Table {
	case resource.ReplicationGroups.Name():
		return []string{change.Key}
	case resource.CacheClusters.Name():
		return groupOf(st, change.Key)
	case resource.Nodes.Name():
		return groupOf(st, ClusterOfNode(change.Key))
	}
	return nil
}

// groupOf is the key of the group that a cluster is a member of, if any.
func groupOf(st *store.Store, clusterKey string) (keys []string) {
	st.Local(func(r store.Reader) {
		if cluster, ok := resource.CacheClusters.Get(r, clusterKey); ok && cluster.Spec.ReplicationGroupID != "" {
			keys = []string{cluster.Region + "/" + cluster.Spec.ReplicationGroupID}
		}
	})
	return keys
}

package elasticache

import "github.com/larder-cache/larder/internal/resource"

// groupStatus is the Status of a replication group:
//
//	           all nodes run             Modify
//	creating ---------------> available <------> modifying
//	   |                          |    observed      |
//	   | cannot be made           | Delete           | Delete (when broken)
//	   v                          v                  v
//	create-failed ----------> deleting ----------> gone
//
// Its members have statuses of their own, see clusterStatus.
func groupStatus(g *resource.ReplicationGroup) string {
	return lifecycle{
		deleting:     g.Spec.Deleting,
		wasAvailable: g.Status.Available != nil,
		failed:       g.Status.Failure != "",
		settled:      g.Status.ObservedGeneration >= g.Generation,
		change:       g.Spec.Change,
	}.status()
}

// groupDeletable: see clusterDeletable.
func groupDeletable(g *resource.ReplicationGroup) bool {
	return groupStatus(g) == statusAvailable || g.Status.Failure != "" && !g.Spec.Deleting
}

// primaryFor is the id of the member that is, or shall become, the one that a
// member replicates from, or the member itself.
func primaryFor(g *resource.ReplicationGroup, member string) string {
	sh := g.Spec.ShardOf(member)
	if sh == nil {
		return groupPrimary(g)
	}
	return shardPrimary(g, sh)
}

// shardNamed is the shard with an id, nil if there is none. A group without cluster
// mode is one shard.
func shardNamed(g *resource.ReplicationGroup, id string) *resource.Shard {
	if g.Spec.ClusterMode() {
		return g.Spec.Shard(id)
	}
	if id != onlyShard {
		return nil
	}
	return &resource.Shard{ID: onlyShard, Members: g.Spec.Members}
}

// shardPrimary is groupPrimary for a shard.
func shardPrimary(g *resource.ReplicationGroup, sh *resource.Shard) string {
	if !g.Spec.ClusterMode() {
		return groupPrimary(g)
	}
	if primary := g.Status.Shard(sh.ID).Primary; primary != "" || len(sh.Members) == 0 {
		return primary
	}
	return sh.Members[0]
}

// groupPrimary is the id of the member that is, or shall become, the one that
// takes writes in a group without cluster mode.
func groupPrimary(g *resource.ReplicationGroup) string {
	if g.Status.Primary != "" {
		return g.Status.Primary
	}
	if len(g.Spec.Members) > 0 {
		return g.Spec.Members[0]
	}
	return ""
}

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

// groupPrimary is the id of the member that is, or shall become, the one that
// takes writes.
func groupPrimary(g *resource.ReplicationGroup) string {
	if g.Status.Primary != "" {
		return g.Status.Primary
	}
	if len(g.Spec.Members) > 0 {
		return g.Spec.Members[0]
	}
	return ""
}

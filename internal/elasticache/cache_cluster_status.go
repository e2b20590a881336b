package elasticache

import "github.com/larder-cache/larder/internal/resource"

// The status strings of clusters and groups on the wire.
const (
	statusCreating     = "creating"
	statusAvailable    = "available"
	statusModifying    = "modifying"
	statusRebooting    = "rebooting cluster nodes"
	statusDeleting     = "deleting"
	statusCreateFailed = "create-failed"
)

// What Spec.Change says.
const (
	changeModifying = resource.ChangeModifying
	changeRebooting = "rebooting"
)

// lifecycle is everything that a status is derived from, for a cluster as for a
// group.
type lifecycle struct {
	deleting bool
	// wasAvailable: the resource has been available before.
	wasAvailable bool
	failed       bool
	// settled: the latest generation is carried out.
	settled bool
	// change is what the latest operation began.
	change string
}

// clusterStatus is the CacheClusterStatus of a cluster, a member of a group
// included:
//
//	           node runs                 Modify              Delete
//	creating -----------> available <-----------> modifying -----+
//	   |                   |  ^  |     observed                  |
//	   | cannot be made    |  |  |  Delete                       v
//	   v                   |  |  +---------------------------> deleting --> gone
//	create-failed   Reboot v  | observed                         ^
//	   |            rebooting cluster nodes ---------------------+
//	   +---------------------------------------------------------+
func clusterStatus(c *resource.CacheCluster) string {
	return lifecycle{
		deleting:     c.Spec.Deleting,
		wasAvailable: c.Status.Available != nil,
		failed:       c.Status.Failure != "",
		settled:      c.Status.ObservedGeneration >= c.Generation,
		change:       c.Spec.Change,
	}.status()
}

func (l lifecycle) status() string {
	switch {
	case l.deleting:
		return statusDeleting
	case !l.wasAvailable && l.failed:
		return statusCreateFailed
	case !l.wasAvailable:
		return statusCreating
	case l.settled:
		return statusAvailable
	case l.change == changeRebooting:
		return statusRebooting
	default:
		return statusModifying
	}
}

// clusterDeletable reports whether a cluster may be deleted now: when it is
// available or broken, not while something is being done to it.
func clusterDeletable(c *resource.CacheCluster) bool {
	return clusterStatus(c) == statusAvailable || c.Status.Failure != "" && !c.Spec.Deleting
}

// nodeStatus is the CacheNodeStatus of a node. What the controller has not
// reported yet is being created.
func nodeStatus(c *resource.CacheCluster, id string) string {
	if s := c.Status.NodeStatus[id]; s != "" {
		return s
	}
	return statusCreating
}

// nodeProvisioned reports whether a node's endpoint may be shown: a node that
// is being created or removed shows none.
func nodeProvisioned(c *resource.CacheCluster, id string) bool {
	switch nodeStatus(c, id) {
	case statusCreating, statusDeleting:
		return false
	default:
		return true
	}
}

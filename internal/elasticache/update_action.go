package elasticache

import (
	"fmt"
	"slices"
	"time"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// The UpdateActionStatus and NodeUpdateStatus values that occur.
const (
	updateNotApplied = "not-applied"
	updateWaiting    = "waiting-to-start"
	updateInProgress = "in-progress"
	updateStopping   = "stopping"
	updateStopped    = "stopped"
	updateComplete   = "complete"
)

// updateAction is an update for a group or cluster with what its nodes say.
type updateAction struct {
	*resource.UpdateAction
	update  *resource.ServiceUpdate
	group   *resource.ReplicationGroup
	members []*resource.CacheCluster
	nodes   []*resource.Node
	// updated counts the nodes that run the new program.
	updated int
}

// readAction reads what belongs to an action; nil if what it is for is gone.
func readAction(r store.Reader, a *resource.UpdateAction) *updateAction {
	out := &updateAction{UpdateAction: a}
	out.update, _ = resource.ServiceUpdates.Get(r, key(a.Region, a.Update))
	if a.GroupID != "" {
		if g, ok := resource.ReplicationGroups.Get(r, key(a.Region, a.GroupID)); ok {
			out.group, out.members = g, groupMembers(r, g)
		}
	} else if c, ok := resource.CacheClusters.Get(r, key(a.Region, a.ClusterID)); ok && c.Spec.ReplicationGroupID == "" {
		out.members = []*resource.CacheCluster{c}
	}
	if out.update == nil || len(out.members) == 0 {
		return nil
	}
	for _, c := range out.members {
		for _, n := range resource.Nodes.List(r, key(c.Region, c.ID)+"/") {
			if _, successor := resource.SucceededID(n.ID); successor {
				continue // it is no node of the cluster yet
			}
			out.nodes = append(out.nodes, n)
			if out.hasProgram(n) {
				out.updated++
			}
		}
	}
	return out
}

func (a *updateAction) key() string {
	return resource.UpdateActionKey(a.Region, a.Update, a.GroupID, a.ClusterID)
}

func (a *updateAction) hasProgram(n *resource.Node) bool {
	return n.Status.Phase == resource.NodeRunning && catalog.Compare(n.Status.BinaryVersion, a.update.Version) >= 0
}

// settled reports whether nothing is being done to the owner.
func (a *updateAction) settled() bool {
	if a.group != nil {
		return groupStatus(a.group) == statusAvailable
	}
	return clusterStatus(a.members[0]) == statusAvailable
}

// status is the UpdateActionStatus:
//
//	not-applied --Apply--> waiting-to-start --> in-progress --> complete
//	                              ^    |             |             ^
//	                          Apply    | Stop        | Stop        | the last node
//	                              |    v             v             |
//	                             stopped <------- stopping --------+
func (a *updateAction) status() string {
	switch {
	case a.updated == len(a.nodes):
		return updateComplete
	case a.Applied == nil:
		return updateNotApplied
	case a.Stopped != nil && a.settled():
		return updateStopped
	case a.Stopped != nil:
		return updateStopping
	case a.settled():
		return updateNotApplied // it was given up, which an event tells of
	case a.updated == 0:
		return updateWaiting
	}
	return updateInProgress
}

func (a *updateAction) wire(showNodes bool) *wire.UpdateAction {
	modified, sla := a.Available, updateSLA
	for _, t := range []*time.Time{a.Applied, a.Stopped} {
		if t != nil {
			modified = *t
		}
	}
	due := a.update.Released.Add(updateApplyBy)
	if a.Applied != nil && a.Applied.After(due) {
		sla = updateNoSLA
	}
	out := &wire.UpdateAction{
		ReplicationGroupId: nonEmpty(a.GroupID), CacheClusterId: nonEmpty(a.ClusterID),
		ServiceUpdateName: &a.Update, ServiceUpdateReleaseDate: &a.update.Released, ServiceUpdateSeverity: core.Ptr(updateSeverity),
		ServiceUpdateStatus: core.Ptr(statusAvailable), ServiceUpdateRecommendedApplyByDate: &due, ServiceUpdateType: core.Ptr(updateType),
		UpdateActionAvailableDate: &a.Available, UpdateActionStatus: core.Ptr(a.status()), UpdateActionStatusModifiedDate: &modified,
		NodesUpdated: core.Ptr(fmt.Sprintf("%d/%d", a.updated, len(a.nodes))), SlaMet: &sla,
		EstimatedUpdateTime: core.Ptr(updateEstimate), Engine: &a.members[0].Spec.Engine,
	}
	if showNodes {
		a.wireNodes(out)
	}
	return out
}

// wireNodes adds the nodes: by shard for a group.
func (a *updateAction) wireNodes(out *wire.UpdateAction) {
	shards := map[string]*wire.NodeGroupUpdateStatus{}
	for _, n := range a.nodes {
		status, by := a.nodeStatus(n), (*string)(nil)
		var ended *time.Time
		if a.Applied != nil {
			by = core.Ptr(initiatedCustomer)
		}
		if status == updateComplete {
			ended = n.Status.Started
		}
		if a.group == nil {
			out.CacheNodeUpdateStatus = append(out.CacheNodeUpdateStatus, &wire.CacheNodeUpdateStatus{
				CacheNodeId: &n.ID, NodeUpdateStatus: &status, NodeUpdateEndDate: ended, NodeUpdateInitiatedBy: by, NodeUpdateInitiatedDate: a.Applied,
			})
			continue
		}
		id := shardOf(a.group, n.ClusterID)
		if shards[id] == nil {
			shards[id] = &wire.NodeGroupUpdateStatus{NodeGroupId: &id}
			out.NodeGroupUpdateStatus = append(out.NodeGroupUpdateStatus, shards[id])
		}
		shards[id].NodeGroupMemberUpdateStatus = append(shards[id].NodeGroupMemberUpdateStatus, &wire.NodeGroupMemberUpdateStatus{
			CacheClusterId: &n.ClusterID, CacheNodeId: &n.ID, NodeUpdateStatus: &status,
			NodeUpdateEndDate: ended, NodeUpdateInitiatedBy: by, NodeUpdateInitiatedDate: a.Applied,
		})
	}
}

func (a *updateAction) nodeStatus(n *resource.Node) string {
	switch status := a.status(); {
	case a.hasProgram(n):
		return updateComplete
	case status == updateNotApplied || status == updateStopped:
		return status
	case n.Status.Incarnation != n.Spec.Incarnation:
		return updateInProgress
	case status == updateStopping:
		return updateStopped
	}
	return updateWaiting
}

// shardOf is the id of the shard that a member of a group is in.
func shardOf(g *resource.ReplicationGroup, member string) string {
	for _, sh := range g.Spec.Shards {
		if slices.Contains(sh.Members, member) {
			return sh.ID
		}
	}
	return onlyShard
}

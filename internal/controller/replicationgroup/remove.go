package replicationgroup

import (
	"cmp"

	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/controller/step"
	"github.com/larder-cache/larder/internal/resource"
)

// mayRemove reports whether the nodes of a group that shall be deleted may go. A
// primary that is kept must hold the data first; once the first node has gone
// there is no way back.
func (w World) mayRemove() bool {
	if !w.Group.Spec.RetainPrimary {
		return true
	}
	members := w.members()
	for _, m := range members {
		if m.id() != w.Group.Status.Primary && (m.node == nil || m.node.Spec.Deleted) {
			return true
		}
	}
	p := byID(members, w.Group.Status.Primary)
	return p != nil && p.node != nil && nodespec.CaughtUp(p.node) &&
		p.node.Spec.ReplicaOf == "" && p.node.Status.Role == rolePrimary
}

// remove makes all nodes go, then removes everything that belongs to the group
// at once.
func (w World) remove() []step.Step {
	var plan, final []step.Step
	g := w.Group
	left := 0
	vpc := ""
	for _, c := range append(w.Members[:len(w.Members):len(w.Members)], w.Leaving...) {
		vpc = cmp.Or(vpc, c.VPCID)
		if g.Spec.RetainPrimary && c.Record.ID == g.Status.Primary {
			final = append(final, step.DetachCluster{Key: c.Key()})
			continue
		}
		steps, n := c.Vacate(c.NodeIDs())
		plan = append(plan, steps...)
		final = append(final, c.Remove()...)
		left += n
	}
	if left > 0 {
		return plan
	}
	plan = append(plan, final...)
	for _, e := range g.Spec.Endpoints() {
		plan = append(plan, step.Release(g.Region, vpc, e)...)
	}
	return append(plan,
		step.RemoveCertificate{Key: g.Region + "/" + g.UID},
		step.RemoveGroup{Key: key(g)},
		step.RecordEvent{
			Region: g.Region, SourceType: resource.SourceReplicationGroup, SourceID: g.ID,
			Message: "Replication group " + g.ID + " deleted",
		})
}

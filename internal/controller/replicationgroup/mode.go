package replicationgroup

import (
	"slices"

	"github.com/larder-cache/larder/internal/controller/step"
	"github.com/larder-cache/larder/internal/resource"
)

// Whether a process is in cluster mode is settled when it starts, so a group moves to
// another mode as it moves to another version (roll): one replica at a time gets a new
// process, which follows the primary whatever mode that is in; then the primary hands
// over, ends, and comes back as the last one.
//
// In cluster mode there is only database 0. What a replica in cluster mode makes of
// others is not what its primary has, so the primary is asked before each step, and the
// heir before it takes over.

// otherMode reports whether a node's process is of another mode than is wanted.
func (w World) otherMode(n *resource.Node) bool {
	return n != nil && !n.Spec.Deleted && (n.Spec.Cluster != nil) != (w.shard != nil)
}

// changeMode adds to the roles what a move to cluster mode asks for: the move is
// abandoned if the primary has data that cannot be kept, and a replica that may differ
// from it starts over instead of taking its place.
func (w World) changeMode(members []*member, r roles) roles {
	i := slices.IndexFunc(members, func(m *member) bool { return m.otherMode && m.node.Spec.ReplicaOf == "" })
	if w.shard == nil || i < 0 {
		return r
	}
	old := members[i]
	switch {
	case w.Offsets == nil && !slices.Contains(r.ask, old.key()):
		r.ask = append(r.ask, old.key())
	case w.Answers[old.key()].OtherDatabases:
		r.abandoned = true
	case r.source != old && r.lost == nil && w.Answers[r.source.key()].Diverged:
		r.renew, r.source, r.primary = r.source, old, old
	}
	return r
}

// cannotFollow reports whether a replica in cluster mode needs another process to follow
// the source, which is not: it does so from its start, or never.
func (p *pass) cannotFollow(m *member) bool {
	s, n := p.source.node, m.node.Spec
	return m != p.source && n.Cluster != nil && n.ReplicaOf != "" && n.ReplicaOf != p.source.key() && s != nil && s.Spec.Cluster == nil
}

// abandonMode makes the mode from before wanted again.
func (w World) abandonMode() []step.Step {
	return []step.Step{
		step.AbandonMode{Key: key(w.Group)},
		groupEvent(w.Group, "Failed to change the cluster mode of replication group "+w.Group.ID+". There are keys in databases other than 0"),
	}
}

// finishMode ends a change of the mode: the endpoints that the group has no more are
// released.
func (t *total) finishMode() []step.Step {
	spec := &t.Group.Spec
	steps := []step.Step{step.FinishMode{Key: key(t.Group)}}
	var gone []resource.Endpoint
	switch spec.Mode() {
	case resource.ModeDisabled:
		gone = []resource.Endpoint{spec.ConfigurationEndpoint}
	case resource.ModeEnabled:
		gone = []resource.Endpoint{spec.PrimaryEndpoint, spec.ReaderEndpoint}
	}
	for _, e := range gone {
		steps = append(steps, step.Release(t.Group.Region, t.Members[0].VPCID, e)...)
	}
	if spec.Mode() != spec.ModeChange.Before {
		steps = append(steps, groupEvent(t.Group, "Cluster mode of replication group "+t.Group.ID+" has been changed to "+spec.Mode()))
	}
	return steps
}

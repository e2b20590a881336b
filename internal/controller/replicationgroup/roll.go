package replicationgroup

import (
	"slices"

	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/controller/step"
)

// Another version of the engine is another process, which starts empty. A group
// moves to it without losing a write:
//
//	each replica, one at a time, gets a new process and fills from the source
//	    |  no replica is outdated
//	    v
//	the source hands over to a replica in sync (handOver)
//	    |  it is a replica now
//	    v
//	it gets a new process itself
//
// The only replica, whoever it is at the time, does not: see succeedReplicas.
//
// A newer engine always follows an older one here, never the other way round but
// for the moment after the change of places.
//
// A member that is alone hands on to a successor of its own (step.Succession).

// roll adds to the roles which replica gets a new process in this pass, if the source
// answers that it is alive: for the time until the new process is in sync the
// replica is no copy of the data.
func (w World) roll(members []*member, r roles) roles {
	if len(members) == 1 {
		s := &members[0].succession
		if s.Due && r.lost == nil && !w.succeeding {
			s.Begin()
		}
		r.ask, r.again = append(r.ask, s.Ask...), nodespec.Sooner(r.again, s.Again)
		return r
	}
	if r.renew = w.renewal(members, r); r.renew == nil {
		return r
	}
	if m := r.renew; !m.otherMode && lastCopy(members, m, r.source) {
		if r.renew = nil; !w.succeeding {
			m.succession.Begin()
		}
		return r
	}
	if w.Offsets == nil {
		r.ask = append(r.ask, r.source.key())
	} else if _, lives := w.Offsets[r.source.key()]; !lives {
		r.renew, r.again = nil, nodespec.Sooner(r.again, step.AskAgain)
	}
	return r
}

// renewal is the replica that may get a new process; nil for none.
func (w World) renewal(members []*member, r roles) *member {
	if r.source != r.primary || r.lost != nil || r.hold || len(r.inherits) > 0 || !leads(r.source) {
		return nil
	}
	if slices.ContainsFunc(members, func(m *member) bool { return m.Successors[m.slot.ID] != nil }) {
		return nil
	}
	var outdated []*member
	for _, m := range members {
		switch {
		case m == r.source:
		case m.outdated():
			outdated = append(outdated, m)
		case m.node == nil || !inSync(m, r.source):
			return nil // the one before is not there yet
		}
	}
	behind := slices.IndexFunc(outdated, func(m *member) bool { return nodespec.Alive(m.node) && !m.node.Status.LinkUp })
	switch {
	case len(outdated) == 0:
		return nil
	case behind >= 0:
		return outdated[behind] // it has nothing to lose
	case slices.ContainsFunc(outdated[1:], func(m *member) bool { return !inSync(m, r.source) }):
		return nil
	}
	return outdated[0]
}

// leads reports whether a member takes writes with all that is wanted of it.
func leads(m *member) bool {
	return m.node != nil && nodespec.CaughtUp(m.node) && m.node.Spec.ReplicaOf == "" && m.node.Status.Role == rolePrimary
}

// outdated reports whether a member needs another process for the version or the
// cluster mode that is wanted.
func (m *member) outdated() bool {
	return m.node != nil && !m.node.Spec.Deleted && (m.otherMode || m.Outdated(m.slot))
}

// sourceIsLast reports whether the source alone is outdated.
func (r roles) sourceIsLast(members []*member) bool {
	for _, m := range members {
		if m.outdated() != (m == r.source) {
			return false
		}
	}
	return true
}

package replicationgroup

import (
	"slices"

	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/controller/step"
	"github.com/larder-cache/larder/internal/resource"
)

// A replica that alone has a copy of the data beside the source does not give it up for
// a new process. It gets a successor (step.Succession), which fills from the source too:
//
//	source, replica --(successor made)--> the successor fills, the replica stays what it is
//	                --(it has as much)--> it has the replica's record, the replica's process ends
//
// At every moment two processes have all of the data. What ends on the way has left
// the data at one of the other two: whoever has most of it goes on, be it a successor.

// succeedReplicas says what becomes of the successors that members have, as long as
// the source is well.
func (w World) succeedReplicas(members []*member, r roles) roles {
	if len(members) == 1 || r.source == nil || len(r.ask) > 0 || r.undecided || len(r.inherits) > 0 {
		return r
	}
	others := func(of *member) bool {
		return slices.ContainsFunc(members, func(m *member) bool { return m != of && inSync(m, r.source) })
	}
	for _, m := range members {
		next := m.next()
		switch {
		case m.node == nil || m.Successors[m.slot.ID] == nil:
		case next == nil, m == r.source && others(m), m != r.source && !m.Outdated(m.slot):
			m.succession.Drop()
		case m != r.source && follows(next, r.source) && !next.Status.Lagging:
			r = w.replace(m, r)
		}
	}
	return r
}

// replace has the successor of a replica take its place once it has as much of the
// data. What the source sends then, it sends to both at once.
func (w World) replace(m *member, r roles) roles {
	next := m.next()
	if w.Offsets == nil {
		r.ask = append(r.ask, m.key(), next.Key())
		return r
	}
	has, known := w.Offsets[m.key()]
	if at, ok := w.Offsets[next.Key()]; known && ok && at >= has {
		m.succession.Take()
	} else {
		r.again = nodespec.Sooner(r.again, step.AskAgain)
	}
	return r
}

// lastCopy reports whether no other member but the source has what a replica has.
func lastCopy(members []*member, replica, source *member) bool {
	return nodespec.Alive(replica.node) && !slices.ContainsFunc(members, func(m *member) bool {
		return m != replica && m != source && inSync(m, source)
	})
}

// endedReplicas are the members whose own process has ended while they have a successor,
// but for the source.
func endedReplicas(members []*member, source *member) (ended []*member) {
	if len(members) == 1 {
		return nil
	}
	for _, m := range members {
		if next := m.next(); m != source && next != nil && nodespec.Exited(m.node) && !nodespec.Exited(next) && !nodespec.Failed(next) {
			ended = append(ended, m)
		}
	}
	return ended
}

// ahead is the member whose successor has more of the data than any of the members
// that live and have some; nil if there is none.
func (w World) ahead(members, filled []*member) (best *member) {
	var most int64 = -1
	for _, m := range filled {
		most = max(most, w.Offsets[m.key()])
	}
	for _, m := range members {
		next := m.next()
		if next == nil || !nodespec.Alive(next) {
			continue
		}
		at, ok := w.Offsets[next.Key()]
		if ok && at > most && (next.Status.Filled || at > step.NeverSynced) {
			best, most = m, at
		}
	}
	return best
}

// next is the member's successor, nil if there is none or it is to go, as it does with the
// member.
func (m *member) next() *resource.Node {
	next := m.Successors[m.slot.ID]
	if m.node == nil || m.node.Spec.Deleted || next == nil || next.Spec.Deleted {
		return nil
	}
	return next
}

// follows reports whether a node has all that source has.
func follows(n *resource.Node, source *member) bool {
	return n != nil && nodespec.CaughtUp(n) && n.Spec.ReplicaOf == source.key() &&
		n.Status.Role == roleReplica && n.Status.LinkUp
}

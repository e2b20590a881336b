package replicationgroup

import (
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/controller/step"
	"github.com/larder-cache/larder/internal/resource"
)

// roles says who replicates from whom. source is the member that all others
// replicate from; it is the primary but for the time in which a group without
// automatic failover brings a lost primary back:
//
//	              source lost, others alive
//	source = P ------------------------------> source = S, P starts as its replica
//	    ^     (automatic failover: primary = S, done)         |
//	    |                                                     |
//	    +-----------------------------------------------------+
//	                P is in sync again: handOver
//
// Nobody alive: P starts empty, and the others fill from it.
type roles struct {
	primary, source *member
	// lost is the member that was the source until now; nil if it still is.
	lost *member
	// hold: the source makes writes wait; since when, and how it goes on, see handOver.
	hold      bool
	holdSince *time.Time
	// renew is the member that gets a new process for another version.
	renew *member
	// again, if not 0, is when to look again at a change of places under way.
	again time.Duration
	// gaveUp: the change of places that was asked for does not come about.
	gaveUp bool
	// ask are the nodes whose offsets must be known to decide.
	ask []string
	// undecided: nodes that may hold the data did not answer, or are starting.
	undecided bool
	// abandoned: the group cannot move to the cluster mode that is wanted.
	abandoned bool
	// inherits are members whose successors take their places before anything else is
	// decided.
	inherits []*member
	// orphaned: no member holds the data any more.
	orphaned bool
}

// decide gives the roles for a world with at least one member.
func (w World) decide(members []*member) roles {
	r := roles{primary: byID(members, w.Group.Status.Primary)}
	if r.primary == nil {
		r.primary = members[0]
	}
	r.source = currentSource(members, r.primary)
	if r.inherits = endedReplicas(members, r.source); len(r.inherits) > 0 {
		return r
	}
	if r.source != nil && !w.isLost(r.source) {
		return w.handOver(members, r)
	}
	r.gaveUp = true
	if r.source == nil && !slices.ContainsFunc(members, func(m *member) bool { return m.node != nil }) {
		r.source = r.primary
		return r
	}
	return w.succeed(members, r)
}

// succeed chooses the source after the one that was lost: a member, or the successor of
// one if that has more, which gets the member's place first.
func (w World) succeed(members []*member, r roles) roles {
	r.lost = r.source
	var alive []string
	var filled []*member
	starting, silent, successors := false, false, false
	for _, m := range members {
		for _, n := range []*resource.Node{m.node, m.next()} {
			switch {
			case n == nil || m == r.lost && n == m.node:
				continue
			case !nodespec.Alive(n):
				starting = starting || nodespec.Starting(n)
				continue
			}
			alive = append(alive, n.Key())
			offset, answered := w.Offsets[n.Key()]
			silent = silent || !answered
			switch has := answered && (n.Status.Filled || offset > step.NeverSynced); {
			case has && n == m.node:
				filled = append(filled, m)
			case has:
				successors = true
			}
		}
	}
	switch {
	case len(alive) == 0 && starting:
		// It may have been filled before anybody said that it runs.
		r.undecided = true
		return r
	case len(alive) == 0:
		r.source, r.orphaned = r.primary, true
		return r
	case w.Offsets == nil:
		r.ask = append(r.ask, alive...)
		return r
	case len(filled) == 0 && !successors && (starting || silent):
		r.undecided = true
		return r
	case len(filled) == 0 && !successors:
		// Those alive came up after the source was lost: they are empty.
		r.source, r.orphaned = r.primary, true
		return r
	}
	if m := w.ahead(members, filled); m != nil {
		r.inherits = []*member{m}
		return r
	}
	r.source = w.mostAdvanced(filled, r.lost)
	// A primary that is to be kept when the group goes must come back itself.
	if w.Group.Spec.AutomaticFailover && !w.Group.Spec.Deleting {
		r.primary = r.source
	}
	return r
}

// sameZone is 1 for a member in the zone of the lost one, else 0.
func sameZone(m, lost *member) int {
	if lost != nil && m.slot.Zone == lost.slot.Zone {
		return 1
	}
	return 0
}

// isLost reports whether a source cannot go on. One that cannot be started is
// given up only where it had been running before.
func (w World) isLost(source *member) bool {
	if source.succession.Survives {
		return false
	}
	return nodespec.Exited(source.node) || w.Group.Status.Available != nil && nodespec.Failed(source.node)
}

// currentSource is the member that replicates from nobody; of several, the
// primary. nil if there is none.
func currentSource(members []*member, primary *member) *member {
	var source *member
	for _, m := range members {
		if m.node == nil || m.node.Spec.Deleted || m.node.Spec.ReplicaOf != "" && !m.succession.Lead {
			continue
		}
		if source == nil || m == primary {
			source = m
		}
	}
	return source
}

// inSync reports whether a member has all that source has.
func inSync(m, source *member) bool {
	return follows(m.node, source)
}

func byID(members []*member, id string) *member {
	for _, m := range members {
		if m.id() == id {
			return m
		}
	}
	return nil
}

// The roles that engines report.
const (
	rolePrimary = "master"
	roleReplica = "slave"
)

// member is a member of the group with its one node.
type member struct {
	*cluster
	slot resource.NodeSlot
	// node is nil as long as it was not made.
	node *resource.Node
	// succession is what is done about it and its successor, where it is the only one
	// with the data.
	succession step.Succession
	// otherMode: its process is in cluster mode and shall not be, or the reverse.
	otherMode bool
}

func (m *member) id() string  { return m.Record.ID }
func (m *member) key() string { return m.NodeKey(m.slot.ID) }

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

// succeed chooses the source after the one that was lost.
func (w World) succeed(members []*member, r roles) roles {
	r.lost = r.source
	var alive, silent, filled []*member
	starting := false
	for _, m := range members {
		if m == r.lost || m.node == nil {
			continue
		}
		if !nodespec.Alive(m.node) {
			starting = starting || nodespec.Starting(m.node)
			continue
		}
		alive = append(alive, m)
		switch offset, ok := w.Offsets[m.key()]; {
		case !ok:
			silent = append(silent, m)
		case m.node.Status.Filled || offset > step.NeverSynced:
			filled = append(filled, m)
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
		for _, m := range alive {
			r.ask = append(r.ask, m.key())
		}
		return r
	case len(filled) == 0 && (starting || len(silent) > 0):
		r.undecided = true
		return r
	case len(filled) == 0:
		// Those alive came up after the source was lost: they are empty.
		r.source, r.orphaned = r.primary, true
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
	return m.node != nil && nodespec.CaughtUp(m.node) && m.node.Spec.ReplicaOf == source.key() &&
		m.node.Status.Role == roleReplica && m.node.Status.LinkUp
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

package step

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/store"
)

// The data of a node that no replica has outlives its process in a successor: a node
// at the same address, that customers do not see until it takes the place.
//
//	node --(successor made)--> node takes writes, successor fills from it
//	     --(in sync)---------> node makes writes wait, until the successor has all of them
//	     --(lead)------------> successor is primary and is led to, node follows it
//	     --(it takes writes)-> successor has the node's record, the node's process ends
//
// A node that ends on the way, or loses patience, takes one step back or lets the
// successor lead at once: whoever has the data goes on.
//
// That of a replica fills from the primary, and takes the place without any of this.

const (
	// HandoverLimit is how long writers may have to wait for a planned change of the
	// primary. Half of what an engine holds them for is left to carry out what was decided.
	HandoverLimit = runtime.HoldLimit / 2
	// HandoverPause is the wait from one attempt to the next.
	HandoverPause = 30 * time.Second
	// CatchUpPause is the wait before replicas are asked again how far they are.
	CatchUpPause = time.Millisecond
)

// Succession is what one pass does about a node and its successor.
type Succession struct {
	// Due: the node needs another process and has no successor yet. It is the
	// caller's to begin, by Begin.
	Due bool
	// Hold: the node makes writes wait, since Since.
	Hold  bool
	Since *time.Time
	// Lead: the successor is the primary, and the node follows it.
	Lead bool
	// Survives: the node's data is with its successor, so that the node is not lost
	// and must not be started anew.
	Survives bool
	// Ask are nodes whose offsets must be known to go on, Again is when to look again.
	Ask   []string
	Again time.Duration

	begin, drop, take bool
}

// Begin has the successor of a node made for which that is due.
func (s *Succession) Begin() { s.Due, s.begin = false, true }

// Drop has the successor of a node dismissed.
func (s *Succession) Drop() { s.drop = true }

// Take has the successor of a replica, which has all that the replica has, take its
// place.
func (s *Succession) Take() { s.take = true }

// Begun reports whether this pass makes a successor.
func (s *Succession) Begun() bool { return s.begin }

// Succession decides about the node of a slot that takes writes. offsets are those of
// the nodes that were asked, nil if none were.
func (c *Cluster) Succession(slot resource.NodeSlot, offsets map[string]int64, now time.Time) Succession {
	n, next := c.Nodes[slot.ID], c.Successors[slot.ID]
	outdated := c.Outdated(slot)
	switch {
	case next == nil:
		return Succession{Due: n != nil && outdated && nodespec.Alive(n)}
	case n == nil || n.Spec.Deleted || next.Spec.Deleted:
		return Succession{drop: true}
	case next.Spec.ReplicaOf == "":
		return leading(n, next)
	case nodespec.Exited(n):
		return surviving(next, offsets)
	case !outdated:
		return Succession{drop: true}
	}
	return handing(n, next, offsets, now)
}

// NeverSynced is the highest offset that an engine gives for a replica that has
// never had anything from a primary.
const NeverSynced = 1

// surviving is what becomes of a successor whose node has ended: it leads if it has the
// data.
func surviving(next *resource.Node, offsets map[string]int64) Succession {
	offset, known := offsets[next.Key()]
	switch {
	case nodespec.Alive(next) && (next.Status.Filled || offset > NeverSynced):
		return Succession{Lead: true, Survives: true}
	case nodespec.Starting(next):
		return Succession{Survives: true, Again: AskAgain} // it may have been filled before anybody said so
	case nodespec.Alive(next) && offsets == nil:
		return Succession{Survives: true, Ask: []string{next.Key()}}
	case nodespec.Alive(next) && !known:
		return Succession{Survives: true, Again: AskAgain}
	}
	return Succession{drop: true}
}

// leading is the part after the successor was made the primary.
func leading(n, next *resource.Node) Succession {
	switch {
	case nodespec.CaughtUp(next) && next.Status.Role == "master":
		return Succession{Lead: true, Survives: true, take: true}
	case nodespec.Exited(next):
		return Succession{drop: true} // if the node lives it has what it had
	}
	return Succession{Lead: true, Survives: true}
}

// handing is the part in which the successor fills and gets what is left.
func handing(n, next *resource.Node, offsets map[string]int64, now time.Time) (s Succession) {
	// The clock may have been set back since.
	waiting := next.HeldSince != nil && !now.Before(*next.HeldSince) && now.Sub(*next.HeldSince) < HandoverPause
	// What it is told while writes wait already is nothing to let them go on for.
	ready := (nodespec.CaughtUp(next) || waiting && nodespec.Alive(next)) && next.Status.Role == "slave" && next.Status.LinkUp
	if !ready && !waiting {
		return Succession{}
	}
	s.Since = next.HeldSince
	if !waiting {
		s.Since = core.Ptr(now)
	}
	waited := now.Sub(*s.Since)
	if waited >= HandoverLimit || !ready {
		s.Again = HandoverPause - waited
		return s
	}
	s.Hold, s.Again = true, HandoverLimit-waited
	if !n.Spec.HoldWrites || !nodespec.CaughtUp(n) {
		return s
	}
	if offsets == nil {
		s.Ask = []string{n.Key(), next.Key()}
		return s
	}
	last, known := offsets[n.Key()]
	if at, ok := offsets[next.Key()]; !known || !ok || at < last {
		s.Again = CatchUpPause
		return s
	}
	return Succession{Lead: true, Survives: true}
}

// Succeed gives the steps for the successor of a slot's node. want is what is wanted
// of the node but for what the succession adds to it here; that of the successor
// follows from it.
func (c *Cluster) Succeed(slot resource.NodeSlot, s Succession, want *nodespec.Want, epoch int, now time.Time) (plan []Step, wait time.Duration) {
	n, next := c.Nodes[slot.ID], c.Successors[slot.ID]
	role := c.fit(*want, next)
	role.ReplicaOf = cmp.Or(want.ReplicaOf, n.Key())
	switch {
	case s.begin:
		spec := nodespec.First(own(role, next, epoch))
		spec.Turn, spec.Incarnation = n.Spec.Turn+1, n.Spec.Incarnation+1
		return []Step{CreateNode{Region: n.Region, ClusterID: n.ClusterID, ID: resource.SuccessorID(n.ID), Spec: spec}}, 0
	case next == nil:
		return nil, 0
	case s.drop:
		plan, _ = dismiss(next)
		return plan, 0
	case s.take && !s.Lead:
		return []Step{TakePlace{Key: n.Key()}}, 0
	case s.Lead:
		role.ReplicaOf = ""
		want.ReplicaOf, want.HoldWrites = next.Key(), false
		if s.take {
			return []Step{TakePlace{Key: n.Key()}}, 0
		}
	default:
		want.HoldWrites = want.HoldWrites || s.Hold
	}
	restart, wait := nodespec.Restart(next, role, now)
	if s.Lead {
		restart, s.Since = false, nil
	}
	plan = Change(next, nodespec.Next(next, own(role, next, epoch), restart))
	if !equalTimes(next.HeldSince, s.Since) {
		plan = append(plan, HoldFor{Key: next.Key(), Since: s.Since})
	}
	return plan, wait
}

// own is what is wanted of a successor in particular.
func own(w nodespec.Want, next *resource.Node, epoch int) nodespec.Want {
	w.HoldWrites, w.Watched = false, false
	if w.Cluster != nil {
		place := *w.Cluster
		place.Epoch = epoch
		if next != nil && next.Spec.Cluster != nil {
			place.Epoch = next.Spec.Cluster.Epoch
		}
		w.Cluster = &place
	}
	return w
}

// dismiss are the steps that make a successor go; gone: nothing but its record was
// left.
func dismiss(next *resource.Node) (plan []Step, gone bool) {
	if nodespec.Gone(next) {
		return []Step{RemoveNode{Key: next.Key()}}, true
	}
	return Change(next, nodespec.Removed(next)), false
}

func equalTimes(a, b *time.Time) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Equal(*b))
}

// successors takes those out of the nodes of a cluster and gives them by the ids of the
// nodes that they succeed.
func successors(nodes map[string]*resource.Node) map[string]*resource.Node {
	out := map[string]*resource.Node{}
	for id, n := range nodes {
		if before, ok := resource.SucceededID(id); ok {
			out[before] = n
			delete(nodes, id)
		}
	}
	return out
}

// Turns says for each node which one it is in its place, and whether it has a
// successor: another one for other nodes.
func (c *Cluster) Turns() (turns []string) {
	for _, slot := range c.Record.Spec.Nodes {
		for _, n := range []*resource.Node{c.Nodes[slot.ID], c.Successors[slot.ID]} {
			if n != nil && !n.Spec.Deleted && n.Spec.Turn > 0 {
				turns = append(turns, fmt.Sprintf("%s %d", n.Key(), n.Spec.Turn))
			}
		}
	}
	slices.Sort(turns)
	return turns
}

// TakePlace gives a node's record to its successor. What was the node is wanted no
// more. Who followed it leads in its stead.
type TakePlace struct{ Key string }

func (s TakePlace) String() string { return "node " + s.Key + ": its successor takes the place" }

func (s TakePlace) apply(tx *store.Tx, _ *commit) {
	n, ok := resource.Nodes.Get(tx, s.Key)
	next, there := resource.Nodes.Get(tx, resource.SuccessorID(s.Key))
	if !ok || !there {
		return
	}
	generation := max(n.Spec.Generation, next.Spec.Generation) + 1
	n.UID, n.Spec, n.Status = next.UID, next.Spec, next.Status
	n.Spec.Generation = generation
	if n.Spec.ReplicaOf == s.Key {
		n.Spec.ReplicaOf = ""
	}
	resource.Nodes.Put(tx, s.Key, n)
	resource.Nodes.Delete(tx, next.Key())
}

// HoldFor records since when writes wait for a successor.
type HoldFor struct {
	Key   string
	Since *time.Time
}

func (s HoldFor) String() string {
	if s.Since == nil {
		return "node " + s.Key + ": no writes wait for it"
	}
	return "node " + s.Key + ": writes wait for it"
}

func (s HoldFor) apply(tx *store.Tx, _ *commit) {
	if n, ok := resource.Nodes.Get(tx, s.Key); ok {
		n.HeldSince = s.Since
		resource.Nodes.Put(tx, s.Key, n)
	}
}

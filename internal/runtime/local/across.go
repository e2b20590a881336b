package local

import (
	"context"
	"time"

	"github.com/larder-cache/larder/internal/runtime"
)

// Of two nodes of which one is in cluster mode and the other is not, only the one
// that has just started can follow the other. So a primary whose heir is of the other
// kind does not become its replica; its process ends:
//
//	old: takes writes ---- holds them ---------------------> ended
//	new: replica of old -- has all that old has ----------------> primary
//
// It is the heir that ends it, and that does not take writes before: wherever Larder
// itself is cut short, at most one of them does.

// across is awaitAbdication, awaitHeld and abdicates for such a pair: how long either
// of them shall still wait; involved is false for all others.
func (n *node) across(ctx context.Context, want *runtime.Node) (wait time.Duration, involved bool) {
	if !n.rec.Ready {
		return 0, false
	}
	role, primary := n.state.Role, n.state.Primary
	if role == "" || want.Primary == nil && role != "master" {
		state, err := n.session.Observe(ctx)
		if err != nil {
			return 0, false // Converge meets the error again
		}
		role, primary = state.Role, state.Primary
	}
	switch {
	case want.Primary == nil && role == "slave":
		if old := n.rt.byReplication(want.Network, primary); old != nil && old != n && crosses(old.wanted(), want) {
			return n.awaitEnd(ctx, old), true
		}
	case want.Primary != nil && role == "master":
		if heir := n.rt.byReplication(want.Network, *want.Primary); heir != nil && heir != n && crosses(heir.wanted(), want) {
			return healthSlot, true // the heir ends it
		}
	}
	return 0, false
}

// crosses reports whether one of two nodes is in cluster mode and the other is not.
func crosses(a, b *runtime.Node) bool {
	return a != nil && b != nil && (a.Cluster == nil) != (b.Cluster == nil)
}

// awaitEnd has the primary that a replica takes over from hold writes, ends it once
// the replica has all of them, and gives how long to wait until it has ended. One that
// does not answer for long is ended all the same: two must never take writes.
func (n *node) awaitEnd(ctx context.Context, old *node) time.Duration {
	rep, _ := n.rt.reports.get(old.id())
	if rep.PID == 0 {
		return 0
	}
	waited := n.waited()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	last, err := n.holdOf(ctx, old)
	if err != nil && waited < primaryPatience {
		return 5 * time.Millisecond
	}
	if err == nil && waited < runtime.HoldLimit {
		if state, err := n.session.Observe(ctx); err != nil || state.Offset < last.Offset {
			return time.Millisecond
		}
	}
	old.end(rep.PID)
	return 5 * time.Millisecond // its exit wakes the node earlier
}

// end has a node's process with this number killed.
func (n *node) end(pid int) {
	n.ending.Store(int64(pid))
	n.poke()
}

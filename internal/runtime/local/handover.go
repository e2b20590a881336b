package local

import (
	"context"
	"time"

	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

// A primary and its replica that change places do so in an order in which no write
// is ever accepted that the next primary will not have:
//
//	old: takes writes --holds them for good--> abdicated ----> replica of new
//	new: replica of old --- has all that old has ---> primary
//
// Nothing but Larder lets writes go on at an engine that has abdicated, so the two may
// stay like that for as long as it is away. When it was decided, writes waited already
// and the replica had everything; but Larder may have been away since then, for longer
// than an engine holds writes by itself. Whatever else changes roles, a primary is there
// before it is followed: an engine that leaves its replicas has them all come back at
// once, which takes longer than all the rest.

// handoverPatience is how long the two wait for each other.
const handoverPatience = runtime.HoldLimit / 2

// abdicates reports whether a primary has to make way for the replica that it is
// to follow.
func (n *node) abdicates(want *runtime.Node) bool {
	if n.state.Role != "master" || want.Primary == nil {
		return false
	}
	heir := n.rt.byReplication(want.Network, *want.Primary)
	if heir == nil || heir.wanted().Primary != nil || !heir.running.Load() {
		return false
	}
	rep, _ := n.rt.reports.get(heir.id())
	return rep.Role != "master"
}

// askTimeout bounds how long one engine waits for what another has to say.
const askTimeout = 200 * time.Millisecond

// awaitHeir has a primary that makes way abdicate once its heir has everything, and gives
// how long it shall still wait for the heir to take over, whose role wakes it.
func (n *node) awaitHeir(ctx context.Context, want *runtime.Node) time.Duration {
	left, heir := handoverPatience-n.waited(), n.rt.byReplication(want.Network, *want.Primary)
	if left <= 0 || heir == nil {
		return 0
	}
	if n.abdicated.Load() == want {
		return left
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	last, err := n.session.Hold(ctx, engine.ForGood)
	if err != nil {
		return 0 // Converge meets the error again
	}
	next, err := n.askOf(ctx, heir)
	switch {
	case err != nil || next.Role == "slave" && next.Offset < last.Offset:
		return min(left, time.Millisecond)
	case next.Role != "slave":
		return 0
	}
	n.abdicated.Store(want)
	heir.poke()
	return left
}

// awaitAbdication gives how long a replica that becomes a primary shall still wait
// for the one that it takes over from, which wakes it. That one may be a replica already,
// as one that has waited for too long becomes: the two are compared then.
func (n *node) awaitAbdication(ctx context.Context, want *runtime.Node) time.Duration {
	old := n.rt.byReplication(want.Network, n.state.Primary)
	if n.state.Role != "slave" || old == nil {
		return 0
	}
	next := old.wanted()
	if next == nil || next.Primary == nil || *next.Primary != want.Replication || !old.running.Load() {
		return 0 // it ended, or does not follow this one
	}
	if old.abdicated.Load() == next {
		return 0
	}
	rep, _ := n.rt.reports.get(old.id())
	if n.waitFrom.IsZero() {
		old.poke() // it may have looked before this one was to be a primary
	}
	left := handoverPatience - n.waited()
	if left <= 0 || rep.Role != "slave" {
		return left
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	last, err := n.askOf(ctx, old)
	if err != nil {
		return 0 // it ends
	}
	state, err := n.session.Observe(ctx)
	if err != nil || state.Offset >= last.Offset {
		return 0 // Converge meets the error again
	}
	return min(left, time.Millisecond)
}

// In a cluster of shards an engine that has slots becomes a replica when its heir
// takes them over, not before. There the order is
//
//	old: takes writes -------- holds them --------------------> replica of new
//	new: replica of old ------ has all that old has --> primary
//
// which is also what is found again if Larder ends in between.

// awaitHeld gives how long a replica that becomes the primary of its shard shall
// still wait for the one that it takes over from.
func (n *node) awaitHeld(ctx context.Context, want *runtime.Node) time.Duration {
	if !n.rec.Ready {
		return 0
	}
	state, err := n.session.Observe(ctx)
	if err != nil || state.Role != "slave" {
		return 0 // Converge meets the error again
	}
	old := n.rt.byReplication(want.Network, state.Primary)
	if old == nil || old == n {
		return 0
	}
	if rep, _ := n.rt.reports.get(old.id()); rep.PID == 0 {
		return 0 // it ended
	}
	left := primaryPatience - n.waited()
	if left <= 0 {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	last, err := n.holdOf(ctx, old)
	if err != nil || last.Role != "master" {
		return 0 // it ends, or has lost its slots already
	}
	if state, err = n.session.Observe(ctx); err != nil || state.Offset >= last.Offset {
		return 0
	}
	return min(left, time.Millisecond)
}

package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

const (
	// hurry is for how long an engine is eager after it was last waited for, if what was
	// waited for does not come: an eager engine costs ten times as much.
	hurry = 2 * time.Second
	// primaryTimeout bounds the wait for what a primary says of a replica. One
	// that is busy is asked again.
	primaryTimeout = 100 * time.Millisecond
	// takenPause is the wait before it is seen again whether the node that one
	// succeeds has ended.
	takenPause = time.Millisecond
)

// converge makes an engine that answers what is wanted, puts it in service and
// looks after it.
func (n *node) converge(ctx context.Context, want *runtime.Node, version int64) time.Duration {
	now := n.rt.cfg.Clock.Now()
	if wait := n.retryAt.Sub(now); wait > 0 {
		return wait
	}
	if err := errors.Join(n.meetOthers(ctx), n.vouchToOthers(ctx)); err != nil {
		return n.sessionFailed(err)
	}
	if !n.done {
		if wait := n.inOrder(ctx, want); wait > 0 {
			return wait
		}
		state, refused, err := n.session.Converge(ctx, want)
		if err != nil {
			return n.sessionFailed(err)
		}
		n.state, n.refused, n.done = state, refused, !state.Unsettled
		if err := n.confirm(ctx, want); err != nil {
			return n.sessionFailed(err)
		}
		if state.Stranded {
			n.log.Error("engine has keys of slots that it lost, and is ended", "node", n.id(), "pid", n.proc.pid)
			n.proc.kill()
			return never
		}
		n.askAround(want)
		if n.joining() {
			n.report(n.phase())
			return joinPause
		}
		n.serve(want, version)
		n.planLook(want)
	} else if n.pace() != n.paced || !now.Before(n.lookAt) {
		if err := n.look(ctx, want); err != nil {
			return n.sessionFailed(err)
		}
		if !n.done {
			return 0
		}
	}
	n.mute = mute{}
	n.report(n.phase()) // others may wait for its role, and the disk may be busy
	n.complete(want)
	n.watch(want)
	n.report(n.phase())
	return n.lookAt.Sub(n.rt.cfg.Clock.Now())
}

// inOrder sees to what has to be true before the engine is changed, and gives
// how long to wait for it.
func (n *node) inOrder(ctx context.Context, want *runtime.Node) time.Duration {
	// Larder was away, and what it is to do may have been decided before; or the engine's
	// heir has taken its slots, which makes it a replica by itself.
	if n.state.Role == "" && n.rec.Ready || n.state.Role == "master" && want.Cluster != nil && want.Primary != nil {
		if state, err := n.session.Observe(ctx); err == nil {
			n.state = state
		}
	}
	follows := n.state.Role == "slave" && want.Primary != nil && n.state.Primary == *want.Primary
	wait, involved := n.across(ctx, want)
	switch {
	case involved:
	case want.Cluster != nil && want.Primary == nil:
		wait = n.awaitHeld(ctx, want)
	case want.Cluster != nil && !follows:
		wait = n.awaitVouchers(want)
	case want.Cluster != nil:
	case n.state.Role == "" || follows:
	case want.Primary == nil:
		wait = n.awaitAbdication(ctx, want)
	case n.abdicates(want):
		wait = n.awaitHeir(ctx, want)
	default:
		wait = n.awaitPrimary(want)
	}
	if wait > 0 {
		return wait
	}
	if wait := n.leadPast(want); wait > 0 {
		return wait
	}
	if n.rec.Direct != want.Direct && n.rt.taken(n, want) {
		return takenPause
	}
	return n.fence(ctx, want)
}

// taken reports whether the address where a node's engine shall listen is still that
// of an engine that is being stopped, which it succeeds.
func (r *Runtime) taken(n *node, want *runtime.Node) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, other := range r.nodes {
		if other != n && !want.Direct.IsZero() && other.running.Load() && other.wanted() == nil && other.id() == want.ID {
			return true
		}
	}
	return false
}

// leadPast has the fabric lead clients to the relay before the engine closes the
// listener where they reach it now. The record follows last: who finds it after a
// crash begins anew.
func (n *node) leadPast(want *runtime.Node) time.Duration {
	if n.rec.Direct.IsZero() || n.rec.Direct == want.Direct {
		return 0
	}
	b := n.backend(n.fenced)
	b.direct = core.Endpoint{}
	version := n.rt.net.setBackend(n.id(), b)
	if ok, trouble := n.rt.net.reached(version, n.id()); !ok || trouble != "" {
		return never // the network wakes the node
	}
	n.rec.Direct = core.Endpoint{}
	n.keep()
	return 0
}

// fence makes sure that the relay logs clients in before the engine begins to
// ask for it, so that no client is refused on the way: first the fabric, then a
// fresh connection that the engine answers, since those that were accepted before it
// are through by then. The way back needs no fence: the engine stops asking
// before the relay stops answering.
func (n *node) fence(ctx context.Context, want *runtime.Node) time.Duration {
	login := want.Auth.Login
	if login.IsZero() || login.Equal(n.fenced) {
		return 0
	}
	if n.rec.Ready {
		version := n.rt.net.setBackend(n.id(), n.backend(login))
		if ok, _ := n.rt.net.reached(version, n.id()); !ok {
			return never // the network wakes the node
		}
		s, err := n.driver.Open(ctx, n.socket, want)
		if err != nil {
			return n.sessionFailed(err)
		}
		_ = s.Close()
	}
	n.fenced = login
	return 0
}

func (n *node) backend(login core.Secret) backend {
	return backend{uid: n.uid, socket: n.socket, login: login, direct: n.rec.Direct, pid: n.rec.PID, maxClients: n.rec.MaxClients, replica: n.state.Role == "slave"}
}

// serve puts the engine in service; from then on its end is an exit.
func (n *node) serve(want *runtime.Node, version int64) {
	n.failures, n.trouble = 0, ""
	if !n.rec.Ready || n.rec.ID != n.id() || n.rec.MaxClients != n.state.MaxClients || n.rec.Direct != n.state.Direct {
		n.rec.Ready, n.rec.ID, n.rec.MaxClients, n.rec.Direct = true, n.id(), n.state.MaxClients, n.state.Direct
		n.keep()
	}
	n.fenced = want.Auth.Login
	n.served = max(version, n.rt.net.setBackend(n.id(), n.backend(want.Auth.Login)))
}

// keep writes the record. If it cannot be, a later Larder knows less, which is no
// reason to stop serving.
func (n *node) keep() {
	if err := n.rec.write(n.dir); err != nil {
		n.trouble = err.Error()
		n.log.Error("record of a process cannot be kept", "node", n.id(), "error", err)
	}
}

// complete notes that everything is in force once the network has it too.
func (n *node) complete(want *runtime.Node) {
	if n.rec.Generation == want.Generation || n.state.Unsettled {
		return
	}
	if reached, trouble := n.rt.net.reached(n.served, n.id()); !reached || trouble != "" {
		return
	}
	n.rec.Generation = want.Generation
	n.keep()
}

// look asks the engine how it is.
func (n *node) look(ctx context.Context, want *runtime.Node) error {
	if n.looks%astrayInterval == 0 && n.proc.astray(n.rt.cfg.Fabric.Namespace(want.Network)) {
		n.log.Error("an engine is not in its network, which was made anew, and is ended", "node", n.id(), "pid", n.proc.pid)
		n.proc.kill()
	}
	state, err := n.session.Observe(ctx)
	if err != nil {
		return err
	}
	n.state, n.trouble = state, ""
	n.rt.noteLag(want, state)
	if err := n.confirm(ctx, want); err != nil {
		return err
	}
	n.paced = n.pace()
	if err := n.session.SetPace(ctx, n.paced); err != nil {
		return err
	}
	if replica := want.Primary != nil; state.Unsettled || state.Role != "" && replica != (state.Role == "slave") {
		n.done = false // somebody has changed it
	}
	if n.looks++; n.looks%logInterval == 0 {
		if err := capLog(filepath.Join(n.dir, logFile)); err != nil {
			n.trouble = "log: " + err.Error()
		}
	}
	n.planLook(want)
	return nil
}

// confirm lets a link count as up only once the primary sends its writes over it.
// An engine says that it is up when the dataset has arrived, but its primary waits
// for the first acknowledgement after it has noticed so itself: a replica that is
// promoted before would lack every write since.
func (n *node) confirm(ctx context.Context, want *runtime.Node) error {
	if want.Primary == nil {
		n.syncing = false
		return nil
	}
	up := n.state.LinkUp
	n.syncing = n.syncing || !up
	if !n.syncing || !up {
		return nil
	}
	n.state.LinkUp = false
	if !n.sentTo(ctx, want) {
		return nil
	}
	if err := n.session.Acknowledge(ctx); err != nil {
		return err
	}
	n.syncing, n.state.LinkUp = false, true
	return nil
}

// sentTo reports whether the primary of a replica says that it has sent it the
// dataset, if it is one of ours.
func (n *node) sentTo(ctx context.Context, want *runtime.Node) bool {
	primary := n.rt.byReplication(want.Network, *want.Primary)
	if primary == nil || primary == n || want.Advertised.IsZero() {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, primaryTimeout)
	defer cancel()
	state, err := n.askOf(ctx, primary)
	return err == nil && slices.Contains(state.Online, want.Announced())
}

// pace is how eager the engine has to be.
func (n *node) pace() engine.Pace {
	switch {
	case n.isHurried():
		return engine.Hurried
	case n.state.Clients > 0 || n.state.Replicas > 0 || n.state.Role == "slave":
		return engine.Serving
	}
	return engine.Idle
}

// planLook sets the time of the next look: soon while a replica catches up,
// since its group waits for that.
func (n *node) planLook(want *runtime.Node) {
	if !n.state.Unsettled && (want.Primary == nil && want.Cluster == nil || n.state.LinkUp) {
		n.lookWait = 0
		n.calm(want)
		now := n.rt.cfg.Clock.Now()
		// Not the truncated time itself: that follows the wall clock when it jumps.
		n.lookAt = now.Add(healthInterval - now.Sub(now.Truncate(healthSlot)))
		return
	}
	n.hasten()
	if want.Primary != nil {
		n.rt.hasten(want.Network, *want.Primary)
	}
	most := healthInterval
	if want.Cluster != nil {
		most = healthSlot
	}
	n.lookWait = min(max(2*n.lookWait, 2*time.Millisecond), most)
	n.lookAt = n.rt.cfg.Clock.Now().Add(n.lookWait)
}

// sessionFailed says what is wrong with an engine that runs, and gives the time
// until it is tried again. Its service is left alone.
func (n *node) sessionFailed(err error) time.Duration {
	const first, last = 50 * time.Millisecond, 2 * time.Second
	wait := first
	switch {
	case n.rt.ctx.Err() != nil:
		return wait
	case errors.Is(err, engine.ErrBusy):
		n.trouble = err.Error()
		n.noAnswer(runtime.MuteBusy)
	case errors.Is(err, os.ErrDeadlineExceeded):
		n.trouble = "the engine does not answer"
		n.noAnswer("")
		n.hangUp()
	default:
		// A connection that was cut is worth no word the first time: customers
		// may do that to all connections.
		if n.failures++; n.failures > 1 {
			n.trouble = err.Error()
			wait = min(first<<min(n.failures, 10), last)
		}
		n.hangUp()
	}
	n.retryAt = n.rt.cfg.Clock.Now().Add(wait)
	n.report(n.phase())
	return wait
}

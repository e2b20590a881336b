package local

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/runtime"
)

// busyTimeout is for how long an engine may be busy before its customers are told.
// Nothing else comes of it: a replica that took over would lose what the engine has
// done meanwhile, and the script that keeps it would be sent to that one next. One that
// shows no sign of life for so long is ended, if any replica has data of it.
const busyTimeout = 15 * time.Second

// neverSynced is the highest offset that an engine gives for a replica that has never had
// anything from a primary.
const neverSynced = 1

// kept reports whether a replica of a primary has data of it, in sync or not: what
// there is left if the primary never answers again.
func (n *node) kept(ctx context.Context, primary *runtime.Node) bool {
	n.rt.mu.Lock()
	nodes := slices.Collect(maps.Values(n.rt.nodes))
	n.rt.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	for _, replica := range nodes {
		want := replica.wanted()
		if want == nil || want.Network != primary.Network || want.Primary == nil || *want.Primary != primary.Replication {
			continue
		}
		if state, err := n.askOf(ctx, replica); err == nil && state.Role == "slave" && state.Offset > neverSynced {
			return true
		}
	}
	return false
}

// mute is a spell in which an engine in service gives no answer, or none but that it
// is busy. The zero value is that of one that answers.
type mute struct {
	since time.Time
	// life is what the process was like at the latest look.
	life life
	// reason is set once the spell has lasted for the timeout; see Report.Mute.
	reason string
}

// noAnswer notes that the engine has not answered, and why, if it says that itself.
func (n *node) noAnswer(reason string) {
	if !n.rec.Ready {
		return // it starts, which has words of its own
	}
	now, is := n.rt.cfg.Clock.Now(), lifeOf(n.proc.pid)
	was := n.mute.life
	n.mute.life = is
	if n.mute.since.IsZero() {
		n.mute.since = now
	}
	if n.mute.reason != "" || now.Sub(n.mute.since) < n.rt.cfg.BusyTimeout {
		return
	}
	switch {
	case reason != "":
	case is.stopped || !is.runs && is == was:
		reason = runtime.MuteStill
	default:
		reason = runtime.MuteBusy
	}
	n.mute.reason = reason
	n.log.Warn("engine has not answered for long", "node", n.id(), "pid", n.proc.pid, "reason", reason)
}

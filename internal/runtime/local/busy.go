package local

import (
	"time"

	"github.com/larder-cache/larder/internal/runtime"
)

// busyTimeout is for how long an engine may be busy before its customers are told.
// Nothing else comes of it: a replica that took over would lose what the engine has
// done meanwhile, and the script that keeps it would be sent to that one next.
const busyTimeout = 15 * time.Second

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
	n.log.Warn("engine has not answered for long", "node", n.id, "pid", n.proc.pid, "reason", reason)
}

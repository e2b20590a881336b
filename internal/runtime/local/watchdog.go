package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

const (
	// watchInterval is how often a watched engine is asked for a sign of life.
	watchInterval = 100 * time.Millisecond
	// watchMisses is for how many intervals in a row it may show none. They are
	// counted one by one, so that a pause of the whole host counts as one.
	watchMisses = 5
)

// watchdog ends an engine that hangs, since a replica can take over only from one
// that is gone. An engine that does not answer may be busy, with a script or with
// the host's other work: it hangs if it is stopped, or if it neither has used nor
// waits for the processor all the time.
type watchdog struct {
	id   string
	proc *process
	// open connects to the engine.
	open  func(context.Context) (engine.Session, error)
	clock core.Clock
	log   *slog.Logger

	session engine.Session
	// replicas are those connected when the engine answered last.
	replicas int
}

// watch has the engine watched, or not any more.
func (n *node) watch(want *runtime.Node) {
	if want.Watched == (n.unwatch != nil) {
		return
	}
	if !want.Watched {
		n.unwatched()
		return
	}
	ctx, cancel := context.WithCancel(n.rt.ctx)
	n.unwatch = cancel
	driver := n.driver // the node's own goroutine may take another meanwhile
	w := &watchdog{
		id: n.id(), proc: n.proc, clock: n.rt.cfg.Clock, log: n.log,
		open: func(ctx context.Context) (engine.Session, error) { return driver.Open(ctx, n.socket, want) },
	}
	n.rt.actors.Go(func() { w.run(ctx) })
}

func (n *node) unwatched() {
	if n.unwatch != nil {
		n.unwatch()
		n.unwatch = nil
	}
}

// run watches until ctx or the process ends.
func (w *watchdog) run(ctx context.Context) {
	defer w.close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.proc.exited:
			return
		case <-w.clock.After(w.untilRound()):
		}
		if w.hangs(ctx) && w.replicas > 0 && ctx.Err() == nil {
			w.log.Error("engine hangs and is ended, so that a replica takes over", "node", w.id, "pid", w.proc.pid)
			w.proc.kill()
		}
	}
}

// untilRound is the time until all engines are asked again: together, which costs much
// less than as many awakenings.
func (w *watchdog) untilRound() time.Duration {
	now := w.clock.Now()
	return watchInterval - now.Sub(now.Truncate(watchInterval))
}

func (w *watchdog) close() {
	if w.session != nil {
		_ = w.session.Close()
		w.session = nil
	}
}

// hangs asks the engine and reports whether it shows no sign of life.
func (w *watchdog) hangs(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	answered := make(chan struct{})
	go func() { defer close(answered); w.ask(ctx) }()
	defer func() { cancel(); <-answered }() // the session is for one at a time
	// What it has done so far is asked only when it does not answer: most of the cost of
	// watching would be that. A stopped one has done nothing.
	var begin *life
	for misses := 0; misses < watchMisses; {
		select {
		case <-answered:
			return false
		case <-w.proc.exited:
			return false
		case <-w.clock.After(watchInterval):
		}
		now := lifeOf(w.proc.pid)
		if now.runs || begin != nil && !now.stopped && now != *begin {
			return false
		}
		if now.stopped || begin != nil {
			misses++
		}
		if begin == nil {
			begin = &now
		}
	}
	return true
}

// ask returns once the engine has answered, whatever that is.
func (w *watchdog) ask(ctx context.Context) {
	if w.session == nil {
		s, err := w.open(ctx)
		if err != nil {
			return
		}
		w.session = s
	}
	replicas, err := w.session.Replicas(ctx)
	switch {
	case err == nil:
		w.replicas = replicas
	case !errors.Is(err, engine.ErrBusy):
		w.close()
	}
}

// hangs reports whether an engine that has not answered for some time shows no sign
// of life either, since it was last asked this. It is for the engines that the
// watchdog does not see: replicas, a primary that hung before it could be
// watched, and one of a group without automatic failover, which gets its data back from a
// replica. One whose data is nowhere else is left alone.
func (n *node) hangs(want *runtime.Node) bool {
	before := n.life
	n.life = lifeOf(n.proc.pid)
	still := n.life.stopped || !n.life.runs && n.life == before
	return still && n.rec.Ready && (want.Primary != nil || n.rt.followed(want))
}

// life is what tells whether a process does anything.
type life struct {
	// stopped by a signal or a debugger.
	stopped bool
	// runs or waits for the processor.
	runs bool
	// used is the time on the processor in clock ticks.
	used uint64
}

// lifeOf reads state and times from /proc/PID/stat; see startTime.
func lifeOf(pid int) (l life) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return l
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return l
	}
	l.stopped = fields[0] == "T" || fields[0] == "t"
	l.runs = fields[0] == "R"
	for _, f := range fields[11:13] {
		v, _ := strconv.ParseUint(f, 10, 64)
		l.used += v
	}
	return l
}

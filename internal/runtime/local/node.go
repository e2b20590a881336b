package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

const (
	// never is a wait that only an event ends.
	never = 24 * time.Hour
	// healthInterval is how often an engine in service is asked how it is.
	healthInterval = time.Second
	// healthSlot is how far looks are moved together: nodes that are looked at in
	// one go cost much less than as many awakenings.
	healthSlot = 100 * time.Millisecond
	// logInterval is how many of those pass between looks at the log's size.
	logInterval = 60
	// astrayInterval is how many pass between looks at the process's network.
	astrayInterval = 5
)

// node brings one engine process to what is wanted of it. It is not in a state;
// each step looks at what is wanted and what there is, does the one thing that
// comes next, and says when to look again:
//
//	no process --start--> silent process --open--> session --converge--> in service
//	     ^                      |                     |                      |
//	     +-------- stop, or the process ends ---------+----------------------+
type node struct {
	rt          *Runtime
	log         *slog.Logger
	uid         string
	dir, socket string
	scratch     string // of the engine; see engine.Place
	// known is the node's id, from before the goroutine runs: that of the record, or
	// of the latest document that has the node. A node has another one once it has
	// taken the place of the node that it succeeds.
	known     atomic.Pointer[string]
	poked     chan struct{}
	questions chan question
	hurried   atomic.Int64 // when somebody last waited for the engine, in Unix nanoseconds
	running   atomic.Bool  // there is a process
	// abdicated is the spec by which the node has made way as a primary: it takes no
	// writes any more, and its heir has all of them.
	abdicated atomic.Pointer[runtime.Node]

	mu       sync.Mutex
	spec     *runtime.Node                  // what is wanted; nil: that there is no such node
	latest   *runtime.Node                  // the same, as the latest document has it
	told     bool                           // a document has said so
	meet     map[string]runtime.ClusterNode // nodes of its cluster that do not know it yet, by id
	vouch    map[*node]string               // who wants to follow which node of the cluster, if this one vouches for it
	vouchers map[*node]string               // who knows which node of the cluster for a primary
	version  int64                          // of the network with that document's endpoints

	// All below belongs to the node's goroutine.

	rec     record   // of the process that runs or ran last; zero: there was none
	proc    *process // nil: no process
	session engine.Session
	driver  engine.Driver
	state   engine.State
	paced   engine.Pace // as last set
	away    bool        // found ended at the start; not reported yet
	quiet   time.Time   // since when proc does not answer
	life    life        // of proc, when it was last found not to answer
	mute    mute        // since proc in service last answered

	seen     *runtime.Node // the spec that the fields below are about
	done     bool          // seen is in force in the engine
	served   int64         // version of the network that has it in service
	fenced   core.Secret   // the login that the fabric is known to use
	refused  []string      // what the engine does not take of seen
	trouble  string        // what is wrong at the moment
	stopping time.Time     // when a process that shall end is killed; zero: none
	failures int           // starts in a row that have failed
	retryAt  time.Time     // not before this is anything tried again
	lookAt   time.Time     // when the engine is next asked how it is
	waitFrom time.Time     // since when a replica waits for its primary
	joinFrom time.Time     // since when the process looks for its place in its cluster
	introAt  time.Time     // when the others were last asked to introduce themselves
	vouchAt  time.Time     // when they were last asked whether they know its primary
	lookWait time.Duration // between looks at a replica that is not in sync
	syncing  bool          // the link was down, and no look has found it in use since
	looks    int
	logFrom  int64        // size of the log when the process was started
	unwatch  func()       // ends the watch over the process; nil: there is none
	lagging  atomic.Bool  // as its primary says
	ending   atomic.Int64 // the process that its heir has ended, see across
}

func newNode(r *Runtime, uid string) *node {
	return &node{
		rt: r, log: r.cfg.Log, uid: uid,
		dir: filepath.Join(r.nodesDir, uid), socket: socketPath(r.cfg.RunDir, uid), scratch: scratchPath(r.cfg.RunDir, uid),
		poked: make(chan struct{}, 1), questions: make(chan question),
	}
}

// id is the node's in documents and reports.
func (n *node) id() string {
	if id := n.known.Load(); id != nil {
		return *id
	}
	return ""
}

// want says what the node shall be from now on; nil: nothing at all. It reports whether
// that is anything new, in which case the node looks at it.
func (n *node) want(spec *runtime.Node, version int64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	// What the latest document says has much in common with the one before, which a
	// comparison sees at a glance.
	same := n.told && (spec == nil) == (n.spec == nil) && (spec == nil || sameNode(n.latest, spec))
	if !same {
		n.spec = spec
	}
	n.latest, n.version, n.told = spec, version, true
	if same {
		return false
	}
	n.poke()
	return true
}

func (n *node) wanted() *runtime.Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.spec
}

// poke makes the node look at things again.
func (n *node) poke() {
	select {
	case n.poked <- struct{}{}:
	default:
	}
}

// hasten makes the engine eager for a while.
func (n *node) hasten() { n.hurried.Store(n.rt.cfg.Clock.Now().UnixNano()) }

// isHurried reports whether the engine is to be eager.
func (n *node) isHurried() bool {
	since := n.rt.cfg.Clock.Now().Sub(time.Unix(0, n.hurried.Load()))
	return since >= 0 && since < hurry // below 0 the clock was set back
}

// calm ends the haste of a replica that is in sync, and that of its primary once no
// other replica is in haste.
func (n *node) calm(want *runtime.Node) {
	if want.Primary == nil || n.hurried.Swap(0) == 0 {
		return
	}
	for _, other := range n.rt.replicasOf(want.Network, *want.Primary) {
		if other.isHurried() {
			return
		}
	}
	if primary := n.rt.byReplication(want.Network, *want.Primary); primary != nil {
		primary.hurried.Store(0)
		primary.poke()
	}
}

// run is the node's goroutine.
func (n *node) run() {
	defer n.letGo()
	for {
		wait, more := n.step(n.rt.ctx)
		if !more {
			return
		}
		var exited <-chan struct{}
		if n.proc != nil {
			exited = n.proc.exited
		}
		var timer <-chan time.Time
		if wait < never {
			timer = n.rt.cfg.Clock.After(wait)
		}
		select {
		case <-n.rt.ctx.Done():
			return
		case <-n.poked:
		case <-exited:
		case q := <-n.questions:
			if !n.reply(q) {
				n.hangUp()
			}
		case <-timer:
		}
	}
}

func (n *node) letGo() {
	n.hangUp()
	if n.proc != nil {
		n.proc.release()
	}
}

// hangUp ends the connection to the engine.
func (n *node) hangUp() {
	if n.session != nil {
		_ = n.session.Close()
		n.session = nil
	}
	n.done, n.quiet = false, n.rt.cfg.Clock.Now()
}

// step does what comes next and gives the time until there is something to do
// without an event; more is false when the node is gone.
func (n *node) step(ctx context.Context) (wait time.Duration, more bool) {
	n.mu.Lock()
	want, told, version := n.spec, n.told, n.version
	n.mu.Unlock()
	n.noticeExit()
	if want != nil && want != n.seen {
		n.seen, n.done, n.refused = want, false, nil
		n.failures, n.retryAt, n.waitFrom, n.lookWait = 0, time.Time{}, time.Time{}, 0
		n.joinFrom = time.Time{}
		n.forgetVouchers()
		n.driver = drivers[want.Engine]
	}
	switch {
	case !told:
		return never, true
	case want == nil && n.proc != nil:
		return n.stop(ctx), true
	case want == nil:
		return n.remove(version)
	case n.proc != nil && n.rec.Incarnation < want.Incarnation:
		return n.stop(ctx), true
	case n.proc != nil && n.ending.Load() == int64(n.proc.pid):
		n.proc.kill()
		return never, true
	case n.proc != nil && n.session == nil:
		return n.open(ctx, want), true
	case n.proc != nil:
		return n.converge(ctx, want, version), true
	case n.rec.Ready && n.rec.Incarnation >= want.Incarnation:
		if n.rec.ID != n.id() { // its end is known under another id
			n.rec.ID = n.id()
			n.keep()
			n.report(runtime.PhaseExited)
		}
		return never, true // only another incarnation starts anew
	}
	return n.start(want, version), true
}

// noticeExit takes note of the end of the process.
func (n *node) noticeExit() {
	if n.away {
		n.away, n.trouble = false, "the process has ended while Larder was away"
		n.report(runtime.PhaseExited)
	}
	if n.proc == nil {
		return
	}
	select {
	case <-n.proc.exited:
	default:
		return
	}
	pid, status := n.proc.pid, n.proc.status
	intended := !n.stopping.IsZero()
	n.hangUp()
	n.unwatched()
	n.proc.release()
	n.proc, n.state, n.stopping, n.fenced, n.mute = nil, engine.State{}, time.Time{}, core.Secret{}, mute{}
	n.running.Store(false)
	n.rt.wakeRelated(n) // an heir waits for one that is stopped, too
	n.rt.net.dropBackend(n.id(), n.uid)
	switch {
	case intended:
		n.log.Info("engine stopped", "node", n.id(), "pid", pid)
	case n.rec.Ready:
		n.trouble = "the process has ended"
		if status != "" {
			n.trouble += " (" + status + ")"
		}
		n.log.Warn("engine exited", "node", n.id(), "pid", pid, "status", status)
		n.report(runtime.PhaseExited)
	default:
		err := errors.New("the process ended at once")
		if status != "" {
			err = fmt.Errorf("%w (%s)", err, status)
		}
		if words := lastWords(filepath.Join(n.dir, logFile), n.logFrom); words != "" {
			err = fmt.Errorf("%w: %s", err, words)
		}
		n.fail(err)
	}
}

// fail reports that the node cannot be started, and sets when to try again.
func (n *node) fail(err error) {
	const first, last = 200 * time.Millisecond, 5 * time.Second
	wait := min(first<<min(n.failures, 10), last)
	n.failures++
	n.retryAt = n.rt.cfg.Clock.Now().Add(wait)
	if n.trouble != err.Error() {
		n.log.Error("engine cannot be started", "node", n.id(), "error", err)
	}
	n.trouble = err.Error()
	n.rec = record{ID: n.id(), UID: n.uid}
	n.report(runtime.PhaseFailed)
}

// report says what is true now.
func (n *node) report(phase string) {
	r := runtime.Report{ID: n.id(), Incarnation: n.rec.Incarnation, Phase: phase, Message: n.trouble}
	if n.seen != nil && phase == runtime.PhaseFailed {
		r.Incarnation = n.seen.Incarnation
	}
	r.Binary, r.BinaryVersion = n.rec.Binary, n.rec.Version
	r.Generation, r.Started = n.rec.Generation, n.rec.Started
	if n.proc != nil {
		r.PID, r.Mute = n.proc.pid, n.mute.reason
		r.Role, r.LinkUp, r.MaxClients = n.state.Role, n.state.LinkUp, n.state.MaxClients
		r.Lagging = r.LinkUp && n.lagging.Load()
		if most := n.rt.cfg.MaxClients; most > 0 && n.rec.Direct.IsZero() {
			r.MaxClients = min(r.MaxClients, most)
		}
		reached, trouble := n.rt.net.reached(n.served, n.id())
		r.LoginServed = reached && !n.fenced.IsZero()
		r.Message = sentences(append([]string{n.trouble, trouble}, n.refused...))
	}
	before, _ := n.rt.reports.get(n.id())
	n.rt.reports.put(r)
	if r.Role != before.Role || r.Phase != before.Phase {
		n.rt.wakeRelated(n) // they may wait for this
	}
}

// phase is that of a process that exists.
func (n *node) phase() string {
	if n.rec.Ready {
		return runtime.PhaseRunning
	}
	return runtime.PhaseStarting
}

// sentences joins what there is to say.
func sentences(all []string) string {
	var out string
	for _, s := range all {
		if s == "" {
			continue
		}
		if out != "" {
			out += "; "
		}
		out += s
	}
	return out
}

func goneReport(id string) runtime.Report { return runtime.Report{ID: id, Phase: runtime.PhaseGone} }

// remove ends the node once clients cannot come to its address any more.
func (n *node) remove(version int64) (time.Duration, bool) {
	version = max(version, n.rt.net.dropBackend(n.id(), n.uid))
	if ok, _ := n.rt.net.reached(version, n.id()); !ok {
		return never, true
	}
	err := errors.Join(os.RemoveAll(n.scratch), os.RemoveAll(n.dir))
	if err == nil {
		err = os.Remove(n.socket)
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		n.trouble = err.Error()
		n.log.Error("node cannot be removed", "node", n.id(), "error", err)
		return time.Second, true
	}
	n.log.Info("node removed", "node", n.id())
	n.rt.forget(n)
	return 0, false
}

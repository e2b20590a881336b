// Package controllertest is a small world for the tests of controllers: a
// runtime without processes whose engines start, replicate, fail and die as the
// test says, a clock that stands still, and records to begin with.
package controllertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/runtime"
)

// Engine is a process that the runtime pretends to run.
type Engine struct {
	Node  runtime.Node
	Phase string
	// Generation is what it has taken over.
	Generation int64
	Role       string
	LinkUp     bool
	// Data counts the writes that the engine holds; it is its offset too.
	Data    int64
	Started time.Time
	Message string
	// Strays: there are keys in other databases than 0.
	Strays bool
	// Mute is what Report.Mute is.
	Mute string
	// Binary is the program of the process.
	Binary catalog.Binary
}

// Runtime is a runtime.Runtime without processes. With Auto, a document is
// reached before Apply returns; otherwise the test moves one node at a time by
// Step.
type Runtime struct {
	Auto  bool
	Clock core.Clock
	// Moves are the moves of slots so far.
	Moves []runtime.SlotMove

	mu       sync.Mutex
	doc      runtime.Document
	engines  map[string]*Engine
	failures map[string]string
	silent   map[string]bool
	// installed are the versions of other programs than usual, by engine.
	installed map[string]string
	applied   int
	delayed   bool
	enforced  int64
	reports   chan []runtime.Report
}

var _ runtime.Runtime = (*Runtime)(nil)

// NewRuntime makes a runtime without engines.
func NewRuntime(clock core.Clock, auto bool) *Runtime {
	return &Runtime{
		Auto: auto, Clock: clock,
		engines: map[string]*Engine{}, failures: map[string]string{}, silent: map[string]bool{}, installed: map[string]string{},
		reports: make(chan []runtime.Report, 1),
	}
}

// Apply implements runtime.Runtime.
func (r *Runtime) Apply(_ context.Context, doc *runtime.Document) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if doc.Revision <= r.doc.Revision {
		return runtime.ErrStale
	}
	r.doc = *doc
	r.applied++
	for _, n := range doc.Nodes {
		for id, e := range r.engines {
			if e.Node.UID == n.UID && id != n.ID { // it took the place of another, which ends
				delete(r.engines, id)
				r.engines[n.ID] = e
				r.report(n.ID)
			}
		}
	}
	for _, id := range doc.Removed {
		if r.engines[id] == nil {
			r.send(runtime.Report{ID: id, Phase: "gone"})
		}
	}
	if r.Auto {
		r.settle()
	}
	return nil
}

// Listening implements runtime.Runtime: endpoints of the document are open.
func (r *Runtime) Listening(endpoint string) runtime.Listening {
	r.mu.Lock()
	defer r.mu.Unlock()
	is := func(e runtime.Endpoint) bool { return e.ID == endpoint }
	return runtime.Listening{Open: slices.ContainsFunc(r.doc.Endpoints, is)}
}

// Reports implements runtime.Runtime.
func (r *Runtime) Reports() <-chan []runtime.Report { return r.reports }

// Enforced implements runtime.Runtime: a document is in force when it is applied,
// unless the test delays that.
func (r *Runtime) Enforced() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.delayed {
		return r.enforced
	}
	return r.doc.Revision
}

// MoveSlots implements runtime.Runtime: both engines have to be primaries that run.
func (r *Runtime) MoveSlots(_ context.Context, m runtime.SlotMove) (core.Slots, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range []string{m.From, m.To} {
		if e := r.engines[id]; e == nil || e.Phase != runtime.PhaseRunning || e.Role != "master" || r.silent[id] {
			return nil, fmt.Errorf("no primary %s", id)
		}
	}
	r.Moves = append(r.Moves, m)
	return m.Slots, nil
}

// writeLength is how far a write moves the offset. Engines count the bytes of the
// stream, and tell 1 where there was none.
const writeLength = 30

// Replication implements runtime.Runtime.
func (r *Runtime) Replication(_ context.Context, node string) (runtime.Replication, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.engines[node]
	if e == nil || e.Phase != "running" || r.silent[node] {
		return runtime.Replication{}, errors.New("no answer")
	}
	return runtime.Replication{Role: e.Role, LinkUp: e.LinkUp, Offset: e.Data * writeLength, UsedMemory: e.Data, OtherDatabases: e.Strays}, nil
}

// Applied counts the documents taken.
func (r *Runtime) Applied() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.applied
}

// Document is the one in force.
func (r *Runtime) Document() runtime.Document {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.doc
}

// Endpoint is the endpoint with an id, the zero one if there is none.
func (r *Runtime) Endpoint(id string) runtime.Endpoint {
	for _, e := range r.Document().Endpoints {
		if e.ID == id {
			return e
		}
	}
	return runtime.Endpoint{}
}

// Engine is a copy of a node's engine; the zero one if there is none.
func (r *Runtime) Engine(node string) Engine {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.engines[node]; e != nil {
		return *e
	}
	return Engine{}
}

// Nodes are the ids of all nodes wanted or there.
func (r *Runtime) Nodes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.nodes()
}

func (r *Runtime) nodes() []string {
	all := map[string]bool{}
	for _, n := range r.doc.Nodes {
		all[n.ID] = true
	}
	for id := range r.engines {
		all[id] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// Step brings one node a step nearer to the document. It reports whether
// anything changed.
func (r *Runtime) Step(node string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.step(node)
}

func (r *Runtime) settle() {
	for changed := true; changed; {
		changed = false
		for _, id := range r.nodes() {
			changed = r.step(id) || changed
		}
	}
}

func (r *Runtime) step(id string) bool {
	want, ok := r.wanted(id)
	e := r.engines[id]
	switch {
	case !ok && e == nil:
		return false
	case !ok:
		delete(r.engines, id)
		r.send(runtime.Report{ID: id, Incarnation: e.Node.Incarnation, Phase: "gone"})
		return true
	case e == nil || e.Node.Incarnation < want.Incarnation || e.Phase == "failed":
		return r.start(want, e)
	case e.Phase != "running":
		return false
	}
	if e.Role == "master" && want.Primary != nil && r.crosses(want) {
		r.end(id, e) // its heir, of another cluster mode, has it ended
		return true
	}
	before := *e
	r.converge(e, want)
	if before.Generation == e.Generation && before.Role == e.Role && before.LinkUp == e.LinkUp {
		return before.Data != e.Data
	}
	r.report(id)
	return true
}

// crosses reports whether a node and its primary are of different cluster modes.
func (r *Runtime) crosses(want runtime.Node) bool {
	for _, n := range r.doc.Nodes {
		if n.Replication == *want.Primary {
			return (n.Cluster == nil) != (want.Cluster == nil)
		}
	}
	return false
}

func (r *Runtime) start(want runtime.Node, old *Engine) bool {
	if message := r.failures[want.ID]; message != "" {
		if old != nil && old.Phase == "failed" && old.Node.Incarnation == want.Incarnation {
			return false
		}
		r.engines[want.ID] = &Engine{Node: want, Phase: "failed", Message: message}
		r.report(want.ID)
		return true
	}
	e := &Engine{Node: want, Phase: "running", Started: r.Clock.Now(), Binary: Engines{}.Program(want.Engine, want.Version)}
	e.Binary.Version = cmp.Or(r.installed[want.Engine], e.Binary.Version)
	r.engines[want.ID] = e
	r.converge(e, want)
	r.report(want.ID)
	return true
}

// converge takes the wanted node over. A replica copies from a running source
// that has data of its own or is in sync itself.
func (r *Runtime) converge(e *Engine, want runtime.Node) {
	e.Node, e.Generation = want, want.Generation
	if want.Primary == nil {
		e.Role, e.LinkUp = "master", want.Cluster != nil // a cluster that is in order
		return
	}
	e.Role, e.LinkUp = "slave", false
	for _, s := range r.engines {
		if s.Node.Replication == *want.Primary && s != e && s.Phase == "running" && (s.Role == "master" || s.LinkUp) {
			e.LinkUp, e.Data = true, s.Data
		}
	}
}

func (r *Runtime) wanted(id string) (runtime.Node, bool) {
	for _, n := range r.doc.Nodes {
		if n.ID == id {
			return n, true
		}
	}
	return runtime.Node{}, false
}

// report sends what is true of a node.
func (r *Runtime) report(id string) {
	e := r.engines[id]
	out := runtime.Report{
		ID: id, Incarnation: e.Node.Incarnation, Generation: e.Generation, Phase: e.Phase,
		Started: e.Started, Role: e.Role, LinkUp: e.LinkUp, Message: e.Message, Mute: e.Mute,
		Binary: e.Binary.Path, BinaryVersion: e.Binary.Version,
	}
	if e.Phase == "running" {
		out.PID = 1
	}
	r.send(out)
}

// send merges a report with those that nobody has read yet.
func (r *Runtime) send(report runtime.Report) {
	var pending []runtime.Report
	select {
	case pending = <-r.reports:
	default:
	}
	pending = slices.DeleteFunc(pending, func(p runtime.Report) bool { return p.ID == report.ID })
	r.reports <- append(pending, report)
}

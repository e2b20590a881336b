package replicationgroup_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// Whatever dies in whatever order, with whatever between it: there is never a
// second primary, what the most advanced survivor holds is never lost, and in
// the end everything runs again.
func TestAnyOrder(t *testing.T) {
	t.Parallel()
	seeds := 60
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newChaos(t, uint64(seed))
			for range 120 {
				w.act(t)
				w.check(t)
				if t.Failed() {
					return
				}
			}
			w.finish(t)
		})
	}
}

// chaos is a group to which things happen.
type chaos struct {
	*controllertest.Loop
	rand    *rand.Rand
	members int
	// held is what must not be lost: the writes of the most advanced node that
	// lived through every exit so far.
	held int64
	// version was asked for last, if any was.
	version string
	// steps is what happened, for the report of a failure.
	steps []string
}

func newChaos(t *testing.T, seed uint64) *chaos {
	w := &chaos{Loop: newLoop(t, false), rand: rand.New(rand.NewPCG(seed, 1))}
	w.members = 1 + w.rand.IntN(4)
	g, members := controllertest.Group(w.members)
	g.Spec.AutomaticFailover = w.members > 1 && w.rand.IntN(2) == 0
	w.Update(t, func(tx *store.Tx) { controllertest.PutGroup(tx, g, members) })
	if w.rand.IntN(4) > 0 {
		w.Settle(t)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("failover %v, members %d, steps %v", g.Spec.AutomaticFailover, w.members, w.steps)
		}
	})
	return w
}

func (w *chaos) node() string {
	key := fmt.Sprintf("%s/rg-%03d/0001", controllertest.Region, 1+w.rand.IntN(w.members))
	if next := resource.SuccessorID(key); node(w.Loop, next) != nil && w.rand.IntN(2) == 0 {
		return next
	}
	return key
}

func (w *chaos) act(t *testing.T) {
	t.Helper()
	step := ""
	switch n := w.rand.IntN(100); {
	case n < 20:
		step = "plan"
		w.Pass(t, w.Controllers[0], groupKey)
	case n < 40:
		step = "apply"
		w.Pass(t, w.Controllers[1], "host")
	case n < 60:
		node := w.node()
		step = "step " + node
		w.Runtime.Step(node)
	case n < 75:
		step = "deliver"
		w.Deliver(t)
	case n < 88:
		step = "write"
		if w.Runtime.Write(primary) {
			w.held = w.Runtime.Engine(w.Runtime.Endpoint(primary).Nodes[0]).Data
		}
	case n < 94:
		node := w.node()
		step = "kill " + node
		w.Runtime.Kill(node)
		w.held = min(w.held, w.best())
	case n < 96:
		step = "test failover"
		editGroup(t, w.Loop, func(g *resource.ReplicationGroup) {
			if g.Spec.AutomaticFailover && g.Status.Primary != "" {
				g.Spec.Handover = &resource.Handover{From: g.Status.Primary, Test: true}
			}
		})
	case n < 98:
		step = "upgrade"
		if next := []string{"7.0.7", "8.0.1", "8.1.0"}[w.rand.IntN(3)]; group(w.Loop).Status.Available != nil && next > w.version {
			w.version = next
			change(t, w.Loop, resource.Pending{EngineVersion: &next})
		}
	default:
		step = "wait"
		w.Clock.Advance(time.Duration(w.rand.IntN(10)) * time.Second)
	}
	w.steps = append(w.steps, step)
}

// best is what the most advanced running node holds, but for those that are
// being replaced.
func (w *chaos) best() (data int64) {
	for _, id := range w.Runtime.Nodes() {
		n := node(w.Loop, id)
		if e := w.Runtime.Engine(id); e.Phase == resource.NodeRunning && n != nil && e.Node.Incarnation == n.Spec.Incarnation {
			data = max(data, e.Data)
		}
	}
	return data
}

func (w *chaos) check(t *testing.T) {
	t.Helper()
	var sources []string
	nodes := 0
	w.Store.Local(func(r store.Reader) {
		for _, n := range resource.Nodes.List(r, "") {
			nodes++
			if n.Spec.ReplicaOf == "" && !n.Spec.Deleted {
				sources = append(sources, n.Key())
			}
		}
	})
	if nodes > 0 && len(sources) != 1 {
		t.Errorf("the nodes that replicate from nobody are %v", sources)
	}
	if e := w.Runtime.Endpoint(primary); len(e.Nodes) > 1 {
		t.Errorf("the primary endpoint leads to %v", e.Nodes)
	}
	if best := w.best(); best < w.held {
		t.Errorf("%d writes are left of %d", best, w.held)
	}
}

// finish lets nothing more happen and waits for the pauses of restarts.
func (w *chaos) finish(t *testing.T) {
	for range 40 {
		if len(w.Settle(t)) == 0 {
			break
		}
		w.Clock.Advance(30 * time.Second)
		w.check(t)
	}
	g := group(w.Loop)
	if g.Status.Available == nil || g.Status.ObservedGeneration != g.Generation || g.Status.FailoverFrom != "" || g.Spec.Handover != nil {
		t.Errorf("the group did not come to rest: %+v", g.Status)
	}
	if !g.Spec.AutomaticFailover && w.version == "" && g.Status.Primary != "rg-001" {
		t.Errorf("without failover the primary moved to %s", g.Status.Primary)
	}
	writer := fmt.Sprintf("%s/%s/0001", controllertest.Region, g.Status.Primary)
	wantEndpoint(t, w.Loop, primary, writer)
	for _, id := range g.Spec.Members {
		if c := cluster(w.Loop, id); c.Status.EngineVersion != c.Spec.EngineVersion || w.version != "" && c.Spec.EngineVersion != w.version {
			t.Errorf("%s shall be %s, is %s, and %q was asked for", id, c.Spec.EngineVersion, c.Status.EngineVersion, w.version)
		}
		key := fmt.Sprintf("%s/%s/0001", controllertest.Region, id)
		n, e := node(w.Loop, key), w.Runtime.Engine(key)
		if key == writer && (e.Role != "master" || n.Spec.ReplicaOf != "") ||
			key != writer && (e.Role != "slave" || !e.LinkUp || n.Spec.ReplicaOf != writer) {
			t.Errorf("%s: replica of %q, role %s, link %v; the primary is %s", key, n.Spec.ReplicaOf, e.Role, e.LinkUp, writer)
		}
		if e.Data < w.held {
			t.Errorf("%s holds %d writes of %d", key, e.Data, w.held)
		}
		if s := cluster(w.Loop, id).Status; s.NodeStatus["0001"] != "available" || len(s.Recovering) > 0 {
			t.Errorf("%s: status is %+v", id, s)
		}
	}
}

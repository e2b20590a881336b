package replicationgroup_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
)

const next2 = node2 + "-next"

// pairs are the worlds in which nobody but two members has the data, and which those are.
var pairs = map[string]struct {
	make  func(testing.TB) *controllertest.Loop
	pairs [][]string
}{
	"group":                  {func(t testing.TB) *controllertest.Loop { return newGroup(t, 2, failover) }, [][]string{{node1, node2}}},
	"group without failover": {func(t testing.TB) *controllertest.Loop { return newGroup(t, 2, nil) }, [][]string{{node1, node2}}},
	"shards":                 {newShards, [][]string{{node1, node2}, {node3, node4}}},
}

// eachPair runs a test with worlds of pairs that hold some data and have just been asked
// for another version, which they reach as the test's random numbers have it.
func eachPair(t *testing.T, test func(t *testing.T, w *rolling)) {
	seeds := 12
	if testing.Short() {
		seeds = 4
	}
	for name, p := range pairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range seeds {
				l := p.make(t)
				for _, pair := range p.pairs {
					for _, key := range pair {
						l.Runtime.Set(key, 7)
					}
				}
				l.Runtime.Auto = false
				version := "8.0.1"
				change(t, l, resource.Pending{Engine: core.Ptr("valkey"), EngineVersion: &version, ParameterGroup: core.Ptr("default.valkey8")})
				w := &rolling{Loop: l, pairs: p.pairs, rand: rand.New(rand.NewPCG(uint64(seed), 1))}
				if test(t, w); t.Failed() {
					t.Fatalf("seed %d: %v", seed, w.steps)
				}
			}
		})
	}
}

// rolling is a world of pairs in a change of the version.
type rolling struct {
	*controllertest.Loop
	pairs [][]string
	rand  *rand.Rand
	steps []string
}

// act lets one of those who bring the change about do the next thing.
func (w *rolling) act(t *testing.T) {
	t.Helper()
	nodes := w.Runtime.Nodes()
	switch n := w.rand.IntN(10); {
	case n < 2:
		w.steps = append(w.steps, "plan")
		w.Pass(t, w.Controllers[0], groupKey)
	case n < 4:
		w.steps = append(w.steps, "apply")
		w.Pass(t, w.Controllers[1], "host")
	case n < 6:
		w.steps = append(w.steps, "deliver")
		w.Deliver(t)
	case n < 9:
		key := nodes[w.rand.IntN(len(nodes))]
		w.steps = append(w.steps, "step "+key)
		w.Runtime.Step(key)
	default:
		w.Clock.Advance(10 * time.Millisecond)
	}
}

// copies counts the processes of a pair that have its data.
func (w *rolling) copies(pair []string) (n int) {
	for _, key := range pair {
		for _, id := range []string{key, resource.SuccessorID(key)} {
			if e := w.Runtime.Engine(id); e.Phase == resource.NodeRunning && e.Data == 7 {
				n++
			}
		}
	}
	return n
}

// arrive lets the change come to its end, and sees to it that it has.
func (w *rolling) arrive(t *testing.T) {
	t.Helper()
	w.Runtime.Auto = true
	for _, key := range w.Runtime.Nodes() {
		w.Runtime.Step(key)
	}
	settleSlowly(t, w.Loop)
	if g := group(w.Loop); g.Status.ObservedGeneration != g.Generation {
		t.Errorf("the group did not come to rest: %+v", g.Status)
	}
	for _, key := range slices.Concat(w.pairs...) {
		if e := w.Runtime.Engine(key); e.Node.Version != "8.0.1" || e.Data != 7 || node(w.Loop, resource.SuccessorID(key)) != nil {
			t.Errorf("%s runs %s and holds %d of 7 writes, its successor is %+v", key, e.Node.Version, e.Data, node(w.Loop, resource.SuccessorID(key)))
		}
	}
}

// In whatever order things come, two processes have the data at every moment.
func TestUpgradeOfTwo(t *testing.T) {
	t.Parallel()
	eachPair(t, func(t *testing.T, w *rolling) {
		for range 400 {
			w.act(t)
			for _, pair := range w.pairs {
				if n := w.copies(pair); n < 2 {
					t.Errorf("%v have %d copies of the data", pair, n)
					return
				}
			}
		}
		w.arrive(t)
	})
}

// Whichever process ends at whatever moment, the data is left.
func TestUpgradeOfTwoWithLosses(t *testing.T) {
	t.Parallel()
	eachPair(t, func(t *testing.T, w *rolling) {
		for range w.rand.IntN(250) {
			w.act(t)
		}
		pair := w.pairs[w.rand.IntN(len(w.pairs))]
		lost := pair[w.rand.IntN(2)]
		if next := resource.SuccessorID(lost); node(w.Loop, next) != nil && w.rand.IntN(2) == 0 {
			lost = next
		}
		w.steps = append(w.steps, "kill "+lost)
		w.Runtime.Kill(lost)
		for range w.rand.IntN(100) {
			w.act(t)
		}
		w.arrive(t)
	})
}

// The replica goes on as what it is until its successor has as much as it has, which
// then takes its place without the clients of the primary noticing.
func TestSuccessorOfReplica(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 2, failover)
	for range 7 {
		l.Runtime.Write(primary)
	}
	old := node(l, node2)
	l.Runtime.Auto = false
	upgrade(t, l, "valkey", "8.0.1")
	l.Pass(t, l.Controllers[0], groupKey)
	l.Pass(t, l.Controllers[1], "host")
	if n := node(l, next2); n == nil || n.Spec.ReplicaOf != node1 || n.Spec.Version != "8.0.1" {
		t.Fatalf("the successor is %+v", n)
	}
	doc := l.Runtime.Document()
	at := map[core.Endpoint]bool{}
	for i := range doc.Nodes {
		if n := &doc.Nodes[i]; n.ID != node1 {
			at[n.Announced()] = true
		}
	}
	if len(at) != 2 {
		t.Errorf("the replicas call themselves %v", at)
	}
	l.Runtime.Step(next2)
	l.Runtime.Set(next2, 6)
	l.Deliver(t)
	l.Pass(t, l.Controllers[0], groupKey)
	wantEndpoint(t, l, reader, node2)
	if n := node(l, node2); n.UID != old.UID {
		t.Fatal("a successor with less than the replica took its place")
	}
	l.Runtime.Set(next2, 7)
	l.Pass(t, l.Controllers[0], groupKey)
	if n := node(l, node2); n.UID == old.UID || n.Spec.ReplicaOf != node1 || node(l, next2) != nil {
		t.Fatalf("the replica is %+v", n)
	}
	wantEndpoint(t, l, primary, node1)
}

// If the primary ends, whoever has most of the data goes on.
func TestSuccessorHasMore(t *testing.T) {
	t.Parallel()
	for next, heldBy := range map[int64]string{6: "the replica", 7: "the replica", 8: "its successor"} {
		t.Run(fmt.Sprint(next), func(t *testing.T) {
			t.Parallel()
			l := newGroup(t, 2, failover)
			l.Runtime.Set(node1, 8)
			l.Runtime.Set(node2, 7)
			old := node(l, node2)
			l.Runtime.Auto = false
			upgrade(t, l, "valkey", "8.0.1")
			l.Pass(t, l.Controllers[0], groupKey)
			l.Pass(t, l.Controllers[1], "host")
			l.Runtime.Step(next2)
			l.Runtime.Set(node2, 7)
			l.Runtime.Set(next2, next)
			l.Runtime.Kill(node1)
			l.Deliver(t)
			for range 2 {
				l.Pass(t, l.Controllers[0], groupKey)
			}
			n := node(l, node2)
			if g := group(l); g.Status.Primary != "rg-002" || n.Spec.ReplicaOf != "" || (n.UID == old.UID) != (heldBy == "the replica") {
				t.Errorf("%s leads with %d writes, the node is %+v", g.Status.Primary, l.Runtime.Engine(node2).Data, n)
			}
			l.Runtime.Auto = true
			l.Runtime.Step(node2)
			settleSlowly(t, l)
			wantVersion2(t, l, max(7, next))
		})
	}
}

func wantVersion2(t *testing.T, l *controllertest.Loop, writes int64) {
	t.Helper()
	for _, key := range []string{node1, node2} {
		if e := l.Runtime.Engine(key); e.Node.Version != "8.0.1" || e.Data != writes {
			t.Errorf("%s runs %s and holds %d of %d writes", key, e.Node.Version, e.Data, writes)
		}
	}
}

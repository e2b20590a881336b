package replicationgroup_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/resource"
)

func TestFailover(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 3, failover)
	write(l, 5)
	l.Runtime.Set(node2, 4) // it lags
	l.Clock.Advance(time.Minute)
	before := len(controllertest.Events(l.Store))
	l.Runtime.Kill(node1)
	l.Settle(t)

	if p := group(l).Status.Primary; p != "rg-003" {
		t.Fatalf("primary is %s, want the most advanced replica rg-003", p)
	}
	for key, want := range map[string]struct {
		replicaOf   string
		incarnation int
	}{node1: {node3, 2}, node2: {node3, 1}, node3: {"", 1}} {
		n := node(l, key)
		if n.Spec.ReplicaOf != want.replicaOf || n.Spec.Incarnation != want.incarnation {
			t.Errorf("%s: replica of %q, incarnation %d, want %+v", key, n.Spec.ReplicaOf, n.Spec.Incarnation, want)
		}
		if data := l.Runtime.Engine(key).Data; data != 5 {
			t.Errorf("%s holds %d writes, want 5", key, data)
		}
	}
	wantEndpoint(t, l, primary, node3)
	wantEndpoint(t, l, reader, node1, node2)
	if !l.Runtime.Endpoint(primary).Primary || l.Runtime.Endpoint(reader).Primary {
		t.Error("only the primary endpoint cuts connections to a node that left it")
	}
	wantEvents(t, l, before,
		"rg-001: Recovering cache nodes 0001",
		"rg-003: Failover from primary node rg-001 to replica node rg-003 completed",
		"rg: Failover from primary node rg-001 to replica node rg-003 completed",
		"rg-001: Finished recovery for cache nodes 0001",
	)
}

// The writer's endpoint leads nowhere from the exit on, and to the next primary once that
// is decided; the runtime sees to it that it is one before.
func TestFailoverEndpoint(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 2, failover)
	l.Runtime.Auto = false
	groups, host := l.Controllers[0], l.Controllers[1]
	l.Runtime.Kill(node1)
	l.Deliver(t)
	l.Pass(t, host, "host")
	wantEndpoint(t, l, primary)
	wantEndpoint(t, l, reader, node2)
	l.Pass(t, groups, groupKey)
	l.Pass(t, host, "host")
	if n := node(l, node2); n.Spec.ReplicaOf != "" {
		t.Fatal("the replica is not promoted in the first pass")
	}
	wantEndpoint(t, l, primary, node2)
	l.Runtime.Step(node2)
	l.Deliver(t)
	l.Pass(t, host, "host")
	wantEndpoint(t, l, primary, node2)
	wantEndpoint(t, l, reader, node2)
}

// Without automatic failover the survivor keeps the data for the primary, which
// takes its place again once it is in sync.
func TestLostPrimaryComesBack(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 3, nil)
	write(l, 3)
	l.Runtime.Set(node2, 2)
	before := len(controllertest.Events(l.Store))
	l.Runtime.Auto = false
	groups, host := l.Controllers[0], l.Controllers[1]
	l.Runtime.Kill(node1)
	l.Deliver(t)
	l.Pass(t, groups, groupKey)
	l.Pass(t, host, "host")
	if a, b := node(l, node1).Spec, node(l, node3).Spec; a.ReplicaOf != node3 || a.Incarnation != 2 || b.ReplicaOf != "" {
		t.Fatalf("the primary is a replica of %q, the survivor of %q", a.ReplicaOf, b.ReplicaOf)
	}
	l.Settle(t)
	if p := group(l).Status.Primary; p != "rg-001" {
		t.Errorf("primary is %s, want rg-001 still", p)
	}
	for key, want := range map[string]string{node1: "", node2: node1, node3: node1} {
		if got := node(l, key).Spec.ReplicaOf; got != want {
			t.Errorf("%s replicates from %q, want %q", key, got, want)
		}
		if data := l.Runtime.Engine(key).Data; data != 3 {
			t.Errorf("%s holds %d writes, want 3", key, data)
		}
	}
	wantEndpoint(t, l, primary, node1)
	wantEvents(t, l, before,
		"rg-001: Recovering cache nodes 0001",
		"rg-001: Finished recovery for cache nodes 0001",
	)
}

func TestNobodySurvives(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*controllertest.Loop, *resource.ReplicationGroup){"failover": failover, "no failover": nil} {
		t.Run(name, func(t *testing.T) {
			l := newGroup(t, 2, edit)
			l.Runtime.Write(primary)
			before := len(controllertest.Events(l.Store))
			l.Runtime.Kill(node1, node2)
			l.Settle(t)
			wantEndpoint(t, l, primary, node1)
			wantEndpoint(t, l, reader, node2)
			events := newEvents(l, before)
			if !strings.Contains(events, "rg: No node of replication group rg is left with its data: node rg-001 starts empty") {
				t.Errorf("no event says that the data is lost:\n%s", events)
			}
			if strings.Contains(events, "Failover") {
				t.Errorf("an event tells of a failover:\n%s", events)
			}
		})
	}
}

// The primary may not start at once, since it ended soon after its last start: the
// replicas wait for it, as one that started before it would be empty, be taken for
// a survivor and promoted, and nobody told that the data is lost.
func TestNobodySurvivesAndThePrimaryWaits(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 2, nil)
	l.Runtime.Write(primary)
	l.Runtime.Kill(node1)
	l.Settle(t)
	before := len(controllertest.Events(l.Store))
	l.Runtime.Kill(node1, node2)
	waits := l.Settle(t)
	if len(waits) != 1 || waits[0] != time.Second {
		t.Fatalf("waits are %v, want one second", waits)
	}
	if n := node(l, node2); n.Spec.Incarnation != 1 {
		t.Errorf("the replica did not wait: %+v", n.Spec)
	}
	l.Clock.Advance(time.Second)
	l.Settle(t)
	wantEndpoint(t, l, primary, node1)
	wantEndpoint(t, l, reader, node2)
	if events := newEvents(l, before); !strings.Contains(events, "rg: No node of replication group rg is left with its data") {
		t.Errorf("no event says that the data is lost:\n%s", events)
	}
}

// A replica that is there but gives no answer may hold the data: nobody is
// promoted and the primary does not start empty until it is heard of.
func TestSilentReplica(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 2, failover)
	l.Runtime.Write(primary)
	l.Runtime.Silence(node2, true)
	l.Runtime.Kill(node1)
	waits := l.Settle(t)
	if len(waits) != 1 || waits[0] > 100*time.Millisecond {
		t.Errorf("waits are %v, want one that is short", waits)
	}
	if a, b := node(l, node1).Spec, node(l, node2).Spec; a.Incarnation != 1 || b.ReplicaOf != node1 {
		t.Fatalf("something was decided: %+v, %+v", a, b)
	}
	l.Runtime.Silence(node2, false)
	l.Settle(t)
	wantEndpoint(t, l, primary, node2)
	if data := l.Runtime.Engine(node2).Data; data != 1 {
		t.Errorf("the new primary holds %d writes, want 1", data)
	}
}

func TestLostReplica(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 3, failover)
	l.Runtime.Write(primary)
	before := len(controllertest.Events(l.Store))
	l.Runtime.Kill(node3)
	l.Settle(t)
	if n := node(l, node3); n.Spec.Incarnation != 2 || n.Spec.ReplicaOf != node1 || l.Runtime.Engine(node3).Data != 1 {
		t.Errorf("the replica is not back: %+v", n.Spec)
	}
	wantEndpoint(t, l, reader, node2, node3)
	wantEvents(t, l, before, "rg-003: Recovering cache nodes 0001", "rg-003: Finished recovery for cache nodes 0001")
}

// A replica that keeps dying is started ever more slowly, at first at once.
func TestDyingReplica(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 2, failover)
	var got []time.Duration
	for range 9 {
		l.Runtime.Kill(node2)
		waits := l.Settle(t)
		if len(waits) == 0 {
			got = append(got, 0)
			continue
		}
		got = append(got, waits[0])
		if incarnation := node(l, node2).Spec.Incarnation; incarnation != len(got) {
			t.Fatalf("incarnation %d was started before its time", incarnation)
		}
		l.Clock.Advance(waits[0])
		l.Settle(t)
	}
	s := time.Second
	want := []time.Duration{0, s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s, 30 * s}
	if !slices.Equal(got, want) {
		t.Errorf("pauses are %v, want %v", got, want)
	}
	l.Clock.Advance(time.Minute)
	l.Runtime.Kill(node2)
	if waits := l.Settle(t); len(waits) > 0 {
		t.Errorf("after a longer life it still waits %v", waits)
	}
}

// A replica whose process was started anew may be filled before its report is
// in: the exit of the primary in between must not empty the group.
func TestStartingReplica(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 2, failover)
	l.Runtime.Write(primary)
	l.Runtime.Auto = false
	groups, host := l.Controllers[0], l.Controllers[1]
	l.Runtime.Kill(node2)
	l.Deliver(t)
	l.Pass(t, groups, groupKey)
	l.Pass(t, host, "host")
	l.Runtime.Step(node2)
	late := <-l.Runtime.Reports()
	l.Runtime.Kill(node1)
	l.Deliver(t)
	l.Pass(t, groups, groupKey)
	if n := node(l, node1); n.Spec.Incarnation != 1 {
		t.Fatalf("the primary starts empty: %+v", n.Spec)
	}
	if err := l.Record(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	l.Settle(t)
	wantEndpoint(t, l, primary, node2)
	if data := l.Runtime.Engine(node1).Data; data != 1 {
		t.Errorf("the old primary holds %d writes, want 1", data)
	}
}

// A replica that came up after everybody else was lost holds nothing: it must not
// pass for a survivor, and the loss must be told.
func TestAnEmptyReplicaIsNoSurvivor(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 3, failover)
	write(l, 5)
	l.Clock.Advance(time.Minute)
	before := len(controllertest.Events(l.Store))
	l.Runtime.Auto = false
	groups, host := l.Controllers[0], l.Controllers[1]
	l.Runtime.Kill(node2)
	l.Deliver(t)
	l.Pass(t, groups, groupKey)
	l.Pass(t, host, "host")
	l.Runtime.Kill(node1, node3)
	for l.Runtime.Step(node2) {
	}
	l.Deliver(t)
	l.Pass(t, groups, groupKey)
	if n := node(l, node2); n.Spec.ReplicaOf != node1 {
		t.Errorf("the empty replica was promoted: it is a replica of %q", n.Spec.ReplicaOf)
	}
	if events := newEvents(l, before); !strings.Contains(events, "rg: No node of replication group rg is left with its data: node rg-001 starts empty") {
		t.Errorf("the loss is not told:\n%s", events)
	}
	l.Settle(t)
	wantEndpoint(t, l, primary, node1)
}

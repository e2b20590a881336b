package replicationgroup_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// setMode asks for another cluster mode, as the API does.
func setMode(t testing.TB, l *controllertest.Loop, mode string) {
	t.Helper()
	l.Update(t, func(tx *store.Tx) {
		g, _ := resource.ReplicationGroups.Get(tx, groupKey)
		g.Spec.ModeChange = &resource.ModeChange{Before: g.Spec.Mode(), ParameterGroup: "default.redis7"}
		g.Spec.SetMode(mode)
		if mode == resource.ModeCompatible {
			g.Spec.ConfigurationEndpoint = controllertest.Endpoint("cluster.rg", 102, 6379)
		}
		g.Generation++
		resource.ReplicationGroups.Put(tx, groupKey, g)
	})
}

// wantMode checks that all members are of a mode, with all writes, and that nothing is
// left to do.
func wantMode(t *testing.T, l *controllertest.Loop, mode string, writes int64) {
	t.Helper()
	g := group(l)
	if g.Spec.ModeChange != nil || g.Spec.Mode() != mode || g.Status.ObservedGeneration != g.Generation {
		t.Fatalf("the group is %s, %+v, settled %d of %d", g.Spec.Mode(), g.Spec.ModeChange, g.Status.ObservedGeneration, g.Generation)
	}
	for _, key := range []string{node1, node2, node3} {
		e := l.Runtime.Engine(key)
		if (e.Node.Cluster != nil) != (mode != resource.ModeDisabled) || e.Data != writes {
			t.Errorf("%s: cluster %+v, %d of %d writes", key, e.Node.Cluster, e.Data, writes)
		}
		if c := e.Node.Cluster; c != nil && (c.Outside != nil || len(c.Peers) != 2 || c.Slots.String() != "0-16383") {
			t.Errorf("%s: place %+v", key, c)
		}
	}
	if got := !g.Spec.ConfigurationEndpoint.IsZero(); got != (mode != resource.ModeDisabled) {
		t.Errorf("configuration endpoint: %t", got)
	}
	if got := !g.Spec.PrimaryEndpoint.IsZero(); got != (mode != resource.ModeEnabled) {
		t.Errorf("primary endpoint: %t", got)
	}
}

// One process at a time moves to another mode; the primary is the last one.
func TestClusterMode(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 3, failover)
	write(l, 7)
	before := len(controllertest.Events(l.Store))
	setMode(t, l, resource.ModeCompatible)
	settleSlowly(t, l)
	wantMode(t, l, resource.ModeCompatible, 7)
	if g := group(l); g.Status.Primary != "rg-002" || primaries(l) != "0001 rg-002" {
		t.Errorf("primary %s, %s", g.Status.Primary, primaries(l))
	}
	wantEndpoint(t, l, primary, node2)
	wantEndpoint(t, l, reader, node2)
	wantEndpoint(t, l, "cluster "+groupKey, node1, node2, node3)
	wantEvents(t, l, before,
		"rg-002: Cache node 0001 shutdown",
		"rg-003: Cache node 0001 shutdown",
		"rg-002: Failover from primary node rg-001 to replica node rg-002 completed",
		"rg: Failover from primary node rg-001 to replica node rg-002 completed",
		"rg-002: Cache node 0001 restarted",
		"rg-001: Recovering cache nodes 0001",
		"rg-003: Cache node 0001 restarted",
		"rg-001: Finished recovery for cache nodes 0001",
		"rg: Cluster mode of replication group rg has been changed to compatible",
	)
	l.Runtime.Write(primary)

	setMode(t, l, resource.ModeDisabled)
	settleSlowly(t, l)
	wantMode(t, l, resource.ModeDisabled, 8)
	if g := group(l); g.Status.Primary == "rg-002" || len(g.Status.Shards) > 0 {
		t.Errorf("status %+v", g.Status)
	}
	if got := l.Runtime.Endpoint(reader).Nodes; len(got) != 2 {
		t.Errorf("readers go to %v", got)
	}

	setMode(t, l, resource.ModeCompatible)
	settleSlowly(t, l)
	runs := l.Runtime.Engine(node1).Node.Incarnation
	setMode(t, l, resource.ModeEnabled)
	settleSlowly(t, l)
	wantMode(t, l, resource.ModeEnabled, 8)
	if got := l.Runtime.Engine(node1).Node.Incarnation; got != runs || group(l).Status.Primary != "" {
		t.Errorf("process %d became %d, the primary is %q", runs, got, group(l).Status.Primary)
	}
	for _, e := range l.Runtime.Document().Endpoints {
		if e.ID == primary || e.ID == reader {
			t.Errorf("there is still %s", e.ID)
		}
	}
}

// While a replica in cluster mode follows a primary without it, it is told so, and no
// client is led to it.
func TestClusterModeOutside(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 3, failover)
	setMode(t, l, resource.ModeCompatible)
	seen := false
	for range 40 {
		l.Round(t)
		e := l.Runtime.Engine(node2)
		first := l.Runtime.Engine(node1)
		if c := e.Node.Cluster; c != nil && e.Role == "slave" && first.Node.Cluster == nil && first.Role == "master" {
			seen = true
			if o := c.Outside; o == nil || o.ID != c.Primary || o.Address != first.Node.Replication.Address || o.Replication != first.Node.Replication.Port {
				t.Fatalf("%s is told of its primary %+v, which is at %s", node2, o, first.Node.Replication)
			}
			if got := l.Runtime.Endpoint(reader).Nodes; slices.Contains(got, node2) {
				t.Fatalf("readers are led to %v", got)
			}
			if got := l.Runtime.Endpoint("cluster " + groupKey).Nodes; len(got) > 0 {
				t.Fatalf("clients of the cluster are led to %v", got)
			}
		}
		l.Clock.Advance(10 * time.Millisecond)
	}
	if !seen {
		t.Error("nobody was seen to follow the primary from cluster mode")
	}
}

// Whatever dies on the way, there or back, the group gets there without starting empty.
func TestClusterModeWithLosses(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{node1, node2, node3} {
		for passes := 0; passes < 40; passes += 2 {
			l := newGroup(t, 3, failover)
			write(l, 7)
			to := resource.ModeCompatible
			if passes%4 == 0 {
				setMode(t, l, to)
				settleSlowly(t, l)
				to = resource.ModeDisabled
			}
			setMode(t, l, to)
			hurry(t, l, passes)
			l.Clock.Advance(10 * time.Second)
			l.Runtime.Kill(lost)
			settleSlowly(t, l)
			wantMode(t, l, to, 7)
			if slices.ContainsFunc(controllertest.Events(l.Store), func(e string) bool { return strings.Contains(e, "starts empty") }) {
				t.Fatalf("%s lost after %d passes: the group started empty", lost, passes)
			}
		}
	}
}

// Keys in other databases stay where they are, and so does the group, whenever they are
// found.
func TestClusterModeAbandoned(t *testing.T) {
	t.Parallel()
	for _, passes := range []int{0, 3, 6} {
		l := newGroup(t, 3, failover)
		write(l, 7)
		setMode(t, l, resource.ModeCompatible)
		for range passes {
			for _, key := range l.Keys(l.Controllers[0]) {
				l.Pass(t, l.Controllers[0], key)
			}
			l.Deliver(t)
		}
		l.Runtime.Stray(node1)
		settleSlowly(t, l)
		wantMode(t, l, resource.ModeDisabled, 7)
		if group(l).Status.Primary != "rg-001" {
			t.Errorf("after %d passes the primary is %s", passes, group(l).Status.Primary)
		}
		if !slices.ContainsFunc(controllertest.Events(l.Store), func(e string) bool {
			return e == "rg: Failed to change the cluster mode of replication group rg. There are keys in databases other than 0"
		}) {
			t.Errorf("after %d passes nothing is told", passes)
		}
	}
}

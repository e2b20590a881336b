package replicationgroup_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/controller/replicationgroup"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// upgrade is a change of the version that does not wait.
func upgrade(t testing.TB, l *controllertest.Loop, engine, version string) {
	t.Helper()
	change(t, l, resource.Pending{Engine: &engine, EngineVersion: &version, ParameterGroup: core.Ptr("default.valkey8")})
}

// settleSlowly lets time go by until nothing waits for it.
func settleSlowly(t testing.TB, l *controllertest.Loop) {
	t.Helper()
	var waits []time.Duration
	for range 40 {
		if waits = l.Settle(t); len(waits) == 0 {
			return
		}
		l.Clock.Advance(5 * time.Second)
	}
	t.Fatalf("the group does not settle: %v, %+v", waits, group(l))
}

func wantVersion(t *testing.T, l *controllertest.Loop, engine, version string, processes ...int) {
	t.Helper()
	g := group(l)
	if g.Status.ObservedGeneration != g.Generation || g.Spec.Engine != engine {
		t.Errorf("the group is %s, settled %d of %d", g.Spec.Engine, g.Status.ObservedGeneration, g.Generation)
	}
	for i, id := range g.Spec.Members {
		c, e := cluster(l, id), l.Runtime.Engine(controllertest.Region+"/"+id+"/0001")
		if c.Status.Engine != engine || c.Status.EngineVersion != version || e.Node.Engine != engine || e.Node.Version != version || e.Node.Incarnation != processes[i] {
			t.Errorf("%s is %s %s and runs %s %s, process %d", id, c.Status.Engine, c.Status.EngineVersion, e.Node.Engine, e.Node.Version, e.Node.Incarnation)
		}
	}
}

// One process at a time: the replicas, then the old primary after it has handed
// over. The data is in memory somewhere all the time.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 3, failover)
	write(l, 7)
	before := len(controllertest.Events(l.Store))
	upgrade(t, l, "valkey", "8.0.1")
	settleSlowly(t, l)
	wantVersion(t, l, "valkey", "8.0.1", 2, 2, 2)
	for _, key := range []string{node1, node2, node3} {
		if e := l.Runtime.Engine(key); e.Data != 7 {
			t.Errorf("%s holds %d of 7 writes", key, e.Data)
		}
	}
	g := group(l)
	if g.Status.Primary == "rg-001" || g.Status.FailoverFrom != "" || g.Status.HandoverSince != nil {
		t.Errorf("status %+v", g.Status)
	}
	wantEndpoint(t, l, primary, controllertest.Region+"/"+g.Status.Primary+"/0001")
	wantEvents(t, l, before,
		"rg-002: Cache node 0001 shutdown",
		"rg-002: Cache node 0001 restarted",
		"rg-002: Updated to use a CacheParameterGroup default.valkey8",
		"rg-002: Upgraded the engine from redis 7.1.0 to valkey 8.0.1",
		"rg-003: Cache node 0001 shutdown",
		"rg-003: Cache node 0001 restarted",
		"rg-003: Updated to use a CacheParameterGroup default.valkey8",
		"rg-003: Upgraded the engine from redis 7.1.0 to valkey 8.0.1",
		"rg-002: Failover from primary node rg-001 to replica node rg-002 completed",
		"rg: Failover from primary node rg-001 to replica node rg-002 completed",
		"rg-001: Cache node 0001 shutdown",
		"rg-001: Cache node 0001 restarted",
		"rg-001: Updated to use a CacheParameterGroup default.valkey8",
		"rg-001: Upgraded the engine from redis 7.1.0 to valkey 8.0.1",
	)
}

// The source does not hand over while a replica still fills: that is work for the same
// processors as the handover, for which writers wait.
func TestUpgradeWaitsForAllReplicas(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 3, failover)
	upgrade(t, l, "valkey", "8.0.1")
	l.Runtime.FailStart(node3, "no memory")
	for range 5 {
		l.Settle(t)
		l.Clock.Advance(5 * time.Second)
	}
	if g, last := group(l), node(l, node3); g.Status.Primary != "rg-001" || g.Status.HandoverSince != nil || last.Status.Incarnation != 2 {
		t.Fatalf("status %+v while the last replica is %+v", g.Status, last.Status)
	}
	l.Runtime.FailStart(node3, "")
	settleSlowly(t, l)
	wantVersion(t, l, "valkey", "8.0.1", 2, 2, 2)
}

// The same program may serve both versions: nothing is started anew.
func TestUpgradeInPlace(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 1, nil)
	l.Runtime.Write(primary)
	upgrade(t, l, "redis", "7.0.7")
	l.Settle(t)
	wantVersion(t, l, "redis", "7.0.7", 1)
}

const next1 = node1 + "-next"

// The only node hands its data on to a successor, which has its record, address and
// place afterwards.
func TestUpgradeOfOneNode(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 1, nil)
	write(l, 7)
	old := node(l, node1)
	l.Runtime.Auto = false
	before := len(controllertest.Events(l.Store))
	upgrade(t, l, "valkey", "8.0.1")
	l.Pass(t, l.Controllers[0], groupKey)
	l.Pass(t, l.Controllers[1], "host")
	for _, n := range l.Runtime.Document().Nodes {
		switch {
		case n.ID == node1 && (n.Successor || n.Version != "7.1.0"),
			n.ID == next1 && (!n.Successor || n.Version != "8.0.1" || n.Primary == nil || n.Replication.Address != n.Primary.Address || n.Replication == *n.Primary):
			t.Errorf("the document has %+v", n)
		}
	}
	wantEndpoint(t, l, primary, node1)
	l.Runtime.Auto = true
	l.Runtime.Step(next1)
	settleSlowly(t, l)
	wantVersion(t, l, "valkey", "8.0.1", 2)
	if n := node(l, node1); n.UID == old.UID || n.Spec.Turn != 1 || node(l, next1) != nil {
		t.Errorf("the node is %+v", n)
	}
	if e := l.Runtime.Engine(node1); e.Data != 7 || e.Role != "master" {
		t.Errorf("the node holds %d of 7 writes, as %s", e.Data, e.Role)
	}
	wantEndpoint(t, l, primary, node1)
	wantEvents(t, l, before,
		"rg-001: Updated to use a CacheParameterGroup default.valkey8",
		"rg-001: Upgraded the engine from redis 7.1.0 to valkey 8.0.1")

	upgrade(t, l, "valkey", "8.1.0")
	settleSlowly(t, l)
	wantVersion(t, l, "valkey", "8.1.0", 3)
}

// Whatever dies on the way, the data goes on as long as one of the two has it.
func TestUpgradeOfOneNodeWithLosses(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{node1, next1} {
		for passes := range 20 {
			l := newGroup(t, 1, nil)
			write(l, 7)
			upgrade(t, l, "valkey", "8.0.1")
			hurry(t, l, passes)
			l.Runtime.Kill(lost)
			l.Deliver(t)
			left := max(l.Runtime.Engine(node1).Data, l.Runtime.Engine(next1).Data)
			settleSlowly(t, l)
			e := l.Runtime.Engine(node1)
			if e.Node.Version != "8.0.1" || e.Data != left || e.Role != "master" || node(l, next1) != nil || group(l).Status.ObservedGeneration != group(l).Generation {
				t.Fatalf("%s lost after %d passes: %s runs %s as %s and holds %d of %d writes", lost, passes, node1, e.Node.Version, e.Role, e.Data, left)
			}
		}
	}
}

// A successor that cannot be started leaves the node as it is, and says so.
func TestUpgradeOfOneNodeFails(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 1, nil)
	l.Runtime.Write(primary)
	l.Runtime.FailStart(next1, "out of memory")
	upgrade(t, l, "valkey", "8.0.1")
	l.Settle(t)
	if s := cluster(l, "rg-001").Status; !strings.Contains(s.Failure, "out of memory") {
		t.Errorf("the status is %+v", s)
	}
	wantEndpoint(t, l, primary, node1)
	if !l.Runtime.Write(primary) {
		t.Error("no writes are taken")
	}
	l.Runtime.FailStart(next1, "")
	settleSlowly(t, l)
	wantVersion(t, l, "valkey", "8.0.1", 2)
	if e := l.Runtime.Engine(node1); e.Data != 2 {
		t.Errorf("%d of 2 writes are left", e.Data)
	}
}

// Whatever dies on the way, the group gets there without starting empty.
func TestUpgradeWithLosses(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{node1, node2, node3} {
		for passes := range 40 {
			l := newGroup(t, 3, failover)
			write(l, 7)
			upgrade(t, l, "valkey", "8.0.1")
			hurry(t, l, passes)
			l.Clock.Advance(10 * time.Second)
			l.Runtime.Kill(lost)
			settleSlowly(t, l)
			for _, key := range []string{node1, node2, node3} {
				if e := l.Runtime.Engine(key); e.Node.Version != "8.0.1" || e.Data != 7 {
					t.Fatalf("%s lost after %d passes: %s runs %s and holds %d of 7 writes", lost, passes, key, e.Node.Version, e.Data)
				}
			}
			if slices.ContainsFunc(controllertest.Events(l.Store), func(e string) bool { return strings.Contains(e, "starts empty") }) {
				t.Fatalf("%s lost after %d passes: the group started empty", lost, passes)
			}
		}
	}
}

// A newer program of the same version is rolled out in the same way, and only
// where it is really there.
func TestServiceUpdate(t *testing.T) {
	t.Parallel()
	for program, processes := range map[string]int{"7.2.0": 2, "9.0.0": 2, "7.1.0": 1, "7.0.9": 1} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			l := newGroup(t, 2, nil)
			write(l, 7)
			l.Runtime.Install("redis", "7.2.0")
			l.Controllers[0] = withPrograms(l, map[string]string{"redis": "7.2.0"})
			l.Update(t, func(tx *store.Tx) {
				g, _ := resource.ReplicationGroups.Get(tx, groupKey)
				var members []*resource.CacheCluster
				for _, id := range g.Spec.Members {
					c, _ := resource.CacheClusters.Get(tx, controllertest.Region+"/"+id)
					members = append(members, c)
				}
				g.Update(members, program)
				resource.ReplicationGroups.Put(tx, groupKey, g)
				for _, c := range members {
					resource.CacheClusters.Put(tx, controllertest.Region+"/"+c.ID, c)
				}
			})
			settleSlowly(t, l)
			wantVersion(t, l, "redis", "7.1.0", processes, processes)
			for _, key := range []string{node1, node2} {
				if e := l.Runtime.Engine(key); e.Data != 7 || (e.Binary.Version == "7.2.0") != (processes == 2) {
					t.Errorf("%s runs %s and holds %d of 7 writes", key, e.Binary.Version, e.Data)
				}
			}
		})
	}
}

// newerEngines have other programs than usual, by engine.
type newerEngines struct {
	controllertest.Engines
	versions map[string]string
}

func (e newerEngines) Program(engine, version string) catalog.Binary {
	b := e.Engines.Program(engine, version)
	b.Version = cmp.Or(e.versions[engine], b.Version)
	return b
}

func withPrograms(l *controllertest.Loop, versions map[string]string) reconcile.Controller {
	uids := controllertest.UIDs()
	return replicationgroup.New(replicationgroup.Config{
		Store: l.Store, Engines: newerEngines{versions: versions}, Prober: l.Runtime, Clock: l.Clock, Log: l.Log,
		NewUID: func() string { return "later-" + uids() },
	})
}

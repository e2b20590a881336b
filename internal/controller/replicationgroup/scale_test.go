package replicationgroup_test

import (
	"testing"

	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

const (
	micro = "cache.t3.micro" // room for 100 writes
	small = "cache.t3.small" // room for 200
)

// scale is a change of the node type that does not wait.
func scale(t testing.TB, l *controllertest.Loop, nodeType string) {
	t.Helper()
	change(t, l, resource.Pending{NodeType: core.Ptr(nodeType)})
}

// change makes what would wait wanted.
func change(t testing.TB, l *controllertest.Loop, p resource.Pending) {
	t.Helper()
	l.Update(t, func(tx *store.Tx) {
		g, _ := resource.ReplicationGroups.Get(tx, groupKey)
		g.Spec.Pending = p
		var members []*resource.CacheCluster
		for _, id := range g.Spec.Members {
			c, _ := resource.CacheClusters.Get(tx, controllertest.Region+"/"+id)
			members = append(members, c)
		}
		g.ApplyPending(members)
		for _, c := range members {
			resource.CacheClusters.Put(tx, controllertest.Region+"/"+c.ID, c)
		}
		resource.ReplicationGroups.Put(tx, groupKey, g)
	})
}

func wantType(t *testing.T, l *controllertest.Loop, nodeType, maxmemory string) {
	t.Helper()
	if g := group(l); g.Status.ObservedGeneration != g.Generation {
		t.Errorf("the group is not settled: %+v", g.Status)
	}
	for _, id := range group(l).Spec.Members {
		c := cluster(l, id)
		if c.Spec.NodeType != nodeType || c.Status.NodeType != nodeType || c.Status.ObservedGeneration != c.Generation {
			t.Errorf("%s shall be %s and is %s, generation %d of %d", id, c.Spec.NodeType, c.Status.NodeType, c.Status.ObservedGeneration, c.Generation)
		}
		e := l.Runtime.Engine(controllertest.Region + "/" + id + "/0001").Node
		if e.Settings["maxmemory"] != maxmemory || e.Incarnation != 1 {
			t.Errorf("%s runs with %s, process %d", id, e.Settings["maxmemory"], e.Incarnation)
		}
	}
}

func TestScale(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 2, nil)
	write(l, 3)
	before := len(controllertest.Events(l.Store))
	scale(t, l, small)
	l.Settle(t)
	wantType(t, l, small, "200")
	scale(t, l, micro)
	l.Settle(t)
	wantType(t, l, micro, "100")
	up, down := "Succeeded applying modification to cache node type to cache.t3.small.", "Succeeded applying modification to cache node type to cache.t3.micro."
	wantEvents(t, l, before, "rg-001: "+up, "rg-002: "+up, "rg-001: "+down, "rg-002: "+down)
}

// Data that does not fit into the smaller type is not evicted: the group stays
// as it was.
func TestScaleDownTooFar(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 2, nil)
	scale(t, l, small)
	l.Settle(t)
	write(l, 101)
	before := len(controllertest.Events(l.Store))
	scale(t, l, micro)
	l.Settle(t)
	wantType(t, l, small, "200")
	failed := "Failed applying modification to cache node type to cache.t3.micro. " +
		"node us-east-1/rg-001/0001 uses 101 bytes of memory, and the type allows 100"
	wantEvents(t, l, before, "rg-001: "+failed, "rg-002: "+failed)
}

// A node that does not say how much it uses keeps the limits where they are, but
// nothing else waits for it.
func TestScaleDownOfSilentNode(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 3, failover)
	scale(t, l, small)
	l.Settle(t)
	l.Runtime.Silence(node3, true)
	scale(t, l, micro)
	l.Runtime.Kill(node1)
	l.Settle(t)
	if e := l.Runtime.Engine(node2).Node; e.Settings["maxmemory"] != "200" || group(l).Status.Primary != "rg-002" {
		t.Errorf("the limit is %s, the primary %s", e.Settings["maxmemory"], group(l).Status.Primary)
	}
	if s := group(l).Status; s.ObservedGeneration == group(l).Generation {
		t.Error("the change counts as done")
	}
	l.Runtime.Silence(node3, false)
	l.Clock.Advance(1e9)
	l.Settle(t)
	for _, id := range []string{"rg-001", "rg-002", "rg-003"} {
		if c := cluster(l, id); c.Status.NodeType != micro {
			t.Errorf("%s is %s", id, c.Status.NodeType)
		}
	}
}

package replicationgroup_test

import (
	"slices"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/resource"
)

// The order of the events is AWS's.
func TestTestFailover(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 3, failover)
	l.Runtime.Write(primary)
	before := len(controllertest.Events(l.Store))
	editGroup(t, l, func(g *resource.ReplicationGroup) {
		g.Spec.Handover = &resource.Handover{From: "rg-001", Test: true}
	})
	l.Settle(t)
	g := group(l)
	if g.Status.Primary != "rg-002" || g.Status.ObservedGeneration != 2 || g.Spec.Handover != nil || g.Status.HandoverSince != nil {
		t.Errorf("the group is %+v, %+v", g.Spec.Handover, g.Status)
	}
	for key, want := range map[string]string{node1: node2, node2: "", node3: node2} {
		n := node(l, key)
		if n.Spec.ReplicaOf != want || n.Spec.HoldWrites || n.Spec.Incarnation != 1 || l.Runtime.Engine(key).Data != 1 {
			t.Errorf("%s is %+v", key, n.Spec)
		}
	}
	wantEndpoint(t, l, primary, node2)
	wantEndpoint(t, l, reader, node1, node3)
	wantEvents(t, l, before,
		"rg-002: Failover from primary node rg-001 to replica node rg-002 completed",
		"rg: Failover from primary node rg-001 to replica node rg-002 completed",
		"rg-001: Recovering cache nodes 0001",
		"rg-001: Finished recovery for cache nodes 0001",
	)
}

func TestPromotion(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 3, nil)
	before := len(controllertest.Events(l.Store))
	editGroup(t, l, func(g *resource.ReplicationGroup) {
		g.Spec.Handover = &resource.Handover{From: "rg-001", To: "rg-003"}
	})
	l.Settle(t)
	if g := group(l); g.Status.Primary != "rg-003" || g.Status.ObservedGeneration != 2 {
		t.Errorf("the group is %+v", g.Status)
	}
	wantEndpoint(t, l, primary, node3)
	wantEvents(t, l, before,
		"rg-003: Failover from primary node rg-001 to replica node rg-003 completed",
		"rg: Failover from primary node rg-001 to replica node rg-003 completed",
	)
}

// Writers wait for a replica that says nothing no longer than they must.
func TestHandoverGivesUp(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 2, failover)
	l.Runtime.Silence(node2, true)
	editGroup(t, l, func(g *resource.ReplicationGroup) {
		g.Spec.Handover = &resource.Handover{From: "rg-001", Test: true}
	})
	l.Settle(t)
	if l.Runtime.Write(primary) {
		t.Fatal("writes are not held")
	}
	l.Clock.Advance(5 * time.Second)
	l.Settle(t)
	g := group(l)
	if g.Status.Primary != "rg-001" || g.Status.ObservedGeneration != 2 || g.Spec.Handover != nil || !l.Runtime.Write(primary) {
		t.Errorf("the group is %+v, %+v", g.Spec.Handover, g.Status)
	}
	want := "rg: Failover from primary node rg-001 did not take place: no replica was ready to take over"
	if !slices.Contains(controllertest.Events(l.Store), want) {
		t.Errorf("no event %q", want)
	}
}

// A request that comes while another change of the primary has just been decided is
// not taken for done with that one.
func TestHandoverDuringFailover(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 3, failover)
	l.Runtime.Auto = false
	l.Runtime.Kill(node1)
	l.Deliver(t)
	l.Pass(t, l.Controllers[0], groupKey)
	now := group(l).Status.Primary
	if now == "rg-001" {
		t.Fatal("no failover was decided")
	}
	editGroup(t, l, func(g *resource.ReplicationGroup) { g.Spec.Handover = &resource.Handover{From: now, Test: true} })
	l.Runtime.Auto = true
	l.Settle(t)
	if g := group(l); g.Status.Primary == now || g.Spec.Handover != nil || g.Status.ObservedGeneration != 2 {
		t.Errorf("the group is %+v, %+v", g.Spec.Handover, g.Status)
	}
}

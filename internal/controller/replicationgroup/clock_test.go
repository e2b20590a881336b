package replicationgroup_test

import (
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/resource"
)

// jumps are those of a wall clock that was wrong and is set right.
var jumps = map[string]time.Duration{
	"forward": 40 * 24 * time.Hour, "a bit forward": 3 * time.Second,
	"back": -40 * 24 * time.Hour, "a bit back": -3 * time.Second,
}

// TestClockJumps: whatever the group is at, the clock jumps once in the midst of it, and
// what comes of it comes no later than if it had not.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	for name, jump := range jumps {
		t.Run("failover "+name, func(t *testing.T) {
			t.Parallel()
			l := newGroup(t, 3, failover)
			write(l, 5)
			before := len(controllertest.Events(l.Store))
			l.Clock.Advance(jump)
			l.Runtime.Kill(node1)
			l.Settle(t)
			if g := group(l); g.Status.Primary != "rg-002" || l.Runtime.Engine(node1).Data != 5 {
				t.Errorf("the group is %+v", g.Status)
			}
			wantEndpoint(t, l, primary, node2)
			if n := len(controllertest.Events(l.Store)) - before; n != 4 {
				t.Errorf("%d events", n)
			}
		})
		t.Run("replica that dies again "+name, func(t *testing.T) {
			t.Parallel()
			l := newGroup(t, 2, failover)
			for range 4 {
				l.Runtime.Kill(node2)
				for _, wait := range l.Settle(t) {
					l.Clock.Advance(wait)
				}
				l.Settle(t)
			}
			l.Runtime.Kill(node2)
			l.Settle(t)
			l.Clock.Advance(jump)
			settleWithin(t, l, 30*time.Second)
			if n := node(l, node2); n.Status.Phase != resource.NodeRunning || !n.Status.LinkUp {
				t.Errorf("the replica is %+v", n.Status)
			}
		})
		t.Run("handover that has no heir "+name, func(t *testing.T) {
			t.Parallel()
			l := newGroup(t, 2, failover)
			l.Runtime.Silence(node2, true)
			editGroup(t, l, func(g *resource.ReplicationGroup) {
				g.Spec.Handover = &resource.Handover{From: "rg-001", Test: true}
			})
			l.Settle(t)
			l.Clock.Advance(jump)
			settleWithin(t, l, 10*time.Second)
			if g := group(l); g.Spec.Handover != nil || g.Status.Primary != "rg-001" || !l.Runtime.Write(primary) {
				t.Errorf("the group is %+v, %+v", g.Spec.Handover, g.Status)
			}
		})
		t.Run("handover "+name, func(t *testing.T) {
			t.Parallel()
			l := newGroup(t, 2, failover)
			l.Runtime.Silence(node2, true)
			editGroup(t, l, func(g *resource.ReplicationGroup) {
				g.Spec.Handover = &resource.Handover{From: "rg-001", Test: true}
			})
			l.Settle(t)
			l.Clock.Advance(jump)
			l.Runtime.Silence(node2, false)
			l.Settle(t)
			if g := group(l); g.Spec.Handover != nil || g.Status.Primary != "rg-002" {
				t.Errorf("the group is %+v, %+v", g.Spec.Handover, g.Status)
			}
		})
	}
}

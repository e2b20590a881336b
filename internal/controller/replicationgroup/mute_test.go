package replicationgroup_test

import (
	"testing"

	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/runtime"
)

// TestMutePrimary: a primary that is busy for long is told of once for each spell, and
// nothing is done about it; one that ends meanwhile is recovered, without a word on its
// answering again.
func TestMutePrimary(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 2, failover)
	for range 2 {
		before := len(controllertest.Events(l.Store))
		l.Runtime.Mute(node1, runtime.MuteBusy)
		l.Settle(t)
		l.Settle(t)
		wantEvents(t, l, before, "rg-001: Cache node 0001 does not respond: it is busy")
		if g := group(l); g.Status.Primary != "rg-001" || node(l, node1).Spec.Incarnation != 1 || g.Status.ObservedGeneration != g.Generation {
			t.Fatalf("something was done about it: %+v", g.Status)
		}
		wantEndpoint(t, l, primary, node1)
		l.Runtime.Mute(node1, "")
		l.Settle(t)
		wantEvents(t, l, before,
			"rg-001: Cache node 0001 does not respond: it is busy",
			"rg-001: Cache node 0001 responds again",
		)
	}
	l.Runtime.Mute(node1, runtime.MuteStill)
	l.Settle(t)
	before := len(controllertest.Events(l.Store))
	l.Runtime.Kill(node1)
	l.Settle(t)
	wantEvents(t, l, before,
		"rg-001: Recovering cache nodes 0001",
		"rg-002: Failover from primary node rg-001 to replica node rg-002 completed",
		"rg: Failover from primary node rg-001 to replica node rg-002 completed",
		"rg-001: Finished recovery for cache nodes 0001",
	)
	if mute := cluster(l, "rg-001").Status.Mute; len(mute) > 0 {
		t.Errorf("still called mute: %v", mute)
	}
}

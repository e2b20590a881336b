package replicationgroup_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// Several members join and leave in one operation; the group is settled only once
// all have come, or gone.
func TestReplicaCount(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 1, nil)
	write(l, 3)
	l.Runtime.Auto = false
	l.Update(t, func(tx *store.Tx) {
		g, _ := resource.ReplicationGroups.Get(tx, groupKey)
		g.Generation++
		for n := 2; n <= 3; n++ {
			controllertest.PutCluster(tx, controllertest.Member(g, n))
		}
		resource.ReplicationGroups.Put(tx, groupKey, g)
	})
	groups, host := l.Controllers[0], l.Controllers[1]
	for _, key := range []string{node2, node3} {
		l.Pass(t, groups, groupKey)
		if s := group(l).Status; s.ObservedGeneration != 1 {
			t.Fatalf("settled before %s is there: %+v", key, s)
		}
		l.Pass(t, host, "host")
		l.Runtime.Step(key)
		l.Deliver(t)
	}
	l.Settle(t)
	wantEndpoint(t, l, reader, node2, node3)
	for _, key := range []string{node2, node3} {
		if data := l.Runtime.Engine(key).Data; data != 3 {
			t.Errorf("%s holds %d writes, want 3", key, data)
		}
	}
	before := len(controllertest.Events(l.Store))
	l.Runtime.Auto = true
	editGroup(t, l, func(g *resource.ReplicationGroup) { g.Spec.Members = g.Spec.Members[:1] })
	for _, id := range []string{"rg-002", "rg-003"} {
		editCluster(t, l, id, func(c *resource.CacheCluster) { c.Spec.Deleting = true })
	}
	l.Settle(t)
	if s := group(l).Status; s.ObservedGeneration != 3 || s.Primary != "rg-001" {
		t.Errorf("the group is %+v", s)
	}
	if left := strings.Join(controllertest.Records(l.Store), " "); strings.Contains(left, "rg-002") || strings.Contains(left, "rg-003") {
		t.Errorf("left are %s", left)
	}
	wantEndpoint(t, l, primary, node1)
	wantEndpoint(t, l, reader, node1)
	if got := controllertest.Events(l.Store)[before:]; !slices.Equal(got, []string{"rg-002: Cache cluster deleted", "rg-003: Cache cluster deleted"}) {
		t.Errorf("events are %q", got)
	}
}

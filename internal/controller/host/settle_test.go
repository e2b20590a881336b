package host

import (
	"testing"

	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/store"
)

// What was seen of a group says nothing of a later one with its name.
func TestSettleTellsGroupsApart(t *testing.T) {
	t.Parallel()
	l := controllertest.NewLoop(t, true)
	h := New(Config{Store: l.Store, Seal: l.Seal, Runtime: l.Runtime, Clock: l.Clock, Log: l.Log})
	h.applied = &runtime.Document{}
	now := &resource.CacheSecurityGroup{Region: "us-east-1", Name: "caches", UID: "new", Generation: 1}
	l.Update(t, func(tx *store.Tx) { resource.CacheSecurityGroups.Put(tx, "us-east-1/caches", now) })
	for _, c := range []struct {
		uid        string
		generation int64
		want       int64
	}{{"old", 7, 0}, {"new", 1, 1}} {
		seen := &resource.CacheSecurityGroup{Region: now.Region, Name: now.Name, UID: c.uid, Generation: c.generation}
		if _, err := h.settle(t.Context(), []*resource.CacheSecurityGroup{seen}); err != nil {
			t.Fatal(err)
		}
		l.Store.Local(func(r store.Reader) {
			if g, _ := resource.CacheSecurityGroups.Get(r, "us-east-1/caches"); g.Status.ObservedGeneration != c.want {
				t.Errorf("after %s: generation %d is observed, want %d", c.uid, g.Status.ObservedGeneration, c.want)
			}
		})
	}
}

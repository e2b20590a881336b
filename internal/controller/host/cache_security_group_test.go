package host_test

import (
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// A change of a cache security group is recorded as carried out when the network
// enforces it, neither before nor for a later change.
func TestCacheSecurityGroupsSettleWhenEnforced(t *testing.T) {
	t.Parallel()
	l, h := newHost(t, true)
	const key = "us-east-1/caches"
	put := func(generation int64) {
		t.Helper()
		l.Update(t, func(tx *store.Tx) {
			g, ok := resource.CacheSecurityGroups.Get(tx, key)
			if !ok {
				g = &resource.CacheSecurityGroup{Region: "us-east-1", Name: "caches"}
			}
			g.Generation = generation
			g.Ingress = []resource.CacheIngress{{GroupName: "web", Generation: generation}}
			resource.CacheSecurityGroups.Put(tx, key, g)
		})
	}
	reconcile := func() time.Duration {
		t.Helper()
		again, err := h.Reconcile(t.Context(), "host")
		if err != nil {
			t.Fatal(err)
		}
		return again
	}
	observed := func() (n int64) {
		l.Store.Local(func(r store.Reader) {
			g, _ := resource.CacheSecurityGroups.Get(r, key)
			n = g.Status.ObservedGeneration
		})
		return n
	}
	expect := func(what string, want int64) {
		t.Helper()
		if got := observed(); got != want {
			t.Errorf("%s: generation %d is observed, want %d", what, got, want)
		}
	}
	l.Runtime.Delay(true)
	put(1)
	if again := reconcile(); again == 0 {
		t.Error("what is not in force is not looked at again")
	}
	expect("before it is enforced", 0)
	l.Runtime.Delay(false)
	put(2)
	if again := reconcile(); again != 0 {
		t.Errorf("looked at again after %v", again)
	}
	expect("enforced", 2)
	put(3)
	expect("a later change", 2)
	reconcile()
	expect("a later change, enforced", 3)
}

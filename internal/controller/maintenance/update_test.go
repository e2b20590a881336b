package maintenance_test

import (
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// A newer program of the same minor version is applied when the window opens, where that is
// wanted; another minor version never is.
func TestAutoMinorVersionUpgrade(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, version string
		wanted        bool
		applied       bool
	}{
		{"same minor version", "7.1.9", true, true},
		{"not wanted", "7.1.9", false, false},
		{"another minor version", "7.9.0", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLoop(t)
			action := resource.UpdateAction{Region: controllertest.Region, Update: "u", GroupID: "rg", Available: l.Clock.Now()}
			key := resource.UpdateActionKey(action.Region, action.Update, action.GroupID, "")
			l.Update(t, func(tx *store.Tx) {
				for _, id := range []string{"rg-001", "rg-002"} {
					c, _ := resource.CacheClusters.Get(tx, "us-east-1/"+id)
					c.Spec.AutoMinorVersionUpgrade = tt.wanted
					resource.CacheClusters.Put(tx, "us-east-1/"+id, c)
				}
				resource.ServiceUpdates.Put(tx, "us-east-1/u", &resource.ServiceUpdate{Region: "us-east-1", Name: "u", Engine: "redis", Version: tt.version})
				resource.UpdateActions.Put(tx, key, &action)
			})
			look := func() (applied bool) {
				l.Store.Local(func(r store.Reader) {
					a, _ := resource.UpdateActions.Get(r, key)
					applied = a.Applied != nil
				})
				return applied
			}
			l.Settle(t)
			if look() {
				t.Error("applied before the window")
			}
			l.Clock.Advance(time.Hour)
			l.Settle(t)
			if got := look(); got != tt.applied || (cluster(l, "rg-002").Spec.Program == tt.version) != tt.applied {
				t.Errorf("applied %v, program %q", got, cluster(l, "rg-002").Spec.Program)
			}
		})
	}
}

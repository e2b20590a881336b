// Package publication removes publications of caches that are gone.
package publication

import (
	"context"
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/topology"
)

// Config is what the controller needs.
type Config struct {
	Store *store.Store
}

type controller struct{ Config }

// all is the only key.
const all = "all"

// New makes the controller. Every change of a cache wakes it.
func New(c Config) reconcile.Controller {
	watched := []string{resource.CacheClusters.Name(), resource.ReplicationGroups.Name(), resource.Publications.Name()}
	return reconcile.Controller{
		Name:       "publication",
		Reconciler: controller{c},
		Watches: func(c store.Change) []string {
			if slices.Contains(watched, c.Table) {
				return []string{all}
			}
			return nil
		},
		Keys:    func(store.Reader) []string { return []string{all} },
		Resync:  time.Hour,
		Workers: 1,
	}
}

// Reconcile implements reconcile.Reconciler.
func (c controller) Reconcile(ctx context.Context, _ string) (time.Duration, error) {
	over := false
	c.Store.Local(func(r store.Reader) { over = len(orphans(r)) > 0 })
	if !over {
		return 0, nil
	}
	return 0, c.Store.Update(ctx, func(tx *store.Tx) error {
		for _, p := range orphans(tx) {
			topology.Unpublish(tx, p)
		}
		return nil
	})
}

// orphans are the publications that lead nowhere.
func orphans(r store.Reader) []*resource.Publication {
	return slices.DeleteFunc(resource.Publications.List(r, ""), func(p *resource.Publication) bool { return topology.Published(r, p) })
}

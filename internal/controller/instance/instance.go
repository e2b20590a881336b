// Package instance ends the lives of instances: a terminated one is shown for an
// hour.
package instance

import (
	"context"
	"log/slog"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// retention is how long a terminated instance is shown.
const retention = time.Hour

// Config is what the controller needs.
type Config struct {
	Store *store.Store
	Clock core.Clock
	Log   *slog.Logger
}

type controller struct{ Config }

// New makes the controller. Its keys are those of the instances, and a change of
// one wakes it.
func New(c Config) reconcile.Controller {
	return reconcile.Controller{
		Name:       "instance",
		Reconciler: controller{c},
		Watches: func(c store.Change) []string {
			if c.Table == resource.Instances.Name() {
				return []string{c.Key}
			}
			return nil
		},
		Keys:    func(r store.Reader) []string { return resource.Instances.Keys(r, "") },
		Resync:  time.Hour,
		Workers: 1,
	}
}

// Reconcile implements reconcile.Reconciler.
func (c controller) Reconcile(ctx context.Context, key string) (time.Duration, error) {
	var wait time.Duration
	ended, now := false, c.Clock.Now()
	c.Store.Local(func(r store.Reader) {
		if i, ok := resource.Instances.Get(r, key); ok && !i.Exists() && i.Spec.Changed != nil {
			ended, wait = true, i.Spec.Changed.Add(retention).Sub(now)
		}
	})
	if !ended || wait > 0 {
		return wait, nil
	}
	err := c.Store.Update(ctx, func(tx *store.Tx) error { resource.Instances.Delete(tx, key); return nil })
	if err != nil {
		return 0, err
	}
	c.Log.Info("instance "+key, "state", "forgotten")
	return 0, nil
}

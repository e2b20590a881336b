// Package event ends the lives of events: they are kept for 14 days.
package event

import (
	"context"
	"log/slog"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

const (
	retention = 14 * 24 * time.Hour
	period    = time.Hour
	// batch bounds how many events go in one transaction; servers limit it.
	batch = 100
)

// Config is what the controller needs.
type Config struct {
	Store *store.Store
	Clock core.Clock
	Log   *slog.Logger
}

type controller struct{ Config }

const theKey = "events"

// New makes the controller. It has one key, and looks every hour.
func New(c Config) reconcile.Controller {
	return reconcile.Controller{
		Name:       "event",
		Reconciler: controller{c},
		Watches:    func(store.Change) []string { return nil },
		Keys:       func(store.Reader) []string { return []string{theKey} },
		Resync:     period,
		Workers:    1,
	}
}

// Reconcile implements reconcile.Reconciler.
func (c controller) Reconcile(ctx context.Context, _ string) (time.Duration, error) {
	old := c.old(c.Clock.Now().Add(-retention))
	more := len(old) > batch
	old = old[:min(len(old), batch)]
	if len(old) == 0 {
		return 0, nil
	}
	err := c.Store.Update(ctx, func(tx *store.Tx) error {
		for _, key := range old {
			resource.Events.Delete(tx, key)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	c.Log.Info("events deleted", "count", len(old))
	if more {
		return time.Millisecond, nil
	}
	return 0, nil
}

// old are the keys of events before a time.
func (c controller) old(before time.Time) (keys []string) {
	c.Store.Local(func(r store.Reader) {
		for _, e := range resource.Events.List(r, "") {
			if e.Time.Before(before) {
				keys = append(keys, resource.EventKey(e.Region, e.Time, e.UID))
			}
		}
	})
	return keys
}

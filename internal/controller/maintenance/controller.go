// Package maintenance makes wanted, when a maintenance window opens, what was
// asked for before and waits for it, and otherwise a newer program of the same minor
// version where AutoMinorVersionUpgrade asks for those. The controllers of clusters and groups carry
// it out like any other change.
package maintenance

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/controller/step"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// Config is what the controller needs.
type Config struct {
	Store *store.Store
	Clock core.Clock
	// NewUID gives ids that are unique over time.
	NewUID func() string
	Log    *slog.Logger
}

type controller struct{ Config }

// Keys are those of records, after the kind of record.
const (
	groupKey   = "group "
	clusterKey = "cluster "
)

// New makes the controller. It sleeps until the next window of a resource for
// which something waits.
func New(c Config) reconcile.Controller {
	return reconcile.Controller{
		Name:       "maintenance",
		Reconciler: controller{c},
		Watches:    watches,
		Keys:       keys,
		Resync:     time.Minute,
		Workers:    1,
	}
}

func watches(change store.Change) []string {
	switch change.Table {
	case resource.ReplicationGroups.Name():
		return []string{groupKey + change.Key}
	case resource.CacheClusters.Name():
		return []string{clusterKey + change.Key}
	case resource.UpdateActions.Name():
		region, owner, id := resource.UpdateActionOwner(change.Key)
		if owner == "group" {
			return []string{groupKey + region + "/" + id}
		}
		return []string{clusterKey + region + "/" + id}
	}
	return nil
}

func keys(r store.Reader) (keys []string) {
	for _, k := range resource.ReplicationGroups.Keys(r, "") {
		keys = append(keys, groupKey+k)
	}
	for _, k := range resource.CacheClusters.Keys(r, "") {
		keys = append(keys, clusterKey+k)
	}
	return keys
}

// Reconcile implements reconcile.Reconciler.
func (c controller) Reconcile(ctx context.Context, key string) (time.Duration, error) {
	now := c.Clock.Now()
	return step.Pass(ctx, c.Store, c.Log, now, c.NewUID(), func(r store.Reader) ([]step.Step, time.Duration) {
		if k, ok := strings.CutPrefix(key, groupKey); ok {
			return group(r, k, now)
		}
		return cluster(r, strings.TrimPrefix(key, clusterKey), now)
	})
}

func group(r store.Reader, key string, now time.Time) ([]step.Step, time.Duration) {
	g, ok := resource.ReplicationGroups.Get(r, key)
	if !ok || len(g.Spec.Members) == 0 {
		return nil, 0
	}
	// The members have one window, but for those that were made with their own.
	first, ok := resource.CacheClusters.Get(r, g.Region+"/"+g.Spec.Members[0])
	settled := g.Status.Available != nil && g.Status.ObservedGeneration >= g.Generation && !g.Spec.Deleting
	if !ok || !settled {
		return nil, 0
	}
	if g.Spec.Pending.IsZero() {
		return open(first.Spec.MaintenanceWindow, now, update(r, first)...)
	}
	return open(first.Spec.MaintenanceWindow, now,
		step.ApplyGroupPending{Key: key}, event(g.Region, resource.SourceReplicationGroup, g.ID))
}

func cluster(r store.Reader, key string, now time.Time) ([]step.Step, time.Duration) {
	c, ok := resource.CacheClusters.Get(r, key)
	if ok && c.Spec.ReplicationGroupID != "" {
		return group(r, c.Region+"/"+c.Spec.ReplicationGroupID, now) // its window may be another one now
	}
	if !ok {
		return nil, 0
	}
	if c.Status.Available == nil || c.Status.ObservedGeneration < c.Generation || c.Spec.Deleting {
		return nil, 0
	}
	if c.Spec.Pending.IsZero() {
		return open(c.Spec.MaintenanceWindow, now, update(r, c)...)
	}
	return open(c.Spec.MaintenanceWindow, now,
		step.ApplyClusterPending{Key: key}, event(c.Region, resource.SourceCacheCluster, c.ID))
}

// open gives the steps while the window is open, and otherwise the time until it is.
func open(window string, now time.Time, steps ...step.Step) ([]step.Step, time.Duration) {
	w, ok := resource.ParseWindow(window)
	if !ok || len(steps) == 0 {
		return nil, 0
	}
	if wait := w.Until(now); wait > 0 {
		return nil, wait
	}
	return steps, 0
}

func event(region, source, id string) step.Step {
	return step.RecordEvent{
		Region: region, SourceType: source, SourceID: id,
		Message: "The maintenance window is open: applying pending modifications",
	}
}

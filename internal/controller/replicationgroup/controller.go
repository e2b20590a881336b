// Package replicationgroup makes replication groups true: it decides which
// member takes writes, owns the nodes of the members and their statuses, hands
// on the tokens, and replaces a primary that was lost.
package replicationgroup

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/controller/step"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// Config is what the controller needs.
type Config struct {
	Store   *store.Store
	Engines nodespec.Engines
	Prober  step.Prober
	Clock   core.Clock
	// NewUID gives ids that are unique over time.
	NewUID func() string
	Log    *slog.Logger
}

type controller struct{ Config }

// New makes the controller. Its keys are those of replication groups.
func New(c Config) reconcile.Controller {
	r := controller{c}
	return reconcile.Controller{
		Name:       "replication-group",
		Reconciler: r,
		Watches:    r.watches,
		Keys:       func(r store.Reader) []string { return resource.ReplicationGroups.Keys(r, "") },
		Resync:     time.Minute,
		Workers:    4,
	}
}

func (c controller) watches(change store.Change) (keys []string) {
	switch change.Table {
	case resource.ParameterGroups.Name():
		return c.groupsWith(func(cluster *resource.CacheCluster) bool {
			return cluster.Region+"/"+cluster.Spec.ParameterGroup == change.Key
		})
	case resource.Certificates.Name():
		c.Store.Local(func(r store.Reader) {
			for _, g := range resource.ReplicationGroups.List(r, "") {
				if g.Region+"/"+g.UID == change.Key {
					keys = append(keys, key(g))
				}
			}
		})
	default:
		return step.GroupsOf(c.Store, change)
	}
	return keys
}

// groupsWith are the keys of the groups with a member that matches.
func (c controller) groupsWith(match func(*resource.CacheCluster) bool) (keys []string) {
	c.Store.Local(func(r store.Reader) {
		for _, cluster := range resource.CacheClusters.List(r, "") {
			if cluster.Spec.ReplicationGroupID != "" && match(cluster) {
				keys = append(keys, cluster.Region+"/"+cluster.Spec.ReplicationGroupID)
			}
		}
	})
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Reconcile implements reconcile.Reconciler. Engines are asked between looking
// and acting; the plan is then made anew inside the transaction, from their
// answers and from what the store holds at that moment.
func (c controller) Reconcile(ctx context.Context, key string) (time.Duration, error) {
	now := c.Clock.Now()
	var leaving []string
	var first Decision
	c.Store.Local(func(r store.Reader) {
		leaving = leavingClusters(r, key)
		if w, ok := c.observe(r, key, leaving, now); ok {
			first = Plan(w)
		}
	})
	ask := first.Ask
	if len(first.Steps) == 0 && len(ask) == 0 {
		return first.Wait, nil
	}
	var answers step.Answers
	var offsets, memory map[string]int64
	if len(ask) > 0 {
		answers = step.Ask(ctx, c.Prober, c.Log, ask)
		offsets, memory = answers.Offsets(), answers.Memory()
	}
	return step.Pass(ctx, c.Store, c.Log, now, c.NewUID(), func(r store.Reader) ([]step.Step, time.Duration) {
		w, ok := c.observe(r, key, leaving, now)
		if !ok {
			return nil, 0
		}
		w.Offsets, w.Memory, w.Asked, w.Answers = offsets, memory, ask, answers
		d := Plan(w)
		if len(d.Ask) > 0 {
			d.Wait = nodespec.Sooner(d.Wait, step.AskAgain)
		}
		return d.Steps, d.Wait
	})
}

// leavingClusters are the keys of clusters that belonged to a group and are to
// be deleted.
func leavingClusters(r store.Reader, groupKey string) (keys []string) {
	g, ok := resource.ReplicationGroups.Get(r, groupKey)
	if !ok {
		return nil
	}
	for _, c := range resource.CacheClusters.List(r, g.Region+"/") {
		if c.Spec.ReplicationGroupID == g.ID && c.Spec.Deleting && !slices.Contains(g.Spec.Members, c.ID) {
			keys = append(keys, c.Region+"/"+c.ID)
		}
	}
	return keys
}

func (c controller) observe(r store.Reader, key string, leaving []string, now time.Time) (World, bool) {
	g, ok := resource.ReplicationGroups.Get(r, key)
	if !ok {
		return World{}, false
	}
	w := World{Group: g, Now: now}
	endpoints := g.Spec.Endpoints()
	for _, id := range g.Spec.Members {
		if m := step.ReadCluster(r, c.Engines, g.Region+"/"+id); m != nil {
			w.Members = append(w.Members, m)
			endpoints = append(endpoints, nodespec.ClusterEndpoints(m.Record)...)
		}
	}
	for _, k := range leaving {
		if m := step.ReadCluster(r, c.Engines, k); m != nil && m.Record.Spec.Deleting {
			w.Leaving = append(w.Leaving, m)
		}
	}
	w.Certified = step.Certified(r, g.Region, g.UID, g.Spec.TLS, endpoints)
	return w, true
}

// Package cachecluster makes clusters of their own true: Memcached clusters and
// single Redis nodes. Members of replication groups belong to package
// replicationgroup.
package cachecluster

import (
	"context"
	"log/slog"
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

// New makes the controller. Its keys are those of cache clusters.
func New(c Config) reconcile.Controller {
	r := controller{c}
	return reconcile.Controller{
		Name:       "cache-cluster",
		Reconciler: r,
		Watches:    r.watches,
		Keys:       r.keys,
		Resync:     time.Minute,
		Workers:    4,
	}
}

func (c controller) watches(change store.Change) []string {
	switch change.Table {
	case resource.CacheClusters.Name():
		return []string{change.Key}
	case resource.Nodes.Name():
		return []string{step.ClusterOfNode(change.Key)}
	case resource.ParameterGroups.Name():
		return c.find(func(cluster *resource.CacheCluster) bool {
			return cluster.Region+"/"+cluster.Spec.ParameterGroup == change.Key
		})
	case resource.Certificates.Name():
		return c.find(func(cluster *resource.CacheCluster) bool {
			return cluster.Region+"/"+cluster.UID == change.Key
		})
	}
	return nil
}

func (c controller) keys(r store.Reader) []string { return resource.CacheClusters.Keys(r, "") }

// find gives the keys of the clusters of their own that match.
func (c controller) find(match func(*resource.CacheCluster) bool) (keys []string) {
	c.Store.Local(func(r store.Reader) {
		for _, cluster := range resource.CacheClusters.List(r, "") {
			if cluster.Spec.ReplicationGroupID == "" && match(cluster) {
				keys = append(keys, cluster.Region+"/"+cluster.ID)
			}
		}
	})
	return keys
}

// Reconcile implements reconcile.Reconciler. Engines are asked between looking
// and acting.
func (c controller) Reconcile(ctx context.Context, key string) (time.Duration, error) {
	now := c.Clock.Now()
	var steps []step.Step
	var wait time.Duration
	var ask []string
	c.Store.Local(func(r store.Reader) {
		if w, ok := c.observe(r, key, now); ok {
			steps, wait, ask = Plan(w)
		}
	})
	if len(steps) == 0 && len(ask) == 0 {
		return wait, nil
	}
	var offsets, memory map[string]int64
	if len(ask) > 0 {
		answers := step.Ask(ctx, c.Prober, c.Log, ask)
		offsets, memory = answers.Offsets(), answers.Memory()
	}
	return step.Pass(ctx, c.Store, c.Log, now, c.NewUID(), func(r store.Reader) ([]step.Step, time.Duration) {
		w, ok := c.observe(r, key, now)
		if !ok {
			return nil, 0
		}
		w.Offsets, w.Memory = offsets, memory
		steps, wait, ask := Plan(w)
		if len(ask) > 0 {
			wait = nodespec.Sooner(wait, step.AskAgain)
		}
		return steps, wait
	})
}

func (c controller) observe(r store.Reader, key string, now time.Time) (World, bool) {
	record, ok := resource.CacheClusters.Get(r, key)
	if !ok || record.Spec.ReplicationGroupID != "" {
		return World{}, false
	}
	return World{
		Cluster:   step.ReadCluster(r, c.Engines, key),
		Certified: step.Certified(r, record.Region, record.UID, record.Spec.TLS, nodespec.ClusterEndpoints(record)),
		Now:       now,
	}, true
}

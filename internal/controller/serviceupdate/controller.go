// Package serviceupdate notices that the host has a newer program for nodes that
// run, and makes service updates of that. It starts nothing: that is up to who
// applies the update.
package serviceupdate

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/catalog"
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
	// Changed says that the host has other programs now.
	Changed <-chan struct{}
	Clock   core.Clock
	// NewUID gives ids that are unique over time.
	NewUID func() string
	Log    *slog.Logger
}

type controller struct{ Config }

// New makes the controller. Its keys are those of cache clusters.
func New(c Config) reconcile.Controller {
	return reconcile.Controller{
		Name:       "service-update",
		Reconciler: controller{c},
		Watches:    watches,
		Keys:       func(r store.Reader) []string { return resource.CacheClusters.Keys(r, "") },
		Resync:     time.Hour,
		Wake:       c.Changed,
		Workers:    1,
	}
}

func watches(change store.Change) []string {
	switch change.Table {
	case resource.CacheClusters.Name():
		return []string{change.Key}
	case resource.Nodes.Name():
		return []string{step.ClusterOfNode(change.Key)}
	}
	return nil
}

// Reconcile implements reconcile.Reconciler.
func (c controller) Reconcile(ctx context.Context, key string) (time.Duration, error) {
	now := c.Clock.Now()
	return step.Pass(ctx, c.Store, c.Log, now, c.NewUID(), func(r store.Reader) ([]step.Step, time.Duration) {
		return c.plan(r, key, now), 0
	})
}

func (c controller) plan(r store.Reader, key string, now time.Time) (plan []step.Step) {
	cluster, ok := resource.CacheClusters.Get(r, key)
	if !ok {
		return forget(r, key)
	}
	if s := cluster.Status; s.Engine != cluster.Spec.Engine || s.EngineVersion != cluster.Spec.EngineVersion {
		return nil // its nodes get another program for that
	}
	program := c.Engines.Program(cluster.Spec.Engine, cluster.Spec.EngineVersion)
	for _, n := range resource.Nodes.List(r, key+"/") {
		if _, successor := resource.SucceededID(n.ID); successor || cluster.Spec.Deleting || !older(n, program) {
			continue
		}
		a := resource.UpdateAction{
			Region: cluster.Region, Update: name(program), GroupID: cluster.Spec.ReplicationGroupID, Available: now,
		}
		if a.GroupID == "" {
			a.ClusterID = cluster.ID
		}
		if _, known := resource.UpdateActions.Get(r, resource.UpdateActionKey(a.Region, a.Update, a.GroupID, a.ClusterID)); known {
			continue
		}
		if _, known := resource.ServiceUpdates.Get(r, a.Region+"/"+a.Update); !known {
			plan = append(plan, step.OfferUpdate{Update: resource.ServiceUpdate{
				Region: a.Region, Name: a.Update, Engine: program.Engine, Version: program.Version, Released: now,
			}})
		}
		return append(plan, step.OfferAction{Action: a}, step.RecordEvent{
			Region: cluster.Region, SourceType: resource.SourceCacheCluster, SourceID: cluster.ID,
			Message: fmt.Sprintf("Service update is available for cache node %s.", n.ID),
		})
	}
	return nil
}

// older reports whether a node runs an older program than one that would be
// started now.
func older(n *resource.Node, program catalog.Binary) bool {
	return nodespec.Alive(n) && n.Status.BinaryVersion != "" && program.Version != "" &&
		catalog.Compare(n.Status.BinaryVersion, program.Version) < 0
}

// name is the update that brings a program.
func name(program catalog.Binary) string {
	return program.Engine + "-" + strings.ReplaceAll(program.Version, ".", "-")
}

// forget drops the actions for what is no more: for the cluster with a key, and for
// groups.
func forget(r store.Reader, key string) (plan []step.Step) {
	region, id, _ := strings.Cut(key, "/")
	for _, a := range resource.UpdateActions.List(r, region+"/") {
		gone := a.ClusterID == id
		if a.GroupID != "" {
			_, exists := resource.ReplicationGroups.Get(r, region+"/"+a.GroupID)
			gone = !exists
		}
		if gone {
			plan = append(plan, step.WithdrawAction{Key: resource.UpdateActionKey(a.Region, a.Update, a.GroupID, a.ClusterID)})
		}
	}
	return plan
}

// Package resharding moves slots, with their keys, between the shards of groups in
// cluster mode, a few at a time, until each shard has those that it is to have.
// How far that is, is in the store; in the middle of a slot it is in the engines.
package resharding

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/larder-cache/larder/internal/controller/step"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/store"
)

// Mover moves slots between engines; runtime.Runtime is one.
type Mover interface {
	step.Prober
	MoveSlots(ctx context.Context, m runtime.SlotMove) (moved core.Slots, err error)
}

// Config is what the controller needs.
type Config struct {
	Store *store.Store
	Mover Mover
	Clock core.Clock
	// NewUID gives ids that are unique over time.
	NewUID func() string
	Log    *slog.Logger
}

type controller struct{ Config }

// New makes the controller. Its keys are those of replication groups.
func New(c Config) reconcile.Controller {
	r := controller{c}
	return reconcile.Controller{
		Name:       "resharding",
		Reconciler: r,
		Watches:    func(change store.Change) []string { return step.GroupsOf(c.Store, change) },
		Keys:       func(r store.Reader) []string { return resource.ReplicationGroups.Keys(r, "") },
		Resync:     time.Minute,
		Workers:    2,
	}
}

// moveTimeout bounds one move: a batch of slots with large values takes long, and
// what was not moved is moved the next time.
const moveTimeout = 5 * time.Minute

// Reconcile implements reconcile.Reconciler.
func (c controller) Reconcile(ctx context.Context, key string) (time.Duration, error) {
	var w World
	var a Action
	c.Store.Local(func(r store.Reader) {
		if g, ok := resource.ReplicationGroups.Get(r, key); ok && !g.Spec.Deleting && g.Spec.Resharding != nil {
			w = observe(r, g)
			w.Now = c.Clock.Now()
			a = Plan(w)
		}
	})
	if len(a.Ask) > 0 {
		w.Memory = step.Ask(ctx, c.Mover, c.Log, a.Ask).Memory()
		a = Plan(w)
	}
	switch {
	case len(a.Moves) > 0:
		return 0, c.move(ctx, key, w, a.Moves)
	case a.Emptied:
		return linger, c.change(ctx, key, func(g *resource.ReplicationGroup) { g.Spec.Resharding.Emptied = &w.Now })
	case a.Refuse != "" || a.Finish:
		return 0, c.end(ctx, key, a)
	}
	return a.Wait, nil
}

// move makes moves side by side and records them. That the first began is recorded
// before, since then there is no way back.
func (c controller) move(ctx context.Context, key string, w World, moves []Move) error {
	if !w.Group.Spec.Resharding.Began {
		if err := c.change(ctx, key, func(g *resource.ReplicationGroup) { g.Spec.Resharding.Began = true }); err != nil {
			return err
		}
		c.Log.Info("slots begin to move", "group", key, "slots", w.Group.Spec.Resharding.Slots)
	}
	within, cancel := context.WithTimeout(ctx, moveTimeout)
	defer cancel()
	slots, errs := make([]core.Slots, len(moves)), make([]error, len(moves))
	var wg sync.WaitGroup
	for i, m := range moves {
		wg.Go(func() {
			request := runtime.SlotMove{From: w.Primaries[m.From].Key(), To: w.Primaries[m.To].Key(), Slots: m.Slots}
			if slots[i], errs[i] = c.Mover.MoveSlots(within, request); errs[i] != nil {
				errs[i] = fmt.Errorf("moving slots %s: %w", m, errs[i])
			}
		})
	}
	wg.Wait()
	recorded := c.change(ctx, key, func(g *resource.ReplicationGroup) {
		for i, m := range moves {
			g.Spec.Shards = moved(g.Spec.Shards, m, slots[i])
		}
	})
	return errors.Join(append(errs, recorded)...)
}

// change changes a group whose resharding goes on.
func (c controller) change(ctx context.Context, key string, fn func(*resource.ReplicationGroup)) error {
	return c.Store.Update(ctx, func(tx *store.Tx) error {
		g, ok := resource.ReplicationGroups.Get(tx, key)
		if ok && g.Spec.Resharding != nil {
			fn(g)
			resource.ReplicationGroups.Put(tx, key, g)
		}
		return nil
	})
}

// end ends the resharding: shards that are to go, go, unless it was refused.
func (c controller) end(ctx context.Context, key string, a Action) error {
	now, uid := c.Clock.Now(), c.NewUID()
	message := ""
	err := c.Store.Update(ctx, func(tx *store.Tx) error {
		g, ok := resource.ReplicationGroups.Get(tx, key)
		if !ok || g.Spec.Resharding == nil {
			return nil
		}
		message = "Resharding of replication group " + g.ID + " completed"
		if a.Refuse != "" {
			message = "Resharding of replication group " + g.ID + " was not carried out: " + a.Refuse
		} else {
			removeShards(tx, g)
		}
		g.Spec.Resharding = nil
		resource.ReplicationGroups.Put(tx, key, g)
		resource.RecordEvent(tx, resource.Event{
			Region: g.Region, UID: uid, Time: now, SourceType: resource.SourceReplicationGroup, SourceID: g.ID, Message: message,
		})
		return nil
	})
	if err == nil && message != "" {
		c.Log.Info(strings.ToLower(message[:1]) + message[1:])
	}
	return err
}

// removeShards takes the shards that are not in the target out of the group, and
// marks their members to be deleted.
func removeShards(tx *store.Tx, g *resource.ReplicationGroup) {
	var kept []resource.Shard
	g.Spec.Members = nil
	for _, sh := range g.Spec.Shards {
		if _, stays := g.Spec.Resharding.Wanted(sh.ID); stays {
			kept = append(kept, sh)
			g.Spec.Members = append(g.Spec.Members, sh.Members...)
			continue
		}
		for _, id := range sh.Members {
			if c, ok := resource.CacheClusters.Get(tx, g.Region+"/"+id); ok {
				c.Spec.Deleting = true
				c.Generation++
				resource.CacheClusters.Put(tx, g.Region+"/"+id, c)
			}
		}
	}
	g.Spec.Shards = kept
}

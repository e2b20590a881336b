package host

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/store"
)

const (
	// batch bounds how many nodes one transaction writes; servers limit it.
	batch = 50
	// recordPause is the wait before reports that could not be written are
	// written again.
	recordPause = 100 * time.Millisecond
)

// Follow writes the runtime's reports to the nodes until ctx ends or the runtime
// is closed. A report that cannot be written is kept and superseded only by a
// newer one of the same node.
func (h *Host) Follow(ctx context.Context) error {
	pending := map[string]runtime.Report{}
	var again <-chan time.Time
	for {
		select {
		case reports, ok := <-h.Runtime.Reports():
			if !ok {
				return nil
			}
			for _, r := range reports {
				pending[r.ID] = r
			}
		case <-again:
		case <-ctx.Done():
			return nil
		}
		again = nil
		if err := h.flush(ctx, pending); err != nil {
			h.Log.Warn("reports cannot be recorded, trying again", "reports", len(pending), "error", err)
			again = h.Clock.After(recordPause)
		}
	}
}

// flush records pending reports and forgets those that were.
func (h *Host) flush(ctx context.Context, pending map[string]runtime.Report) error {
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(pending)), batch) {
		reports := make([]runtime.Report, len(ids))
		for i, id := range ids {
			reports[i] = pending[id]
		}
		if err := h.Record(ctx, reports); err != nil {
			return err
		}
		for _, id := range ids {
			delete(pending, id)
		}
	}
	return nil
}

// Record writes the statuses that follow from reports, if they are news.
func (h *Host) Record(ctx context.Context, reports []runtime.Report) error {
	now := h.Clock.Now()
	var news []*resource.Node
	var instances []*resource.Instance
	err := h.Store.Update(ctx, func(tx *store.Tx) error {
		news = news[:0]
		for _, r := range reports {
			n, ok := resource.Nodes.Get(tx, r.ID)
			if !ok {
				continue
			}
			status := next(n, r, now)
			if equal(n.Status, status) {
				continue
			}
			n.Status = status
			resource.Nodes.Put(tx, r.ID, n)
			news = append(news, n)
		}
		instances = recordInstances(tx, reports)
		return nil
	})
	if err != nil {
		return err
	}
	for _, n := range news {
		h.Log.Info("node "+n.Key(), "phase", n.Status.Phase, "incarnation", n.Status.Incarnation,
			"generation", n.Status.Generation, "pid", n.Status.PID, "role", n.Status.Role,
			"link", n.Status.LinkUp, "message", n.Status.Message)
	}
	h.logInstances(ctx, instances)
	return nil
}

// next is the status that follows from a report. The end of a node counts only
// for one that shall go, and of the others the latest incarnation: a report may be
// about an earlier node under the same key.
func next(n *resource.Node, r runtime.Report, now time.Time) resource.NodeStatus {
	gone := r.Phase == resource.NodeGone
	if gone && !n.Spec.Deleted || !gone && r.Incarnation < n.Status.Incarnation {
		return n.Status
	}
	s := resource.NodeStatus{
		Phase: r.Phase, Incarnation: r.Incarnation, Generation: r.Generation, PID: r.PID,
		Binary: r.Binary, BinaryVersion: r.BinaryVersion, Role: r.Role, LinkUp: r.LinkUp, Lagging: r.Lagging, Mute: r.Mute,
		LoginServed: r.LoginServed, MaxClients: r.MaxClients, Message: r.Message,
	}
	same := n.Status.Incarnation == r.Incarnation
	switch {
	case !r.Started.IsZero():
		s.Started = core.Ptr(r.Started.UTC().Round(0))
	case same:
		s.Started = n.Status.Started
	}
	s.Filled = same && n.Status.Filled || r.Phase == resource.NodeRunning && (r.LinkUp || r.Role == "master")
	if r.Phase == resource.NodeExited {
		s.Ended = &now
		if n.Status.Phase == resource.NodeExited && same {
			s.Ended = n.Status.Ended
		}
	}
	return s
}

func equal(a, b resource.NodeStatus) bool {
	if !equalTime(a.Started, b.Started) || !equalTime(a.Ended, b.Ended) {
		return false
	}
	a.Started, a.Ended, b.Started, b.Ended = nil, nil, nil, nil
	return a == b
}

func equalTime(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}

// Package host connects the store with the runtime of this host: it hands the
// runtime the whole desired document whenever something in it changes, and
// writes what the runtime reports to the nodes' statuses.
package host

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/seal"
	"github.com/larder-cache/larder/internal/store"
)

// Config is what a Host needs.
type Config struct {
	Store   *store.Store
	Seal    *seal.Ring
	Runtime runtime.Runtime
	Clock   core.Clock
	Log     *slog.Logger
}

// Host is the one link between the store and a runtime.
type Host struct {
	Config
	// applied is the document in force, and since when there has been one. Only
	// Reconcile, which never runs twice at once, uses these.
	applied *runtime.Document
	since   time.Time
	// secrets are those of the document in force.
	secrets *memory

	mu sync.Mutex
	// known are the nodes that the runtime has heard of since it was made, by key.
	known map[string]bool
}

// New makes the link. Its Controller and Follow are to be run once each.
func New(c Config) *Host {
	return &Host{Config: c, secrets: newMemory(c.Seal), known: map[string]bool{}}
}

// theHost is the only key.
const theHost = "host"

// Controller hands documents to the runtime.
func (h *Host) Controller() reconcile.Controller {
	return reconcile.Controller{
		Name:       theHost,
		Reconciler: h,
		Watches:    watches,
		Keys:       func(store.Reader) []string { return []string{theHost} },
		Resync:     time.Minute,
		Workers:    1,
	}
}

func watches(c store.Change) []string {
	switch c.Table {
	case resource.Nodes.Name(), resource.CacheClusters.Name(), resource.ReplicationGroups.Name(), resource.Certificates.Name():
		return []string{theHost}
	}
	return nil
}

// Reconcile implements reconcile.Reconciler.
func (h *Host) Reconcile(ctx context.Context, _ string) (time.Duration, error) {
	var doc *runtime.Document
	var leaving []*resource.Node
	var err error
	h.Store.Local(func(r store.Reader) {
		doc, err = Compose(r, h.secrets)
		for _, n := range resource.Nodes.List(r, "") {
			if n.Spec.Deleted && n.Status.Phase != resource.NodeGone {
				leaving = append(leaving, n)
			}
		}
	})
	h.secrets.turn()
	if err != nil {
		return 0, fmt.Errorf("composing the document: %w", err)
	}
	if err := h.apply(ctx, doc); err != nil {
		return 0, err
	}
	return h.missed(ctx, leaving)
}

// apply hands a document to the runtime unless it has it. Revisions are times,
// so that they grow over restarts too.
func (h *Host) apply(ctx context.Context, doc *runtime.Document) error {
	now := h.Clock.Now()
	doc.Revision = now.UnixNano()
	if h.applied != nil {
		revision := max(doc.Revision, h.applied.Revision+1)
		doc.Revision = h.applied.Revision
		if reflect.DeepEqual(doc, h.applied) {
			return nil
		}
		doc.Revision = revision
	}
	h.know(doc.Nodes)
	if err := h.Runtime.Apply(ctx, doc); err != nil {
		return fmt.Errorf("applying document %d: %w", doc.Revision, err)
	}
	if h.applied == nil {
		h.since = now
	}
	h.applied = doc
	return nil
}

func (h *Host) know(nodes []runtime.Node) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range nodes {
		h.known[n.ID] = true
	}
}

// goneAfter is how long a runtime may take to report what it found when it
// began.
const goneAfter = 10 * time.Second

// missed closes a gap: a deleted node whose end was reported, but not recorded
// before a restart, is never reported again. What the runtime has not heard of a
// while after it began is gone.
func (h *Host) missed(ctx context.Context, leaving []*resource.Node) (time.Duration, error) {
	var gone []runtime.Report
	h.mu.Lock()
	for _, n := range leaving {
		if !h.known[n.Key()] {
			gone = append(gone, runtime.Report{ID: n.Key(), Incarnation: n.Status.Incarnation, Phase: resource.NodeGone})
		}
	}
	h.mu.Unlock()
	if len(gone) == 0 {
		return 0, nil
	}
	if wait := goneAfter - h.Clock.Now().Sub(h.since); wait > 0 {
		return wait, nil
	}
	return 0, h.Record(ctx, gone)
}

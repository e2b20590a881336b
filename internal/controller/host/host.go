// Package host connects the store with the runtime of this host: it hands the
// runtime the whole desired document whenever something in it changes, and
// writes what the runtime reports to the nodes' statuses.
package host

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
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
	// applied is the document in force, secrets are those in it. Only Reconcile,
	// which never runs twice at once, uses them and what follows.
	applied *runtime.Document
	secrets *memory
	// settleWait is the latest pause between two looks at what is in force.
	settleWait time.Duration
}

// New makes the link. Its Controller and Follow are to be run once each.
func New(c Config) *Host {
	return &Host{Config: c, secrets: newMemory(c.Seal)}
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
	case resource.Nodes.Name(), resource.CacheClusters.Name(), resource.ReplicationGroups.Name(), resource.Certificates.Name(),
		resource.VPCs.Name(), resource.SecurityGroups.Name(), resource.Attachments.Name(), resource.CacheSecurityGroups.Name(),
		resource.Publications.Name(), resource.Instances.Name():
		return []string{theHost}
	}
	return nil
}

// Reconcile implements reconcile.Reconciler.
func (h *Host) Reconcile(ctx context.Context, _ string) (time.Duration, error) {
	var doc *runtime.Document
	var err error
	var waiting []*resource.CacheSecurityGroup
	h.Store.Local(func(r store.Reader) {
		doc, err = Compose(r, h.secrets)
		waiting = unsettled(r)
	})
	h.secrets.turn()
	if err != nil {
		return 0, fmt.Errorf("composing the document: %w", err)
	}
	if err := h.apply(ctx, doc); err != nil {
		return 0, err
	}
	return h.settle(ctx, waiting)
}

// apply hands a document to the runtime unless it has it. Revisions are times,
// so that they grow over restarts too.
func (h *Host) apply(ctx context.Context, doc *runtime.Document) error {
	if h.applied != nil {
		doc.Revision = h.applied.Revision
		if reflect.DeepEqual(doc, h.applied) {
			return nil
		}
	}
	doc.Revision = max(h.Clock.Now().UnixNano(), doc.Revision+1)
	if err := h.Runtime.Apply(ctx, doc); err != nil {
		return fmt.Errorf("applying document %d: %w", doc.Revision, err)
	}
	h.applied = doc
	return nil
}

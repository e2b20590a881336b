// Package attachment keeps the host an instance of the default VPC of its region, and
// of no VPC that is gone.
package attachment

import (
	"context"
	"time"

	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/topology"
)

// Config is what the controller needs.
type Config struct {
	Store *store.Store
	// Region is where the host is.
	Region string
}

type controller struct{ Config }

// theHost is the only key.
const theHost = "host"

// New makes the controller. Every change of a VPC wakes it.
func New(c Config) reconcile.Controller {
	return reconcile.Controller{
		Name:       "attachment",
		Reconciler: controller{c},
		Watches: func(c store.Change) []string {
			if c.Table == resource.VPCs.Name() {
				return []string{theHost}
			}
			return nil
		},
		Keys:    func(store.Reader) []string { return []string{theHost} },
		Resync:  time.Hour,
		Workers: 1,
	}
}

// Reconcile implements reconcile.Reconciler.
func (c controller) Reconcile(ctx context.Context, _ string) (time.Duration, error) {
	return 0, c.Store.Update(ctx, func(tx *store.Tx) error { return topology.AttachByDefault(tx, c.Region) })
}

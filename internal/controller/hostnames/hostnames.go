// Package hostnames keeps the names of endpoints in the host's hosts file, if that was
// asked for, and takes them out again.
package hostnames

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/topology"
)

// Config is what the controller needs.
type Config struct {
	Store *store.Store
	// Block is the part of the file at a path that is Larder's.
	Block func(path string) Block
}

// Block is a part of a file: Put makes it hold lines, Remove takes it out. Both may be
// repeated, and leave the rest of the file alone.
type Block interface {
	Put(lines []byte) error
	Remove() error
}

type controller struct{ Config }

// New makes the controller. Every change of a cache wakes it.
func New(c Config) reconcile.Controller {
	watched := []string{resource.HostResolvers.Name(), resource.CacheClusters.Name(), resource.ReplicationGroups.Name()}
	return reconcile.Controller{
		Name:       "host-names",
		Reconciler: controller{c},
		Watches: func(c store.Change) []string {
			if slices.Contains(watched, c.Table) {
				return []string{resource.HostResolverKey}
			}
			return nil
		},
		Keys:    func(store.Reader) []string { return []string{resource.HostResolverKey} },
		Resync:  time.Minute, // somebody may have edited the file
		Workers: 1,
	}
}

// Reconcile implements reconcile.Reconciler.
func (c controller) Reconcile(ctx context.Context, key string) (time.Duration, error) {
	var was *resource.HostResolver
	var lines []byte
	c.Store.Local(func(r store.Reader) {
		if h, ok := resource.HostResolvers.Get(r, key); ok && h.Via == resource.ViaHosts {
			was, lines = h, linesOf(r)
		}
	})
	if was == nil {
		return 0, nil
	}
	block := c.Block(was.Path)
	put := func() error { return block.Put(lines) }
	if was.Removing {
		put = block.Remove
	}
	failure := put()
	return 0, cmp.Or(failure, c.note(ctx, key, *was, failure))
}

// note writes down what came of it, unless something else has been asked for since.
func (c controller) note(ctx context.Context, key string, was resource.HostResolver, failure error) error {
	will := was
	will.Ready, will.Trouble = failure == nil, ""
	if failure != nil {
		will.Trouble = failure.Error()
	}
	if will == was && !was.Removing {
		return nil
	}
	return c.Store.Update(ctx, func(tx *store.Tx) error {
		now, ok := resource.HostResolvers.Get(tx, key)
		switch {
		case !ok || *now != was:
		case was.Removing && failure == nil:
			resource.HostResolvers.Delete(tx, key)
		case will != was:
			resource.HostResolvers.Put(tx, key, &will)
		}
		return nil
	})
}

// linesOf are the lines of the hosts file, sorted by name.
func linesOf(r store.Reader) []byte {
	names := topology.Names(r)
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(names)) {
		fmt.Fprintf(&b, "%s\t%s\n", names[name], name)
	}
	return b.Bytes()
}

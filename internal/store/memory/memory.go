// Package memory is the store.Backend that forgets everything with the process:
// for tests and for throw-away servers.
package memory

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/larder-cache/larder/internal/store"
)

// history is how many commits a watcher may lag behind before it has to reload.
const history = 4096

// Backend implements store.Backend.
type Backend struct {
	*store.Election

	mu       sync.Mutex
	rev      store.Revision
	records  map[string]store.Record
	log      []store.Batch // the latest commits, in order
	forgot   store.Revision
	advanced chan struct{} // closed by the next commit
}

// New makes an empty backend.
func New() *Backend {
	return &Backend{
		Election: store.NewElection(),
		records:  map[string]store.Record{},
		advanced: make(chan struct{}),
	}
}

// Head implements store.Backend.
func (b *Backend) Head(context.Context) (store.Revision, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rev, nil
}

// Load implements store.Backend.
func (b *Backend) Load(context.Context) ([]store.Record, store.Revision, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]store.Record, 0, len(b.records))
	for _, r := range b.records {
		out = append(out, r)
	}
	slices.SortFunc(out, func(x, y store.Record) int { return strings.Compare(x.Key, y.Key) })
	return out, b.rev, nil
}

// Commit implements store.Backend.
func (b *Backend) Commit(_ context.Context, txn store.Txn) (store.Revision, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range txn.Conditions {
		if !b.holds(c) {
			return b.rev, false, nil
		}
	}
	b.rev++
	for _, w := range txn.Writes {
		if w.Delete {
			delete(b.records, w.Key)
		} else {
			b.records[w.Key] = store.Record{Key: w.Key, Value: w.Value, Mod: b.rev}
		}
	}
	b.log = append(b.log, store.Batch{Revision: b.rev, Writes: txn.Writes})
	if len(b.log) > 2*history {
		b.forget(history)
	}
	close(b.advanced)
	b.advanced = make(chan struct{})
	return b.rev, true, nil
}

func (b *Backend) holds(c store.Condition) bool {
	if !c.Prefix {
		return b.records[c.Key].Mod == c.Mod
	}
	for key, r := range b.records {
		if r.Mod > c.Mod && strings.HasPrefix(key, c.Key) {
			return false
		}
	}
	return true
}

// Compact forgets the history of commits, as a backend does in time: watchers
// that lag behind have to load everything anew.
func (b *Backend) Compact() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(0)
}

// forget keeps only the latest commits.
func (b *Backend) forget(keep int) {
	b.log = slices.Clone(b.log[len(b.log)-keep:])
	b.forgot = b.rev - store.Revision(keep)
}

// Watch implements store.Backend.
func (b *Backend) Watch(ctx context.Context, after store.Revision, take func(store.Batch)) error {
	for {
		b.mu.Lock()
		if after < b.forgot {
			b.mu.Unlock()
			return store.ErrCompacted
		}
		next, advanced := b.log[after-b.forgot:], b.advanced
		b.mu.Unlock()
		for _, batch := range next {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			take(batch)
			after = batch.Revision
		}
		if len(next) > 0 {
			continue
		}
		select {
		case <-advanced:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close implements store.Backend.
func (b *Backend) Close() error { return nil }

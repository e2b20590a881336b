package controllertest

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/seal"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/storetest"
)

// Loop runs controllers by hand, one pass at a time and in an order that the
// test knows, until nothing changes any more.
type Loop struct {
	Store   *store.Store
	Runtime *Runtime
	Clock   *Clock
	Log     *slog.Logger
	Seal    *seal.Ring
	// Controllers are asked in this order.
	Controllers []reconcile.Controller
	// Record writes the reports of the runtime.
	Record func(context.Context, []runtime.Report) error

	commits atomic.Int64
}

// NewLoop makes a loop with an empty store, without controllers yet.
func NewLoop(t testing.TB, auto bool) *Loop {
	clock := NewClock()
	l := &Loop{
		Store: storetest.New(t), Clock: clock, Runtime: NewRuntime(clock, auto),
		Seal: seal.NewTest(),
		Log:  slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	t.Cleanup(l.Store.Notify(func([]store.Change) { l.commits.Add(1) }))
	return l
}

// Pass runs one controller once over one key.
func (l *Loop) Pass(t testing.TB, c reconcile.Controller, key string) time.Duration {
	t.Helper()
	wait, err := c.Reconciler.Reconcile(t.Context(), key)
	if err != nil {
		t.Fatalf("%s %s: %v", c.Name, key, err)
	}
	return wait
}

// Keys are a controller's keys.
func (l *Loop) Keys(c reconcile.Controller) (keys []string) {
	l.Store.Local(func(r store.Reader) { keys = c.Keys(r) })
	return keys
}

// Deliver records what the runtime has reported.
func (l *Loop) Deliver(t testing.TB) {
	t.Helper()
	select {
	case reports := <-l.Runtime.Reports():
		if err := l.Record(t.Context(), reports); err != nil {
			t.Fatal(err)
		}
	default:
	}
}

// settleRounds bounds how many rounds a world may take to come to rest.
const settleRounds = 200

// Settle runs all controllers over all keys until nothing is stored any more. It
// returns the waits that were asked for in the last round, sorted.
func (l *Loop) Settle(t testing.TB) (waits []time.Duration) {
	t.Helper()
	for range settleRounds {
		before := l.commits.Load()
		waits = nil
		for _, c := range l.Controllers {
			for _, key := range l.Keys(c) {
				if wait := l.Pass(t, c, key); wait > 0 {
					waits = append(waits, wait)
				}
			}
		}
		moved := false
		if !l.Runtime.Auto {
			for _, node := range l.Runtime.Nodes() {
				moved = l.Runtime.Step(node) || moved
			}
		}
		l.Deliver(t)
		if !moved && l.commits.Load() == before {
			slices.Sort(waits)
			return waits
		}
	}
	t.Fatal("the world does not come to rest")
	return nil
}

// Update stores what fn writes.
func (l *Loop) Update(t testing.TB, fn func(tx *store.Tx)) {
	t.Helper()
	Update(t, l.Store, fn)
}

// Token is the credential of a token.
func (l *Loop) Token(t testing.TB, value string) resource.Credential {
	t.Helper()
	sealed, err := l.Seal.Seal(core.NewSecret(core.NewSecret(value).SHA256()))
	if err != nil {
		t.Fatal(err)
	}
	return resource.Credential{Digest: sealed}
}

package controllertest

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
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
// test knows, until nothing changes any more. As in production a controller looks
// at a key when it is woken, not because time went by.
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

	mu      sync.Mutex
	commits int
	// woken are the keys to look at, by controller; nil before the first Settle.
	woken map[string]map[string]bool
	// waiting are the keys to look at when time has gone by.
	waiting map[string]map[string]time.Duration
}

// NewLoop makes a loop with an empty store, without controllers yet.
func NewLoop(t testing.TB, auto bool) *Loop {
	clock := NewClock()
	l := &Loop{
		Store: storetest.New(t), Clock: clock, Runtime: NewRuntime(clock, auto),
		Seal: seal.NewTest(),
		Log:  slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	t.Cleanup(l.Store.Notify(l.notice))
	return l
}

// notice wakes the controllers that watch what has changed.
func (l *Loop) notice(changes []store.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.commits++
	if l.woken == nil {
		return
	}
	for _, c := range l.Controllers {
		for _, change := range changes {
			for _, key := range c.Watches(change) {
				l.woken[c.Name][key] = true
			}
		}
	}
}

// start wakes everything the first time, later what waits for time to go by.
func (l *Loop) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.woken == nil
	if first {
		l.woken, l.waiting = map[string]map[string]bool{}, map[string]map[string]time.Duration{}
	}
	for _, c := range l.Controllers {
		if first {
			l.woken[c.Name], l.waiting[c.Name] = map[string]bool{}, map[string]time.Duration{}
			for _, key := range l.Keys(c) {
				l.woken[c.Name][key] = true
			}
		}
		for key := range l.waiting[c.Name] {
			l.woken[c.Name][key] = true
		}
	}
}

// take empties the queue of a controller.
func (l *Loop) take(c reconcile.Controller) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	keys := slices.Sorted(maps.Keys(l.woken[c.Name]))
	clear(l.woken[c.Name])
	return keys
}

func (l *Loop) committed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.commits
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

// Round runs every controller once over each of its keys and records what the runtime
// has reported.
func (l *Loop) Round(t testing.TB) {
	t.Helper()
	for _, c := range l.Controllers {
		for _, key := range l.Keys(c) {
			l.Pass(t, c, key)
		}
	}
	l.Deliver(t)
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

// Settle runs the controllers over the keys that are woken until there are none.
// It returns the waits that are left, sorted. A controller that would still do
// something, had anybody woken it, fails the test.
func (l *Loop) Settle(t testing.TB) (waits []time.Duration) {
	t.Helper()
	l.start()
	for range settleRounds {
		if !l.round(t) {
			for _, waiting := range l.waiting {
				waits = slices.AppendSeq(waits, maps.Values(waiting))
			}
			slices.Sort(waits)
			l.checkRest(t)
			return waits
		}
	}
	t.Fatal("the world does not come to rest")
	return nil
}

// round lets everything happen that is due. It reports whether that was anything.
func (l *Loop) round(t testing.TB) bool {
	t.Helper()
	before, moved := l.committed(), false
	for _, c := range l.Controllers {
		for _, key := range l.take(c) {
			moved = true
			delete(l.waiting[c.Name], key)
			if wait := l.Pass(t, c, key); wait > 0 {
				l.waiting[c.Name][key] = wait
			}
		}
	}
	if !l.Runtime.Auto {
		for _, node := range l.Runtime.Nodes() {
			moved = l.Runtime.Step(node) || moved
		}
	}
	l.Deliver(t)
	return moved || l.committed() != before
}

// checkRest looks at everything once more, as a controller does now and then.
func (l *Loop) checkRest(t testing.TB) {
	t.Helper()
	for _, c := range l.Controllers {
		for _, key := range l.Keys(c) {
			before := l.committed()
			l.Pass(t, c, key)
			if l.committed() != before {
				t.Errorf("nobody woke %s for %s", c.Name, key)
			}
		}
	}
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

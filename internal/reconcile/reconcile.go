// Package reconcile runs controllers: each has a queue of keys that changed, and
// works on a key by looking at the world anew. A key is never worked on twice at
// once; changes while it is worked on cause one more run.
package reconcile

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/store"
)

// campaignPause is how long a server that could not stand for leader waits.
const campaignPause = time.Second

// Reconciler moves the world of one key a step towards what is wanted.
type Reconciler interface {
	// Reconcile looks at what is and what should be and acts on the difference.
	// It may run at any time and must be safe to run twice. It runs again after
	// requeueAfter unless that is zero; after an error, with growing pauses; and
	// at once when the key changes. ctx ends when the server stops or no longer
	// leads.
	Reconcile(ctx context.Context, key string) (requeueAfter time.Duration, err error)
}

// Controller says what wakes a Reconciler.
type Controller struct {
	Name       string
	Reconciler Reconciler
	// Watches names the keys to look at after a change. It must not block.
	Watches func(c store.Change) []string
	// Keys are all keys, which are looked at when the controller starts and at
	// each Resync. nil: none.
	Keys func(r store.Reader) []string
	// Resync is the period after which all keys are looked at again; 0: never.
	Resync time.Duration
	// Wake has all keys looked at again whenever something comes; nil: never.
	Wake <-chan struct{}
	// Workers is how many keys are worked on at once; at least one.
	Workers int
	// OnError, if set, is called after each run that failed.
	OnError func(ctx context.Context, key string, err error)
}

// Run runs the controllers while this server leads all that share the store, and
// stands for leader again when it was lost. It returns when ctx has ended and
// every run with it; the error is nil then.
func Run(ctx context.Context, st *store.Store, clock core.Clock, log *slog.Logger, cs ...Controller) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("reconcile: naming this server: %w", err)
	}
	id := fmt.Sprintf("%s/%d", host, os.Getpid())
	for {
		lost, resign, err := st.Campaign(ctx, id)
		if ctx.Err() != nil {
			if err == nil {
				resign()
			}
			return nil
		}
		if err != nil {
			log.Warn("reconcile: cannot stand for leader", "error", err)
			select {
			case <-clock.After(campaignPause):
			case <-ctx.Done():
			}
			continue
		}
		log.Debug("reconcile: leading", "server", id)
		lead(ctx, lost, st, clock, log, cs)
		resign()
	}
}

// lead runs the controllers until leadership is lost or ctx ends.
func lead(ctx context.Context, lost <-chan struct{}, st *store.Store, clock core.Clock, log *slog.Logger, cs []Controller) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, c := range cs {
		r := &runner{Controller: c, st: st, clock: clock, log: log.With("controller", c.Name)}
		wg.Go(func() { r.run(ctx) })
	}
	select {
	case <-lost:
		log.Warn("reconcile: leadership was lost")
		cancel()
	case <-ctx.Done():
	}
}

// runner is a controller at work.
type runner struct {
	Controller
	st    *store.Store
	clock core.Clock
	log   *slog.Logger
	queue *queue
}

func (r *runner) run(ctx context.Context) {
	r.queue = newQueue(r.clock)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer r.queue.close()
	// Subscribe before listing: what is not in the list yet will be notified.
	defer r.st.Notify(r.notice)()
	r.addAll()
	for range max(r.Workers, 1) {
		wg.Go(func() { r.work(ctx) })
	}
	r.resync(ctx)
}

// notice queues what a commit touched.
func (r *runner) notice(changes []store.Change) {
	if r.Watches == nil {
		return
	}
	err := guard(func() error {
		for _, c := range changes {
			for _, key := range r.Watches(c) {
				r.queue.add(key)
			}
		}
		return nil
	})
	if err != nil {
		r.log.Error("reconcile: cannot tell which keys to look at", "error", err)
	}
}

func (r *runner) addAll() {
	if r.Keys == nil {
		return
	}
	var keys []string
	err := guard(func() error {
		r.st.Local(func(reader store.Reader) { keys = r.Keys(reader) })
		return nil
	})
	if err != nil {
		r.log.Error("reconcile: cannot list the keys", "error", err)
	}
	for _, key := range keys {
		r.queue.add(key)
	}
}

func (r *runner) resync(ctx context.Context) {
	var tick <-chan time.Time // nil blocks for ever
	for {
		if r.Resync > 0 {
			tick = r.clock.After(r.Resync)
		}
		select {
		case <-tick:
			r.addAll()
		case <-r.Wake:
			r.addAll()
		case <-ctx.Done():
			return
		}
	}
}

func (r *runner) work(ctx context.Context) {
	for {
		key, ok := r.queue.next()
		if !ok {
			return
		}
		var after time.Duration
		err := guard(func() (err error) {
			after, err = r.Reconciler.Reconcile(ctx, key)
			return err
		})
		if ctx.Err() != nil {
			return // what a run says that was cut short means nothing
		}
		if err != nil {
			r.report(ctx, key, err)
			r.queue.retry(key)
			continue
		}
		r.queue.done(key, after)
	}
}

func (r *runner) report(ctx context.Context, key string, err error) {
	r.log.Warn("reconcile: run failed", "key", key, "error", err)
	if r.OnError == nil {
		return
	}
	if err := guard(func() error { r.OnError(ctx, key, err); return nil }); err != nil {
		r.log.Error("reconcile: recording the failure failed", "key", key, "error", err)
	}
}

// guard makes an error of a panic: one broken key must not stop the others.
func guard(fn func() error) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case error:
			err = fmt.Errorf("panic: %w\n%s", p, debug.Stack())
		default:
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return fn()
}

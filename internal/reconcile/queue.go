package reconcile

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/larder-cache/larder/internal/core"
)

// Pauses after failures of the same key double from the first to the last.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 30 * time.Second
)

// queue hands out keys, each to one worker at a time, in the order they came.
type queue struct {
	clock core.Clock

	mu     sync.Mutex
	filled *sync.Cond // a key is ready, or the queue is closed
	ready  []string
	items  map[string]*item
	closed bool
	ended  chan struct{} // closed by close
}

// item is what is known of a key that is waiting, running or failing.
type item struct {
	queued  bool
	running bool
	again   bool // added while running
	// failures in a row.
	failures int
	// cancel ends the pause that the key is in; nil: none.
	cancel chan struct{}
}

func newQueue(clock core.Clock) *queue {
	q := &queue{clock: clock, items: map[string]*item{}, ended: make(chan struct{})}
	q.filled = sync.NewCond(&q.mu)
	return q
}

// add makes a key ready at once. A key that is ready already is not added again,
// one that is running will run once more.
func (q *queue) add(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.push(key)
}

func (q *queue) push(key string) {
	it := q.items[key]
	if it == nil {
		it = &item{}
		q.items[key] = it
	}
	if it.cancel != nil {
		close(it.cancel)
		it.cancel = nil
	}
	switch {
	case it.running:
		it.again = true
	case !it.queued:
		it.queued = true
		q.ready = append(q.ready, key)
		q.filled.Signal()
	}
}

// next waits for a key to work on; it must be followed by done or retry. false:
// the queue is closed.
func (q *queue) next() (string, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ready) == 0 && !q.closed {
		q.filled.Wait()
	}
	if q.closed {
		return "", false
	}
	key := q.ready[0]
	q.ready = q.ready[1:]
	it := q.items[key]
	it.queued, it.running = false, true
	return key, true
}

// done ends a run that went well; the key comes again after a while if that is
// positive.
func (q *queue) done(key string, after time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items[key].failures = 0
	q.finish(key, after)
}

// retry ends a run that failed; the key comes again after a pause.
func (q *queue) retry(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.items[key]
	it.failures++
	q.finish(key, pause(it.failures))
}

func (q *queue) finish(key string, after time.Duration) {
	it := q.items[key]
	it.running = false
	switch {
	case it.again:
		it.again = false
		q.push(key)
	case after > 0:
		it.cancel = make(chan struct{})
		go q.later(key, it.cancel, q.clock.After(after))
	case it.failures == 0:
		delete(q.items, key)
	}
}

// later adds a key when its time has come, unless it came earlier.
func (q *queue) later(key string, cancel <-chan struct{}, due <-chan time.Time) {
	select {
	case <-due:
	case <-cancel:
		return
	case <-q.ended:
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-cancel: // it was added while we waited for the lock
	default:
		q.push(key)
	}
}

// close makes every next return false.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	close(q.ended)
	q.filled.Broadcast()
}

// pause is how long to wait after so many failures: doubling, less up to a
// quarter by chance, so that keys that failed together do not return together.
func pause(failures int) time.Duration {
	d := firstPause
	for range failures - 1 {
		d = min(2*d, lastPause)
		if d == lastPause {
			break
		}
	}
	return d - rand.N(d/4)
}

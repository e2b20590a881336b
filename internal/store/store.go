// Package store keeps the state of a deployment: typed tables of JSON records
// behind a narrow Backend (etcd in production, memory in tests).
//
// Reads come from a view in memory that follows the backend's watch, and wait
// until the view has reached the backend's head: every read sees every write
// that was answered before, whichever server made it. Writes are optimistic
// transactions, serializable over all they read.
package store

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// maxAttempts bounds how often an Update runs again after conflicts.
const maxAttempts = 50

// Store is the typed, watched state. Its methods may be called from any
// goroutine.
type Store struct {
	backend Backend
	log     *slog.Logger

	mu       sync.Mutex
	view     *snapshot
	told     Revision      // of the latest view whose changes all watchers know
	advanced chan struct{} // closed when told grows
	watchers map[int]func([]Change)
	nextID   int

	stop context.CancelFunc
	done chan struct{} // closed when the watch is no longer followed
}

// Change names a record that a commit wrote or removed.
type Change struct {
	Table, Key string
	Deleted    bool
}

// Open loads the view and follows the backend until Close, which closes the
// backend too. On an error the backend stays the caller's to close. ctx bounds
// the opening only.
func Open(ctx context.Context, b Backend, log *slog.Logger) (*Store, error) {
	return open(ctx, b, log, upgrades)
}

func open(ctx context.Context, b Backend, log *slog.Logger, steps []upgrade) (*Store, error) {
	records, rev, err := b.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: loading: %w", err)
	}
	following, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Store{
		backend:  b,
		log:      log,
		view:     newSnapshot(records, rev),
		told:     rev,
		advanced: make(chan struct{}),
		watchers: map[int]func([]Change){},
		stop:     stop,
		done:     make(chan struct{}),
	}
	go s.follow(following)
	if err := s.migrate(ctx, steps); err != nil {
		s.unfollow()
		return nil, err
	}
	return s, nil
}

// View calls fn with the state as of now or later: every commit that returned
// before View was called is in it, on whatever server it was made.
func (s *Store) View(ctx context.Context, fn func(r Reader) error) (err error) {
	snap, err := s.sync(ctx)
	if err != nil {
		return err
	}
	defer catch(&err)
	return fn(snap)
}

// Local calls fn with the state this process has seen last, without asking the
// backend. It includes every Update of this process that has returned. It panics
// on a record that cannot be decoded.
func (s *Store) Local(fn func(r Reader)) { fn(s.current()) }

// Update runs fn and commits its writes if nothing that fn read has changed
// meanwhile; otherwise it runs fn again on the newer state, so fn must have no
// effects but on tx. An error of fn is returned as it is and nothing is stored.
// When Update returns nil, View and Local of this process see the writes.
func (s *Store) Update(ctx context.Context, fn func(tx *Tx) error) error {
	for attempt := range maxAttempts {
		snap, err := s.sync(ctx)
		if err != nil {
			return err
		}
		tx := newTx(snap)
		if err := run(tx, fn); err != nil {
			return err
		}
		if len(tx.writes) == 0 {
			return nil
		}
		rev, ok, err := s.backend.Commit(ctx, tx.txn())
		if err != nil {
			return fmt.Errorf("store: committing: %w", err)
		}
		if ok {
			_, err := s.wait(ctx, rev)
			return err
		}
		if err := pause(ctx, attempt); err != nil {
			return err
		}
	}
	return ErrConflict
}

func run(tx *Tx, fn func(tx *Tx) error) (err error) {
	defer catch(&err)
	if err := fn(tx); err != nil {
		return err
	}
	return tx.err
}

// pause lets others finish before the next attempt; the first ones are at once.
func pause(ctx context.Context, attempt int) error {
	if attempt < 3 {
		return nil
	}
	d := rand.N(time.Duration(min(attempt, 10)) * time.Millisecond)
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Notify calls fn with the changes of each commit, in order, once the view has
// them and before the Update that made them returns. fn must not block. After
// cancel at most a call that has begun still runs.
func (s *Store) Notify(fn func(changes []Change)) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.nextID
	s.nextID++
	s.watchers[id] = fn
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, id)
	}
}

// Campaign waits until this process leads all servers of the deployment. lost is
// closed when it no longer does; resign gives leadership up.
func (s *Store) Campaign(ctx context.Context, id string) (lost <-chan struct{}, resign func(), err error) {
	return s.backend.Campaign(ctx, id)
}

// Close stops following the backend and closes it.
func (s *Store) Close() error {
	s.unfollow()
	return s.backend.Close()
}

func (s *Store) unfollow() {
	s.stop()
	<-s.done
}

func (s *Store) current() *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view
}

// sync returns a state that is not older than the backend's head.
func (s *Store) sync(ctx context.Context) (*snapshot, error) {
	head, err := s.backend.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: reading the head revision: %w", err)
	}
	return s.wait(ctx, head)
}

// wait returns the view once it has reached a revision and watchers were told.
func (s *Store) wait(ctx context.Context, rev Revision) (*snapshot, error) {
	for {
		s.mu.Lock()
		view, told, advanced := s.view, s.told, s.advanced
		s.mu.Unlock()
		if told >= rev {
			return view, nil
		}
		select {
		case <-advanced:
		case <-ctx.Done():
			return nil, fmt.Errorf("store: waiting for revision %d: %w", rev, ctx.Err())
		case <-s.done:
			return nil, ErrClosed
		}
	}
}

// publish replaces the view, tells the watchers, then wakes who waits for it.
// Only the goroutine that follows the backend calls it.
func (s *Store) publish(next *snapshot, changes []Change) {
	s.mu.Lock()
	s.view = next
	var fns []func([]Change)
	if len(changes) > 0 {
		for _, id := range slices.Sorted(maps.Keys(s.watchers)) {
			fns = append(fns, s.watchers[id])
		}
	}
	s.mu.Unlock()
	for _, fn := range fns {
		fn(changes)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = next.rev
	close(s.advanced)
	s.advanced = make(chan struct{})
}

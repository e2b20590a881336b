package store_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/memory"
	"github.com/larder-cache/larder/internal/store/storetest"
)

var discard = slog.New(slog.DiscardHandler)

// flaky is a backend whose watch can be held back and broken.
type flaky struct {
	*memory.Backend

	mu      sync.Mutex
	held    chan struct{} // nil: watches run
	breaks  context.CancelFunc
	watches int
	stale   *staleLoad
}

type staleLoad struct {
	records []store.Record
	rev     store.Revision
}

func (f *flaky) Watch(ctx context.Context, after store.Revision, take func(store.Batch)) error {
	f.mu.Lock()
	held := f.held
	f.watches++
	inner, cancel := context.WithCancel(ctx)
	f.breaks = cancel
	f.mu.Unlock()
	defer cancel()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := f.Backend.Watch(inner, after, take)
	if ctx.Err() == nil && inner.Err() != nil {
		return errors.New("stream lost")
	}
	return err
}

func (f *flaky) Load(ctx context.Context) ([]store.Record, store.Revision, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stale != nil {
		return f.stale.records, f.stale.rev, nil
	}
	return f.Backend.Load(ctx)
}

// hold breaks the watch and keeps the next one back until release.
func (f *flaky) hold() (release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	held := make(chan struct{})
	f.held = held
	f.breaks()
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.held = nil
		close(held)
	}
}

// behind writes to the backend as another server would.
func (f *flaky) behind(t *testing.T, writes ...store.Write) {
	t.Helper()
	if _, ok, err := f.Commit(t.Context(), store.Txn{Writes: writes}); err != nil || !ok {
		t.Fatalf("commit: %v %v", ok, err)
	}
}

func TestTheViewCatchesUpAfterALostWatch(t *testing.T) {
	t.Parallel()
	for _, compacted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := &flaky{Backend: memory.New()}
			s := storetest.Open(t, f)
			put(t, s, "kept", pet{Name: "kept"})
			put(t, s, "gone", pet{Name: "gone"})
			var got []store.Change
			defer s.Notify(func(changes []store.Change) { got = append(got, changes...) })()
			release := f.hold()
			synctest.Wait()
			f.behind(t, store.Write{Key: "pets/new", Value: []byte(`{"Name":"new"}`)})
			f.behind(t, store.Write{Key: "pets/gone", Delete: true})
			if compacted {
				f.Compact()
			}
			read := make(chan []string, 1)
			go func() {
				_ = s.View(t.Context(), func(r store.Reader) error { read <- names(pets.List(r, "")); return nil })
			}()
			synctest.Wait()
			select {
			case stale := <-read:
				t.Fatalf("View reads %v, from before what it must see", stale)
			default:
			}
			release()
			if names := <-read; !slices.Equal(names, []string{"kept", "new"}) {
				t.Errorf("after the watch came back View reads %v", names)
			}
			want := []store.Change{{Table: "pets", Key: "new"}, {Table: "pets", Key: "gone", Deleted: true}}
			if !slices.Equal(got, want) {
				t.Errorf("compacted %v: notified of %v, want %v", compacted, got, want)
			}
		})
	}
}

func TestTheViewNeverGoesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{Backend: memory.New()}
		s := storetest.Open(t, f)
		put(t, s, "a", pet{Age: 1})
		records, rev, err := f.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, "a", pet{Age: 2})
		f.mu.Lock()
		f.stale = &staleLoad{records, rev}
		f.mu.Unlock()
		release := f.hold()
		synctest.Wait()
		f.behind(t, store.Write{Key: "pets/b", Value: []byte(`{}`)})
		f.Compact()
		release()
		time.Sleep(time.Minute) // many attempts to reload
		s.Local(func(r store.Reader) {
			if p, _ := pets.Get(r, "a"); p.Age != 2 {
				t.Errorf("the view went back to %+v", p)
			}
		})
		f.mu.Lock()
		f.stale = nil
		watches := f.watches
		f.mu.Unlock()
		if watches > 60 {
			t.Errorf("%d attempts in a minute: no pause between them", watches)
		}
		time.Sleep(5 * time.Second)
		s.Local(func(r store.Reader) {
			if _, ok := pets.Get(r, "b"); !ok {
				t.Error("the view does not recover")
			}
		})
	})
}

func TestReadsEndWithTheirContextAndWithTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{Backend: memory.New()}
		s, err := store.Open(t.Context(), f, discard)
		if err != nil {
			t.Fatal(err)
		}
		f.hold()
		synctest.Wait()
		f.behind(t, store.Write{Key: "pets/a", Value: []byte(`{}`)})
		view := func(ctx context.Context) error {
			return s.View(ctx, func(store.Reader) error { t.Error("read a stale view"); return nil })
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := view(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("View = %v, want DeadlineExceeded", err)
		}
		waiting := make(chan error, 1)
		go func() { waiting <- view(t.Context()) }()
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-waiting; !errors.Is(err, store.ErrClosed) {
			t.Errorf("View = %v, want ErrClosed", err)
		}
	})
}

func TestViewIsASnapshot(t *testing.T) {
	t.Parallel()
	s := storetest.New(t)
	put(t, s, "a", pet{Name: "old"})
	err := s.View(t.Context(), func(r store.Reader) error {
		put(t, s, "a", pet{Name: "new"})
		put(t, s, "b", pet{Name: "b"})
		if got := names(pets.List(r, "")); !slices.Equal(got, []string{"old"}) {
			t.Errorf("a view changed while it was read: %v", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNotifyTellsEachCommitBeforeItsUpdateReturns(t *testing.T) {
	t.Parallel()
	s := storetest.New(t)
	var got [][]store.Change
	cancel := s.Notify(func(changes []store.Change) {
		got = append(got, changes)
		s.Local(func(r store.Reader) {
			for _, c := range changes {
				if _, ok := pets.Get(r, c.Key); ok == c.Deleted {
					t.Errorf("the view is not that of the notification of %v", c)
				}
			}
		})
	})
	put(t, s, "a", pet{})
	if want := []store.Change{{Table: "pets", Key: "a"}}; len(got) != 1 || !slices.Equal(got[0], want) {
		t.Fatalf("after the first update: %v", got)
	}
	update(t, s, func(tx *store.Tx) error {
		pets.Put(tx, "eu/b", &pet{})
		pets.Delete(tx, "a")
		return nil
	})
	want := []store.Change{{Table: "pets", Key: "a", Deleted: true}, {Table: "pets", Key: "eu/b"}}
	if len(got) != 2 || !slices.Equal(got[1], want) {
		t.Fatalf("after the second update: %v, want %v", got[1:], want)
	}
	cancel()
	put(t, s, "c", pet{})
	if len(got) != 2 {
		t.Error("notified after cancel")
	}
}

func TestADamagedRecordIsAnErrorAndNotAnAbsence(t *testing.T) {
	t.Parallel()
	b := memory.New()
	if _, _, err := b.Commit(t.Context(), store.Txn{Writes: []store.Write{{Key: "pets/bad", Value: []byte(`{"Age":"x"}`)}}}); err != nil {
		t.Fatal(err)
	}
	s := storetest.Open(t, b)
	read := func(r store.Reader) { pets.List(r, "") }
	if err := s.View(t.Context(), func(r store.Reader) error { read(r); return nil }); err == nil || !strings.Contains(err.Error(), "pets/bad") {
		t.Errorf("View = %v, want an error that names the record", err)
	}
	if err := s.Update(t.Context(), func(tx *store.Tx) error { read(tx); return nil }); err == nil || !strings.Contains(err.Error(), "pets/bad") {
		t.Errorf("Update = %v, want an error that names the record", err)
	}
	defer func() {
		if err, ok := recover().(error); !ok || !strings.Contains(err.Error(), "pets/bad") {
			t.Errorf("Local panics with %v, want an error that names the record", err)
		}
	}()
	s.Local(read)
	t.Error("Local goes on")
}

func TestAChangeInPlaceIsFound(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), memory.New(), discard)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put(t, s, "a", pet{Name: "a"})
	s.Local(func(r store.Reader) {
		p, _ := pets.Get(r, "a")
		if err := s.VerifyShared(); err != nil {
			t.Errorf("before the change: %v", err)
		}
		p.Name = "changed"
	})
	if err := s.VerifyShared(); err == nil || !strings.Contains(err.Error(), "pets/a") {
		t.Errorf("after the change: %v", err)
	}
}

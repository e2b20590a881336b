package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/storetest"
)

type lamp struct{ On int }

var lamps = store.NewTable[lamp]("lamps")

func set(t testing.TB, s *store.Store, key string, on int) {
	t.Helper()
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		lamps.Put(tx, key, &lamp{On: on})
		return nil
	})
	if err != nil {
		t.Fatalf("update: %v", err)
	}
}

// reconcileFunc is a Reconciler that is a function.
type reconcileFunc func(ctx context.Context, key string) (time.Duration, error)

func (f reconcileFunc) Reconcile(ctx context.Context, key string) (time.Duration, error) {
	return f(ctx, key)
}

// journal notes what ran, and when after the test began.
type journal struct {
	mu    sync.Mutex
	start time.Time
	lines []string
	times []time.Duration
}

func newJournal() *journal { return &journal{start: time.Now()} }

func (j *journal) note(line string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
	j.times = append(j.times, time.Since(j.start))
	return len(j.lines)
}

func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := j.lines
	j.lines, j.times = nil, nil
	return lines
}

func lampController(fn reconcileFunc) reconcile.Controller {
	return reconcile.Controller{
		Name:       "lamps",
		Reconciler: fn,
		Watches: func(c store.Change) []string {
			if c.Table != lamps.Name() {
				return nil
			}
			return []string{c.Key}
		},
		Keys: func(r store.Reader) []string { return lamps.Keys(r, "") },
	}
}

// pass lets time go by, which in a bubble of synctest costs none, and everything due by
// then happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

var discard = slog.New(slog.DiscardHandler)

// start runs controllers until stop is called, which waits for them.
func start(t *testing.T, s *store.Store, cs ...reconcile.Controller) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- reconcile.Run(ctx, s, core.SystemClock{}, discard, cs...) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func TestKeysRunAtStartAndOnChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := storetest.New(t)
		set(t, s, "a", 1)
		set(t, s, "b", 1)
		j := newJournal()
		start(t, s, lampController(func(_ context.Context, key string) (time.Duration, error) {
			j.note(key)
			return 0, nil
		}))
		synctest.Wait()
		if got, want := j.take(), []string{"a", "b"}; !slices.Equal(got, want) {
			t.Errorf("at start ran %v, want %v", got, want)
		}
		set(t, s, "b", 2)
		set(t, s, "c", 1)
		set(t, s, "c", 1) // no change
		synctest.Wait()
		if got, want := j.take(), []string{"b", "c"}; !slices.Equal(got, want) {
			t.Errorf("after changes ran %v, want %v", got, want)
		}
		pass(time.Hour)
		if got := j.take(); got != nil {
			t.Errorf("without changes ran %v", got)
		}
	})
}

func TestResyncRunsAllKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := storetest.New(t)
		set(t, s, "a", 1)
		set(t, s, "b", 1)
		j := newJournal()
		c := lampController(func(_ context.Context, key string) (time.Duration, error) {
			j.note(key)
			return 0, nil
		})
		c.Resync = time.Minute
		start(t, s, c)
		pass(150 * time.Second)
		if got, want := j.take(), []string{"a", "b", "a", "b", "a", "b"}; !slices.Equal(got, want) {
			t.Errorf("ran %v, want %v", got, want)
		}
	})
}

func TestRequeueAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := storetest.New(t)
		set(t, s, "a", 1)
		j := newJournal()
		start(t, s, lampController(func(_ context.Context, key string) (time.Duration, error) {
			if j.note(key) < 3 {
				return 7 * time.Second, nil
			}
			return 0, nil
		}))
		pass(time.Minute)
		if want := []time.Duration{0, 7 * time.Second, 14 * time.Second}; !slices.Equal(j.times, want) {
			t.Errorf("ran at %v, want %v", j.times, want)
		}
	})
}

func TestAChangeSupersedesARequeue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := storetest.New(t)
		set(t, s, "a", 1)
		j := newJournal()
		start(t, s, lampController(func(_ context.Context, key string) (time.Duration, error) {
			if j.note(key) == 1 {
				return 7 * time.Second, nil
			}
			return 0, nil
		}))
		pass(time.Second)
		set(t, s, "a", 2)
		pass(time.Minute)
		if want := []time.Duration{0, time.Second}; !slices.Equal(j.times, want) {
			t.Errorf("ran at %v, want %v", j.times, want)
		}
	})
}

func TestAKeyIsNeverRunTwiceAtOnceAndChangesMeanwhileRunItOnceMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := storetest.New(t)
		set(t, s, "a", 0)
		j := newJournal()
		c := lampController(func(_ context.Context, key string) (time.Duration, error) {
			j.note("begin " + key)
			time.Sleep(time.Second)
			j.note("end " + key)
			return 0, nil
		})
		c.Workers = 4
		start(t, s, c)
		synctest.Wait()
		for i := range 5 {
			set(t, s, "a", i+1)
		}
		pass(time.Second / 2)
		set(t, s, "b", 1) // another key runs beside it
		pass(time.Minute)
		want := []string{"begin a", "begin b", "end a", "begin a", "end b", "end a"}
		if got := j.take(); !slices.Equal(got, want) {
			t.Errorf("ran %v, want %v", got, want)
		}
	})
}

func TestFailuresBackOffAndAreReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := storetest.New(t)
		set(t, s, "a", 1)
		j := newJournal()
		broken := errors.New("broken")
		reported := 0
		c := lampController(func(_ context.Context, key string) (time.Duration, error) {
			j.note(key)
			return 0, broken
		})
		c.OnError = func(_ context.Context, key string, err error) {
			if key != "a" || !errors.Is(err, broken) {
				t.Errorf("OnError(%q, %v)", key, err)
			}
			reported++
		}
		start(t, s, c)
		pass(5 * time.Minute)
		for i := 1; i < len(j.times); i++ {
			most := min(50*time.Millisecond<<min(i-1, 20), 30*time.Second)
			if gap := j.times[i] - j.times[i-1]; gap > most || gap < most*3/4 {
				t.Errorf("pause %d is %v, want between %v and %v", i, gap, most*3/4, most)
			}
		}
		if len(j.times) < 15 || reported != len(j.times) {
			t.Errorf("%d runs, %d reports; want as many, and at least 15", len(j.times), reported)
		}
	})
}

func TestAChangeWakesAFailingKeyAtOnceAndSuccessResetsTheBackOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := storetest.New(t)
		set(t, s, "a", 1)
		j := newJournal()
		fail := true
		start(t, s, lampController(func(_ context.Context, key string) (time.Duration, error) {
			j.note(key)
			if fail {
				return 0, errors.New("broken")
			}
			return 0, nil
		}))
		pass(2 * time.Minute) // pauses are 30 s by now
		fail = false
		j.take()
		set(t, s, "a", 2)
		synctest.Wait()
		if got := j.take(); len(got) != 1 {
			t.Fatalf("after a change to a failing key: %d runs, want 1 at once", len(got))
		}
		pass(time.Hour)
		if got := j.take(); got != nil {
			t.Errorf("%d runs after a success, want none", len(got))
		}
		fail = true
		set(t, s, "a", 3)
		pass(60 * time.Millisecond)
		if got := j.take(); len(got) != 2 {
			t.Errorf("%d runs within 60 ms of a new failure, want 2", len(got))
		}
	})
}

func TestPanicsBecomeErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := storetest.New(t)
		set(t, s, "bad", 1)
		set(t, s, "good", 1)
		j := newJournal()
		c := lampController(func(_ context.Context, key string) (time.Duration, error) {
			if key == "bad" {
				panic("lamp fell")
			}
			j.note(key)
			return 0, nil
		})
		var got error
		c.OnError = func(_ context.Context, _ string, err error) { got = err }
		watches := c.Watches
		c.Watches = func(change store.Change) []string {
			if change.Key == "trap" {
				panic("cannot tell")
			}
			return watches(change)
		}
		start(t, s, c)
		synctest.Wait()
		if got == nil || !strings.Contains(got.Error(), "lamp fell") {
			t.Errorf("OnError got %v, want the panic", got)
		}
		set(t, s, "trap", 1)
		set(t, s, "good", 2)
		synctest.Wait()
		if runs := j.take(); len(runs) != 2 {
			t.Errorf("a good key ran %d times beside broken ones, want 2", len(runs))
		}
	})
}

// BenchmarkWakeUp is the way from an Update to the Reconcile call.
func BenchmarkWakeUp(b *testing.B) {
	s := storetest.New(b)
	woken := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() {
		done <- reconcile.Run(ctx, s, core.SystemClock{}, discard, lampController(func(context.Context, string) (time.Duration, error) {
			woken <- struct{}{}
			return 0, nil
		}))
	}()
	set(b, s, "a", -1)
	<-woken
	for i := 0; b.Loop(); i++ {
		set(b, s, "a", i)
		<-woken
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(fmt.Errorf("run: %w", err))
	}
}

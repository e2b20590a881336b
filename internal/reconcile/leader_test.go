package reconcile_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/store/memory"
	"github.com/larder-cache/larder/internal/store/storetest"
)

func TestRunWaitsForItsWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := storetest.New(t)
		set(t, s, "a", 1)
		j := newJournal()
		c := lampController(func(ctx context.Context, key string) (time.Duration, error) {
			<-ctx.Done()
			time.Sleep(time.Second) // tidies up
			j.note("end " + key)
			return 0, ctx.Err()
		})
		c.OnError = func(context.Context, string, error) { t.Error("a run that was cut short was reported as failed") }
		stop := start(t, s, c)
		synctest.Wait()
		stop()
		if got := j.take(); len(got) != 1 {
			t.Error("Run returned before its worker")
		}
	})
}

func TestOnlyTheLeaderRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := storetest.New(t)
		j := newJournal()
		server := func(name string) reconcile.Controller {
			return lampController(func(_ context.Context, key string) (time.Duration, error) {
				j.note(name + " " + key)
				return 0, nil
			})
		}
		stop := start(t, s, server("first"))
		synctest.Wait()
		start(t, s, server("second"))
		synctest.Wait()
		set(t, s, "a", 1)
		synctest.Wait()
		stop()
		synctest.Wait()
		set(t, s, "a", 2)
		synctest.Wait()
		if got, want := j.take(), []string{"first a", "second a", "second a"}; !slices.Equal(got, want) {
			t.Errorf("ran %v, want %v", got, want)
		}
	})
}

// fickle is a backend that takes leadership away, and refuses it at first.
type fickle struct {
	*memory.Backend
	terms chan chan struct{}
	tries int
}

func (f *fickle) Campaign(ctx context.Context, _ string) (<-chan struct{}, func(), error) {
	f.tries++
	if f.tries == 1 {
		return nil, nil, errors.New("no quorum")
	}
	select {
	case lost := <-f.terms:
		return lost, func() {}, nil
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

func TestLeadershipLostStopsRunsUntilItIsWonAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fickle{Backend: memory.New(), terms: make(chan chan struct{})}
		s := storetest.Open(t, f)
		set(t, s, "a", 1)
		j := newJournal()
		start(t, s, lampController(func(ctx context.Context, key string) (time.Duration, error) {
			j.note("begin")
			<-ctx.Done()
			j.note("end")
			return 0, ctx.Err()
		}))
		lost := make(chan struct{})
		f.terms <- lost
		synctest.Wait()
		close(lost)
		synctest.Wait()
		set(t, s, "a", 2)
		synctest.Wait()
		if got, want := j.take(), []string{"begin", "end"}; !slices.Equal(got, want) {
			t.Errorf("ran %v, want %v", got, want)
		}
		f.terms <- make(chan struct{})
		synctest.Wait()
		if got, want := j.take(), []string{"begin"}; !slices.Equal(got, want) {
			t.Errorf("in the second term ran %v, want %v", got, want)
		}
	})
}

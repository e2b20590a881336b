package story

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/test/harness"
)

// setter is what a writer needs of a client.
type setter interface {
	Set(ctx context.Context, key string, value any, expiration time.Duration) *redis.StatusCmd
	Get(ctx context.Context, key string) *redis.StringCmd
	Close() error
}

// writer writes a new key each millisecond and remembers those that were
// acknowledged.
type writer struct {
	dial func() setter
	stop chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	acked   []string
	last    time.Time
	longest time.Duration
	errs    []error
}

func newWriter(ctx context.Context, dial func() setter) *writer {
	w := &writer{dial: dial, stop: make(chan struct{})}
	w.wg.Go(func() {
		c := dial()
		defer func() { _ = c.Close() }()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-w.stop:
				return
			case <-tick.C:
			}
			key := fmt.Sprint("w", n)
			err := c.Set(ctx, key, n, 0).Err()
			w.note(key, err)
			if err != nil { // a pool would hold new connections back for a while
				_ = c.Close()
				c = dial()
			}
		}
	})
	return w
}

func (w *writer) note(key string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.errs = append(w.errs, err)
		return
	}
	now := time.Now()
	if !w.last.IsZero() {
		w.longest = max(w.longest, now.Sub(w.last))
	}
	w.acked, w.last = append(w.acked, key), now
}

// more waits until the writer has had n more writes acknowledged.
func (w *writer) more(ctx context.Context, n int) error {
	count := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.acked)
	}
	want := count() + n
	return harness.Await(ctx, 30*time.Second, func(context.Context) error {
		if got := count(); got < want {
			return fmt.Errorf("%d of %d writes are acknowledged", got, want)
		}
		return nil
	})
}

// end stops the writing and counts the acknowledged writes that are not there.
func (w *writer) end(ctx context.Context) (lost int, err error) {
	close(w.stop)
	w.wg.Wait()
	c := w.dial()
	defer func() { _ = c.Close() }()
	for _, key := range w.acked {
		switch err := c.Get(ctx, key).Err(); {
		case errors.Is(err, redis.Nil):
			lost++
		case err != nil:
			return lost, err
		}
	}
	return lost, nil
}

func (s *Teller) failover(ctx context.Context) error {
	for _, how := range []struct {
		what   string
		strike func(ctx context.Context, primary string) error
	}{
		{"the primary's process dies, under a client that writes each millisecond", s.killPrimary},
		{"a planned failover, under the same client", func(ctx context.Context, _ string) error {
			_, err := s.aws(ctx, "elasticache", "test-failover", "--replication-group-id", Group, "--node-group-id", "0001")
			return err
		}},
	} {
		s.step("%s", how.what)
		if err := s.failOver(ctx, how.strike); err != nil {
			return err
		}
	}
	return nil
}

func (s *Teller) failOver(ctx context.Context, strike func(ctx context.Context, primary string) error) error {
	g, err := s.D.AwaitGroup(ctx, Group, "available")
	if err != nil {
		return err
	}
	addr, before := harness.Addr(g.NodeGroups[0].PrimaryEndpoint), primaryOf(g)
	w := newWriter(ctx, func() setter { return harness.Redis(addr, second, s.tls) })
	err = errors.Join(w.more(ctx, 200), strike(ctx, before), s.awaitOther(ctx, before), w.more(ctx, 200))
	lost, lostErr := w.end(ctx)
	if err := errors.Join(err, lostErr); err != nil {
		return err
	}
	s.saw("no write for %d ms at the same primary endpoint; %d of %d acknowledged writes lost", w.longest.Milliseconds(), lost, len(w.acked))
	if g, err = s.D.AwaitGroup(ctx, Group, "available"); err != nil {
		return err
	}
	s.saw("%s was primary, %s is; all three are back", before, primaryOf(g))
	c := harness.Redis(addr, second, s.tls)
	defer c.Close()
	if v, err := c.Get(ctx, "greeting").Result(); err != nil || v != "hello" {
		return fmt.Errorf("the key written before: %q, %v", v, err)
	}
	return nil
}

// awaitOther waits until another member than the one given is primary.
func (s *Teller) awaitOther(ctx context.Context, than string) error {
	return harness.Await(ctx, 30*time.Second, func(ctx context.Context) error {
		g, err := s.D.Group(ctx, Group)
		if p := primaryOf(g); err == nil && (p == "" || p == than) {
			err = fmt.Errorf("the primary is %q", p)
		}
		return err
	})
}

func primaryOf(g types.ReplicationGroup) string {
	for _, m := range g.NodeGroups[0].NodeGroupMembers {
		if m.CurrentRole != nil && *m.CurrentRole == "primary" {
			return *m.CacheClusterId
		}
	}
	return ""
}

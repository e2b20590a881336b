package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/test/harness"
)

// load writes and reads numbered keys all over the slots and remembers what was
// acknowledged.
type load struct {
	stop chan struct{}
	once sync.Once
	wg   sync.WaitGroup

	mu      sync.Mutex
	acked   map[string]int
	errs    []error
	longest time.Duration
}

// newLoad begins with some goroutines. durable has a write count only once a replica
// has it too, and has errors tried again.
func newLoad(t testing.TB, c *redis.ClusterClient, workers int, durable bool) *load {
	l := &load{stop: make(chan struct{}), acked: map[string]int{}}
	for w := range workers {
		l.wg.Go(func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for i := 0; ; i++ {
				select {
				case <-l.stop:
					return
				case <-tick.C:
				}
				key := fmt.Sprintf("k%d-%d", w, i%2000)
				began := time.Now()
				err := l.operate(t.Context(), c, key, i, durable)
				for durable && err != nil && time.Since(began) < 20*time.Second {
					c.ReloadState(t.Context())
					time.Sleep(time.Millisecond) // not to be a flood
					err = l.operate(t.Context(), c, key, i, durable)
				}
				l.note(key, i, err, time.Since(began))
			}
		})
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) operate(ctx context.Context, c *redis.ClusterClient, key string, i int, durable bool) error {
	if !durable {
		if err := c.Set(ctx, key, i, 0).Err(); err != nil {
			return err
		}
		v, err := c.Get(ctx, key).Int()
		if err == nil && v != i {
			err = fmt.Errorf("%s is %d and was set to %d", key, v, i)
		}
		return err
	}
	master, err := c.MasterForKey(ctx, key)
	if err != nil {
		return err
	}
	conn := master.Conn()
	defer conn.Close()
	if err := conn.Set(ctx, key, i, 0).Err(); err != nil {
		return err
	}
	if n, err := conn.Wait(ctx, 1, time.Second).Result(); err != nil || n < 1 {
		return errors.Join(err, fmt.Errorf("%d replicas have %s", n, key))
	}
	return nil
}

func (l *load) note(key string, i int, err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.longest = max(l.longest, took)
	if err != nil {
		l.errs = append(l.errs, err)
		return
	}
	l.acked[key] = i
}

// beyond waits until so many keys were acknowledged.
func (l *load) beyond(t testing.TB, keys int) {
	t.Helper()
	harness.Eventually(t, "some writes", func(context.Context) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.acked) < keys {
			return fmt.Errorf("%d of %d", len(l.acked), keys)
		}
		return nil
	})
}

func (l *load) end() {
	l.once.Do(func() { close(l.stop) })
	l.wg.Wait()
}

// check ends the load and looks for what was acknowledged.
func (l *load) check(t testing.TB, c *redis.ClusterClient) {
	t.Helper()
	l.end()
	var lost []string
	for key, i := range l.acked {
		if v, err := c.Get(t.Context(), key).Int(); err != nil || v < i {
			lost = append(lost, fmt.Sprintf("%s is %d, %v and not %d (slot %d)", key, v, err, i, c.ClusterKeySlot(t.Context(), key).Val()))
		}
	}
	t.Logf("%d keys, slowest operation %v, %d errors", len(l.acked), l.longest, len(l.errs))
	if len(lost) > 0 {
		t.Errorf("%d of %d acknowledged keys are lost: %s", len(lost), len(l.acked), strings.Join(lost[:min(len(lost), 10)], "; "))
	}
	if len(l.errs) > 0 {
		t.Errorf("%d operations failed, first with %v", len(l.errs), l.errs[0])
	}
}

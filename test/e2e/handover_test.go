package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/test/harness"
)

// writer writes numbered keys at 1 kHz, or as fast as it can, and remembers those
// that were acknowledged.
type writer struct {
	stop chan struct{}
	once sync.Once
	wg   sync.WaitGroup

	mu      sync.Mutex
	acked   []int
	last    time.Time
	longest time.Duration
	errs    []error
}

func newWriter(t testing.TB, addr, token string, config *tls.Config) *writer {
	w := &writer{stop: make(chan struct{})}
	w.wg.Go(func() {
		c := harness.Redis(addr, token, config)
		defer func() { _ = c.Close() }()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-w.stop:
				return
			case <-tick.C:
			}
			err := c.Set(t.Context(), fmt.Sprint("w", i), i, 0).Err()
			w.note(i, err)
			if err != nil { // the client's pool would make a pause of a second by itself
				_ = c.Close()
				c = harness.Redis(addr, token, config)
			}
		}
	})
	t.Cleanup(w.end)
	return w
}

func (w *writer) note(i int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.errs = append(w.errs, err)
		return
	}
	now := time.Now()
	if pause := now.Sub(w.last); !w.last.IsZero() && pause > w.longest {
		w.longest = pause
	}
	w.acked, w.last = append(w.acked, i), now
}

// pause is the longest time without an acknowledgement since it was last asked for.
func (w *writer) pause() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	longest := w.longest
	w.longest = 0
	return longest
}

func (w *writer) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked)
}

func (w *writer) end() {
	w.once.Do(func() { close(w.stop) })
	w.wg.Wait()
}

// lost ends the writing and counts the acknowledged writes that are not there.
func (w *writer) lost(t testing.TB, c *redis.Client) (n int) {
	t.Helper()
	w.end()
	for _, i := range w.acked {
		v, err := c.Get(t.Context(), fmt.Sprint("w", i)).Int()
		switch {
		case errors.Is(err, redis.Nil):
			n++
		case err != nil || v != i:
			t.Fatalf("write %d: %d, %v", i, v, err)
		}
	}
	return n
}

// beyond waits until the writer has had n more writes acknowledged.
func (w *writer) beyond(t testing.TB, n int) {
	t.Helper()
	want := w.count() + n
	harness.Eventually(t, "more writes", func(context.Context) error {
		if got := w.count(); got < want {
			return fmt.Errorf("%d of %d", got, want)
		}
		return nil
	})
}

// TestPlannedFailover moves the primary under a writer, by TestFailover and by
// promotion, and while a token is rotated: no acknowledged write is lost.
func TestPlannedFailover(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, testPlannedFailover)
}

func testPlannedFailover(t *testing.T, o harness.Options) {
	ctx := t.Context()
	d := harness.In(t, o)
	api := d.ElastiCache()
	g := group(t, d, "g", 3, func(in *elasticache.CreateReplicationGroupInput) { secured(in); failover(in) })
	secure := trust(t, d)
	w := newWriter(t, primaryAddr(g), token, secure)
	w.beyond(t, 200)
	w.pause()

	var pids []int
	old := member(g, "primary")
	for range 3 {
		old = member(g, "primary")
		pids = append(pids, node(t, d, old+"/0001").PID)
		harness.Eventually(t, "TestFailover", func(ctx context.Context) error {
			out, err := api.TestFailover(ctx, &elasticache.TestFailoverInput{ReplicationGroupId: aws.String("g"), NodeGroupId: aws.String("0001")})
			if err == nil && aws.ToString(out.ReplicationGroup.Status) != "modifying" {
				t.Errorf("the answer says %s", aws.ToString(out.ReplicationGroup.Status))
			}
			return err
		})
		g = awaitPrimary(t, d, "g", func(id string) bool { return id != old })
		w.beyond(t, 100)
		t.Logf("%s -> %s, writes paused for %v", old, member(g, "primary"), w.pause())
		if now := node(t, d, old+"/0001").PID; now != pids[len(pids)-1] {
			t.Errorf("%s was %d and is %d", old, pids[len(pids)-1], now)
		}
		// A token changes meanwhile: the group takes the next failover when it has it.
		next := second
		if len(pids)%2 == 0 {
			next = token
		}
		_, err := api.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
			ReplicationGroupId: aws.String("g"), ApplyImmediately: aws.Bool(true), AuthToken: &next,
			AuthTokenUpdateStrategy: types.AuthTokenUpdateStrategyTypeRotate,
		})
		must(t, err)
	}
	available(t, d, "g")
	for _, want := range []string{
		"Test Failover API called for node group 0001",
		"Failover from primary node " + old + " to replica node " + member(g, "primary") + " completed",
	} {
		awaitEvent(t, d, "g", want)
	}
	awaitEvent(t, d, old, "Finished recovery for cache nodes 0001")

	_, err := api.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
		ReplicationGroupId: aws.String("g"), ApplyImmediately: aws.Bool(true), AutomaticFailoverEnabled: aws.Bool(false),
	})
	must(t, err)
	g = available(t, d, "g")
	to := member(g, "replica")
	w.pause()
	out, err := api.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
		ReplicationGroupId: aws.String("g"), ApplyImmediately: aws.Bool(true), PrimaryClusterId: &to,
	})
	must(t, err)
	if got := out.ReplicationGroup; aws.ToString(got.PendingModifiedValues.PrimaryClusterId) != to || aws.ToString(got.Status) != "modifying" {
		t.Errorf("the answer has %s pending, %s", aws.ToString(got.PendingModifiedValues.PrimaryClusterId), aws.ToString(got.Status))
	}
	g = awaitPrimary(t, d, "g", func(id string) bool { return id == to })
	w.beyond(t, 100)
	t.Logf("promotion of %s, writes paused for %v", to, w.pause())

	c := client(t, primaryAddr(g), second, secure)
	if n := w.lost(t, c); n > 0 {
		t.Errorf("%d of %d acknowledged writes are lost", n, len(w.acked))
	}
	t.Logf("%d writes acknowledged, %d refused", len(w.acked), len(w.errs))
	tidy(t, d)
}

package robustness

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// write is one that a client was told is done.
type write struct {
	n  int
	at time.Time
	// sure: a replica had it too before the client was told.
	sure bool
}

// writer writes new keys, one per millisecond at most, and remembers which were
// acknowledged. Every tenth waits for a replica.
type writer struct {
	name string
	dial func() *redis.Client

	mu    sync.Mutex
	acked []write
	tried int
}

func (w *writer) key(n int) string { return fmt.Sprintf("%s-%d", w.name, n) }

// run writes until ctx ends.
func (w *writer) run(ctx context.Context) {
	c := w.dial()
	defer func() { _ = c.Close() }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		done, err := w.one(ctx, c, n)
		w.mu.Lock()
		w.tried++
		if err == nil {
			w.acked = append(w.acked, done)
		}
		w.mu.Unlock()
		if err != nil { // a pool would hold new connections back for a while
			_ = c.Close()
			c = w.dial()
		}
	}
}

// one writes a key. A write that no replica has confirmed in time is acknowledged
// all the same, but not sure.
func (w *writer) one(ctx context.Context, c *redis.Client, n int) (write, error) {
	if n%10 != 0 {
		err := c.Set(ctx, w.key(n), n, 0).Err()
		return write{n: n, at: time.Now()}, err
	}
	// WAIT is about the writes of its own connection.
	conn := c.Conn()
	defer func() { _ = conn.Close() }()
	if err := conn.Set(ctx, w.key(n), n, 0).Err(); err != nil {
		return write{}, err
	}
	at := time.Now()
	replicas, err := conn.Wait(ctx, 1, 100*time.Millisecond).Result()
	return write{n: n, at: at, sure: err == nil && replicas > 0}, nil
}

// missing are the acknowledged writes that are not there any more.
func (w *writer) missing(ctx context.Context, c *redis.Client) ([]write, error) {
	const batch = 500
	var lost []write
	for from := 0; from < len(w.acked); from += batch {
		part := w.acked[from:min(from+batch, len(w.acked))]
		keys := make([]string, len(part))
		for i, a := range part {
			keys[i] = w.key(a.n)
		}
		values, err := c.MGet(ctx, keys...).Result()
		if err != nil {
			return nil, err
		}
		for i, v := range values {
			if v != fmt.Sprint(part[i].n) {
				lost = append(lost, part[i])
			}
		}
	}
	return lost, nil
}

package robustness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
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
	dial func() redis.UniversalClient

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
func (w *writer) one(ctx context.Context, c redis.UniversalClient, n int) (write, error) {
	if n%10 != 0 {
		err := c.Set(ctx, w.key(n), n, 0).Err()
		return write{n: n, at: time.Now()}, err
	}
	// WAIT is about the writes of its own connection.
	conn, err := connFor(ctx, c, w.key(n))
	if err != nil {
		return write{}, err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.Set(ctx, w.key(n), n, 0).Err(); err != nil {
		return write{}, err
	}
	at := time.Now()
	replicas, err := conn.Wait(ctx, 1, 100*time.Millisecond).Result()
	return write{n: n, at: at, sure: err == nil && replicas > 0}, nil
}

// connFor is a connection to whoever has a key.
func connFor(ctx context.Context, c redis.UniversalClient, key string) (*redis.Conn, error) {
	switch c := c.(type) {
	case *redis.Client:
		return c.Conn(), nil
	case *redis.ClusterClient:
		node, err := c.MasterForKey(ctx, key)
		if err != nil {
			return nil, err
		}
		return node.Conn(), nil
	}
	return nil, fmt.Errorf("a client of another kind: %T", c)
}

// missing are the acknowledged writes that are not there any more.
func (w *writer) missing(ctx context.Context, c redis.UniversalClient) ([]write, error) {
	const batch = 500
	var lost []write
	for part := range slices.Chunk(w.acked, batch) {
		values := make([]*redis.StringCmd, len(part))
		_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, a := range part {
				values[i] = p.Get(ctx, w.key(a.n))
			}
			return nil
		})
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, err
		}
		for i, v := range values {
			if v.Val() != strconv.Itoa(part[i].n) {
				lost = append(lost, part[i])
			}
		}
	}
	return lost, nil
}

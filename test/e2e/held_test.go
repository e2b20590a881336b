package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// held are connections that are used all the time and must never break, nor lose
// what was written through them.
type held struct {
	stop chan struct{}
	wg   sync.WaitGroup
	once sync.Once

	mu    sync.Mutex
	errs  []error
	turns map[string]int
}

func hold(t testing.TB) *held {
	h := &held{stop: make(chan struct{}), turns: map[string]int{}}
	t.Cleanup(func() { _ = h.end() })
	return h
}

// redis holds one connection of a client, which it closes in the end.
func (h *held) redis(ctx context.Context, name string, c *redis.Client) {
	conn := c.Conn()
	key := "held-" + name
	h.run(name, c, func(i int) error {
		if err := conn.Set(ctx, key, i, 0).Err(); err != nil {
			return err
		}
		got, err := conn.Get(ctx, key).Int()
		if err == nil && got != i {
			err = fmt.Errorf("reads %d after writing %d", got, i)
		}
		return err
	})
}

// memcached holds one connection to a Memcached node.
func (h *held) memcached(t testing.TB, name, addr string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	r := bufio.NewReader(conn)
	line := func(want string) error {
		got, err := r.ReadString('\n')
		if got = strings.TrimSpace(got); err == nil && got != want {
			err = fmt.Errorf("got %q, want %q", got, want)
		}
		return err
	}
	h.run(name, conn, func(i int) error {
		value := fmt.Sprintf("%09d", i)
		if _, err := fmt.Fprintf(conn, "set held 0 0 9\r\n%s\r\nget held\r\n", value); err != nil {
			return err
		}
		for _, want := range []string{"STORED", "VALUE held 0 9", value, "END"} {
			if err := line(want); err != nil {
				return err
			}
		}
		return nil
	})
}

func (h *held) run(name string, conn io.Closer, turn func(i int) error) {
	h.wg.Go(func() {
		defer conn.Close()
		for i := 0; ; i++ {
			select {
			case <-h.stop:
				return
			case <-time.After(time.Millisecond):
			}
			err := turn(i)
			h.mu.Lock()
			h.turns[name]++
			if err != nil {
				h.errs = append(h.errs, fmt.Errorf("%s, turn %d: %w", name, i, err))
			}
			h.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
}

// end closes the connections and says which of them broke.
func (h *held) end() error {
	h.once.Do(func() { close(h.stop) })
	h.wg.Wait()
	if len(h.errs) > 0 {
		return fmt.Errorf("%d held connections broke, the first: %w", len(h.errs), h.errs[0])
	}
	return nil
}

package e2e

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/test/harness"
)

// TestShardLost ends all processes of a shard at once, twice: it starts over empty, each
// time with another order of its members, and the other shard keeps what it has.
func TestShardLost(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, func(t *testing.T, o harness.Options) {
		d := harness.In(t, o)
		g := shardedGroup(t, d, "g", 2, 2, nil)
		c := clusterClient(t, g, "", nil)
		const keys = 200
		write := func(ctx context.Context, value string) error {
			for i := range keys {
				if err := c.Set(ctx, fmt.Sprintf("k%d", i), value, 0).Err(); err != nil {
					return err
				}
			}
			return nil
		}
		must(t, write(t.Context(), "before"))
		for round := range 2 {
			var pids []int
			for i := range 3 {
				pids = append(pids, node(t, d, fmt.Sprintf("g-0002-00%d/0001", i+1)).PID)
			}
			began := time.Now()
			for _, pid := range pids {
				must(t, syscall.Kill(pid, syscall.SIGKILL))
			}
			for i, pid := range pids {
				awaitRestart(t, d, fmt.Sprintf("g-0002-00%d/0001", i+1), pid)
			}
			reshaped(t, d)
			left, taken := 0, 0
			harness.Eventually(t, "answers about all keys", func(ctx context.Context) error {
				left, taken = 0, 0
				for i := range keys {
					switch err := c.Get(ctx, fmt.Sprintf("k%d", i)).Err(); err {
					case nil:
						left++
					case redis.Nil:
						taken++
					default:
						return err
					}
				}
				return nil
			})
			if left == 0 || taken == 0 {
				t.Errorf("round %d: %d keys are left and %d gone", round, left, taken)
			}
			must(t, write(t.Context(), "after"))
			t.Logf("the shard serves again after %v", time.Since(began))
		}
		tidy(t, d)
	})
}

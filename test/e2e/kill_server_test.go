package e2e

import (
	"context"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/larder-cache/larder/test/harness"
)

const kills = 15

// TestKillServer kills the server at random points of a mixed work of creates,
// modifies and deletes. What was acknowledged comes true, the engines that ran keep
// their processes and their data, connections never break, and nothing is orphaned.
func TestKillServer(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, testKillServer)
}

func testKillServer(t *testing.T, o harness.Options) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	o.Args = []string{"--listen", freeAddress(t)}
	d := harness.In(t, o)

	plain, secret := group(t, d, "plain", 2, nil), group(t, d, "secret", 2, secured)
	cached := cluster(t, d, "cached", "memcached", 1)
	before, err := d.Nodes(t.Context())
	must(t, err)
	h := hold(t)
	h.redis(t.Context(), "plain", client(t, primaryAddr(plain), "", nil))
	h.redis(t.Context(), "secret", client(t, primaryAddr(secret), token, trust(t, d)))
	h.memcached(t, "cached", harness.Addr(cached.CacheNodes[0].Endpoint))

	w := newWork(t, d)
	w.run(t.Context(), w.group)
	w.run(t.Context(), w.cluster)
	w.run(t.Context(), w.parameters)
	for range kills {
		// The point is to meet the work at any of its steps.
		time.Sleep(time.Duration(random.IntN(250)) * time.Millisecond)
		d.Kill()
		if random.IntN(3) == 0 {
			killAtStart(t.Context(), d, time.Duration(random.IntN(60))*time.Millisecond)
		}
		if d.Pid() == 0 {
			must(t, d.Start(t.Context()))
		}
	}
	must(t, w.end())
	t.Logf("acknowledged: %v", w.acknowledged)

	must(t, h.end())
	t.Logf("turns of the held connections: %v", h.turns)
	after, err := d.Nodes(t.Context())
	must(t, err)
	for id, n := range before {
		if after[id].PID != n.PID {
			t.Errorf("node %s ran in process %d, now in %d", id, n.PID, after[id].PID)
		}
	}
	tidy(t, d)
}

// killAtStart kills the server while it starts, if it is still at that.
func killAtStart(ctx context.Context, d *harness.Deployment, after time.Duration) {
	started := make(chan struct{})
	go func() {
		defer close(started)
		_ = d.Start(ctx) // it fails if it is killed in time
	}()
	time.Sleep(after)
	d.Kill()
	<-started
}

// freeAddress is one of 127.0.0.1 that nobody listens on, so that the server has
// the same one after each start.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

package local

import (
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

// TestAnyInterruption changes, kills and reopens at random without waiting for
// anything, and then expects everything to be as it was last asked for.
func TestAnyInterruption(t *testing.T) {
	t.Parallel()
	needs(t, engine.Redis, engine.Valkey, engine.Memcached)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	r := newRig(t)
	kinds := []string{engine.Redis, engine.Valkey, engine.Memcached, engine.Valkey}
	nodes := make([]runtime.Node, len(kinds))
	for i, kind := range kinds {
		nodes[i] = makeNode(kind)
	}
	for range 60 {
		i := random.IntN(len(nodes))
		n := &nodes[i]
		switch random.IntN(7) {
		case 0:
			if found, err := strays(r.nodes()); err == nil {
				for pid, uid := range found {
					if uid == n.UID {
						_ = syscall.Kill(pid, syscall.SIGKILL)
					}
				}
			}
			continue
		case 1:
			n.Incarnation++
		case 2:
			n.Auth.NoPassword, n.Auth.Digests = false, tokens(tokenA, tokenB).Digests
		case 3:
			n.Auth.NoPassword, n.Auth.Digests = true, nil
		case 4:
			*n = makeNode(kinds[i]) // the old one goes
		case 5:
			if n.Primary = nil; kinds[i] == engine.Valkey && random.IntN(2) == 0 {
				other := nodes[(i+2)%4].Replication // perhaps a replica itself
				n.Primary = &other
			}
		case 6:
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			r.reader.Wait()
			r.open()
		}
		n.Generation++
		r.apply(nodes...)
	}
	for i := range nodes {
		nodes[i].Incarnation++ // for those that were killed
		nodes[i].Generation++
		if nodes[i].Primary = nil; i == 3 {
			primary := nodes[1].Replication
			nodes[i].Primary = &primary
		}
	}
	r.apply(nodes...)
	for _, n := range nodes {
		if rep := r.settled(n); rep.Message != "" {
			t.Errorf("report: %+v", rep)
		}
	}
	r.wait(nodes[3].ID, "in sync", inSync)
	eventually(t, "one process for each node", func() bool {
		found, err := strays(r.nodes())
		return err == nil && len(found) == len(nodes)
	})
}

package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"

	"github.com/larder-cache/larder/test/harness"
)

// TestEngineUpgradeSurvivesKills kills the server again and again while lone nodes hand on
// to their successors, and a group of two replaces its nodes: wherever it is met, each gets
// there, and no acknowledged write is lost.
func TestEngineUpgradeSurvivesKills(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, func(t *testing.T, o harness.Options) {
		ctx := t.Context()
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, seed))
		o.Args = []string{"--listen", freeAddress(t)}
		d := harness.In(t, o)
		writers := map[string]*writer{}
		addrs := map[string]string{}
		for i := range 3 {
			id := fmt.Sprint("c", i)
			addrs[id] = harness.Addr(cluster(t, d, id, "redis", 1).CacheNodes[0].Endpoint)
			writers[id] = newWriter(t, addrs[id], "", nil)
			writers[id].beyond(t, 50)
		}
		addrs["g-001"] = primaryAddr(group(t, d, "g", 2, func(in *elasticache.CreateReplicationGroupInput) {
			failover(in)
			in.Engine, in.EngineVersion = aws.String("redis"), aws.String("7.1")
		}))
		pair := newWriter(t, addrs["g-001"], "", nil)
		pair.beyond(t, 50)
		_, err := d.ElastiCache().ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
			ReplicationGroupId: aws.String("g"), Engine: aws.String("valkey"), EngineVersion: aws.String("8.0"), ApplyImmediately: aws.Bool(true),
		})
		must(t, err)
		for id := range writers {
			_, err := d.ElastiCache().ModifyCacheCluster(ctx, &elasticache.ModifyCacheClusterInput{
				CacheClusterId: &id, Engine: aws.String("valkey"), EngineVersion: aws.String("8.0"), ApplyImmediately: aws.Bool(true),
			})
			must(t, err)
		}
		for range 8 {
			// The point is to meet the work at any of its steps.
			time.Sleep(time.Duration(random.IntN(150)) * time.Millisecond)
			d.Kill()
			must(t, d.Start(ctx))
		}
		available(t, d, "g")
		writers["g-001"] = pair
		for id, w := range writers {
			_, err := d.AwaitCluster(ctx, id, "available")
			must(t, err)
			w.beyond(t, 50)
			if got := node(t, d, id+"/0001").BinaryVersion; !strings.HasPrefix(got, "8.") {
				t.Errorf("%s runs %s", id, got)
			}
			if n := w.lost(t, client(t, addrs[id], "", nil)); n > 0 {
				t.Errorf("%s: %d of %d acknowledged writes are lost", id, n, len(w.acked))
			}
		}
		tidy(t, d)
	})
}

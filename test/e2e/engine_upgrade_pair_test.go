package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"

	"github.com/larder-cache/larder/test/harness"
)

// stages are what the server says when an upgrade of two members, OF-001 and OF-002,
// comes to some point.
var stages = []string{
	"create node us-east-1/OF-002/0001-next",
	"node us-east-1/OF-002/0001: its successor takes the place",
	"node us-east-1/OF-001/0001: hold writes",
	"create node us-east-1/OF-001/0001-next",
	"node us-east-1/OF-001/0001: its successor takes the place",
}

// redisOfTwo is a group with failover that can be upgraded.
func redisOfTwo(in *elasticache.CreateReplicationGroupInput) {
	failover(in)
	in.Engine, in.EngineVersion = aws.String("redis"), aws.String("7.1")
}

// TestEngineUpgradeOfTwoSurvivesLosses kills the primary of groups of two, or of shards of
// two, at each stage of an upgrade: each gets there, and no write is lost that a replica
// has confirmed. Groups are taken through it in one fabric and shards in the other.
func TestEngineUpgradeOfTwoSurvivesLosses(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, func(t *testing.T, o harness.Options) {
		d := harness.In(t, o)
		if o.Fabric == "kernel" {
			shards := shardedGroup(t, d, "s", int32(len(stages)), 1, redisOfTwo)
			l := newLoad(t, clusterClient(t, shards, "", nil), 4, true)
			l.beyond(t, 200)
			upgradeWithLosses(t, d, []string{"s"}, "s-0001", "s-0002", "s-0003", "s-0004", "s-0005")
			l.check(t, clusterClient(t, shards, "", nil))
			tidy(t, d)
			return
		}
		ids := []string{"g0", "g1", "g2", "g3", "g4"}
		addrs, writers := map[string]string{}, map[string]*writer{}
		for _, id := range ids {
			addrs[id] = primaryAddr(group(t, d, id, 2, redisOfTwo))
			writers[id] = newConfirmedWriter(t, addrs[id])
			writers[id].beyond(t, 50)
		}
		upgradeWithLosses(t, d, ids, ids...)
		for id, w := range writers {
			w.beyond(t, 50)
			if n := w.lost(t, client(t, addrs[id], "", nil)); n > 0 {
				t.Errorf("%s: %d of %d confirmed writes are lost", id, n, len(w.acked))
			}
		}
		tidy(t, d)
	})
}

// upgradeWithLosses upgrades groups and kills the primary of one of theirs, a group or a
// shard, at each stage.
func upgradeWithLosses(t *testing.T, d *harness.Deployment, groups []string, of ...string) {
	t.Helper()
	var wg sync.WaitGroup
	killed := make(chan error, len(stages))
	for i, stage := range stages {
		wg.Go(func() { killed <- killPrimary(t.Context(), d, of[i], stage) })
	}
	for _, id := range groups {
		_, err := d.ElastiCache().ModifyReplicationGroup(t.Context(), &elasticache.ModifyReplicationGroupInput{
			ReplicationGroupId: &id, Engine: aws.String("valkey"), EngineVersion: aws.String("8.0"), ApplyImmediately: aws.Bool(true),
		})
		must(t, err)
	}
	wg.Wait()
	close(killed)
	for err := range killed {
		must(t, err)
	}
	for _, id := range groups {
		for _, m := range available(t, d, id).MemberClusters {
			if got := node(t, d, m+"/0001").BinaryVersion; !strings.HasPrefix(got, "8.") {
				t.Errorf("%s runs %s", m, got)
			}
		}
	}
}

// newConfirmedWriter is a writer to whom a write counts only once a replica has it too.
func newConfirmedWriter(t testing.TB, addr string) *writer {
	w := &writer{stop: make(chan struct{})}
	w.wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-w.stop:
				return
			case <-time.After(10 * time.Millisecond): // it is not alone on the machine
			}
			w.note(i, confirmed(t.Context(), addr, i))
		}
	})
	t.Cleanup(w.end)
	return w
}

// confirmed makes write i and waits for a replica to have it.
func confirmed(ctx context.Context, addr string, i int) error {
	c := harness.Redis(addr, "", nil)
	defer func() { _ = c.Close() }()
	conn := c.Conn()
	defer func() { _ = conn.Close() }()
	if err := conn.Set(ctx, fmt.Sprint("w", i), i, 0).Err(); err != nil {
		return err
	}
	n, err := conn.Wait(ctx, 1, time.Second).Result()
	if err == nil && n < 1 {
		err = errors.New("no replica has it")
	}
	return err
}

// killPrimary ends the process of the primary of a group or shard as soon as the server
// has come to a stage.
func killPrimary(ctx context.Context, d *harness.Deployment, of, stage string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	stage = strings.ReplaceAll(stage, "OF", of)
	for !strings.Contains(d.Output(), stage) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%q was not seen", stage)
		case <-time.After(5 * time.Millisecond):
		}
	}
	for ctx.Err() == nil {
		nodes, err := d.Nodes(ctx)
		if err != nil {
			return err
		}
		for _, id := range []string{of + "-001/0001", of + "-002/0001"} {
			if n := nodes[id]; n.Role == "primary" && n.PID > 0 {
				return syscall.Kill(n.PID, syscall.SIGKILL)
			}
		}
	}
	return fmt.Errorf("%s has no primary", of)
}

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

// TestEngineUpgradeOfTwoSurvivesLosses kills the primary of groups of two, and of shards of
// two, at each stage of an upgrade: each gets there, and no write is lost that a replica
// has confirmed.
func TestEngineUpgradeOfTwoSurvivesLosses(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, func(t *testing.T, o harness.Options) {
		d := harness.In(t, o)
		redis := func(in *elasticache.CreateReplicationGroupInput) {
			failover(in)
			in.Engine, in.EngineVersion = aws.String("redis"), aws.String("7.1")
		}
		ids := []string{"s"}
		shards := shardedGroup(t, d, "s", int32(len(stages)), 1, redis)
		l := newLoad(t, clusterClient(t, shards, "", nil), 4, true)
		l.beyond(t, 200)
		addrs, writers := map[string]string{}, map[string]*writer{}
		for i := range stages {
			id := fmt.Sprint("g", i)
			ids, addrs[id] = append(ids, id), primaryAddr(group(t, d, id, 2, redis))
			writers[id] = newConfirmedWriter(t, addrs[id])
			writers[id].beyond(t, 50)
		}
		var wg sync.WaitGroup
		killed := make(chan error, 2*len(stages))
		for i, stage := range stages {
			for _, of := range []string{fmt.Sprint("g", i), fmt.Sprintf("s-%04d", i+1)} {
				wg.Go(func() { killed <- killPrimary(t.Context(), d, of, stage) })
			}
		}
		for _, id := range ids {
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
		for _, id := range ids {
			for _, m := range available(t, d, id).MemberClusters {
				if got := node(t, d, m+"/0001").BinaryVersion; !strings.HasPrefix(got, "8.") {
					t.Errorf("%s runs %s", m, got)
				}
			}
		}
		for id, w := range writers {
			w.beyond(t, 50)
			if n := w.lost(t, client(t, addrs[id], "", nil)); n > 0 {
				t.Errorf("%s: %d of %d confirmed writes are lost", id, n, len(w.acked))
			}
		}
		l.check(t, clusterClient(t, shards, "", nil))
		tidy(t, d)
	})
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

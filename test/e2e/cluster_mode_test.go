package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/test/harness"
)

// setMode asks for another cluster mode.
func setMode(ctx context.Context, d *harness.Deployment, id string, mode types.ClusterMode) (*types.ReplicationGroup, error) {
	out, err := d.ElastiCache().ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
		ReplicationGroupId: &id, ClusterMode: mode, ApplyImmediately: aws.Bool(true),
	})
	if err != nil {
		return nil, err
	}
	return out.ReplicationGroup, nil
}

// modeOf is what a group says of its mode and its endpoints.
func modeOf(g types.ReplicationGroup) string {
	n := g.NodeGroups[0]
	return fmt.Sprintf("%s %t, configuration %t, primary %t, reader %t, slots %s", g.ClusterMode, aws.ToBool(g.ClusterEnabled),
		g.ConfigurationEndpoint != nil, n.PrimaryEndpoint != nil, n.ReaderEndpoint != nil, aws.ToString(n.Slots))
}

// TestClusterMode takes a group through all cluster modes under a writer that knows
// nothing of them, while the server is killed twice: no acknowledged write is lost, and
// clients of both kinds work where they are meant to.
func TestClusterMode(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, func(t *testing.T, o harness.Options) {
		engine := "redis"
		if o.Fabric == "kernel" {
			engine = "valkey"
		}
		clusterModes(t, harness.In(t, o), func(in *elasticache.CreateReplicationGroupInput) {
			failover(in)
			in.Engine = &engine
			if engine == "redis" {
				secured(in)
			}
		})
	})
}

func clusterModes(t *testing.T, d *harness.Deployment, edit func(*elasticache.CreateReplicationGroupInput)) {
	ctx := t.Context()
	var secret string
	g := group(t, d, "g", 3, func(in *elasticache.CreateReplicationGroupInput) {
		edit(in)
		secret = aws.ToString(in.AuthToken)
	})
	secure := trust(t, d)
	if secret == "" {
		secure = nil
	}
	plain := client(t, primaryAddr(g), secret, secure)
	must(t, plain.Set(ctx, "lasting", "v", 1000e9).Err())
	must(t, plain.Do(ctx, "FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 'kept' end)").Err())
	expect := func(what, want string) {
		t.Helper()
		if got := modeOf(g); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	expect("at first", "disabled false, configuration false, primary true, reader true, slots ")

	w := newWriter(t, primaryAddr(g), secret, secure)
	w.beyond(t, 100)
	w.pause()
	out, err := setMode(ctx, d, "g", types.ClusterModeCompatible)
	must(t, err)
	if out.PendingModifiedValues.ClusterMode != types.ClusterModeCompatible || out.ClusterMode != types.ClusterModeDisabled {
		t.Errorf("the answer says %s and then %s", out.ClusterMode, out.PendingModifiedValues.ClusterMode)
	}
	d.Kill()
	must(t, d.Start(ctx))
	g = available(t, d, "g")
	w.beyond(t, 100)
	t.Logf("writes paused for %v, %d were refused", w.pause(), len(w.errs))
	expect("compatible", "compatible true, configuration true, primary true, reader true, slots 0-16383")
	if got := member(g, "primary"); got == "g-001" || got == "" {
		t.Errorf("the primary is %q", got)
	}
	awaitEvent(t, d, "g", "Cluster mode of replication group g has been changed to compatible")

	c := clusterClient(t, g, secret, secure)
	must(t, c.Set(ctx, "aware", "1", 0).Err())
	plain = client(t, primaryAddr(g), secret, secure) // connections to the old primary have ended
	if v, err := plain.Get(ctx, "aware").Result(); v != "1" || err != nil {
		t.Errorf("by the primary endpoint: %q, %v", v, err)
	}
	if v, err := client(t, readerAddr(g), secret, secure).Get(ctx, "aware").Result(); v != "1" || err != nil {
		t.Errorf("by the reader endpoint: %q, %v", v, err)
	}
	if ttl, err := c.TTL(ctx, "lasting").Result(); ttl <= 0 || err != nil {
		t.Errorf("time to live %v, %v", ttl, err)
	}
	if v, err := plain.Do(ctx, "FCALL", "f", "0").Result(); v != "kept" || err != nil {
		t.Errorf("a function gives %v, %v", v, err)
	}
	harness.Eventually(t, "all members are known", func(ctx context.Context) error {
		shards, err := c.ClusterShards(ctx).Result()
		if err == nil && (len(shards) != 1 || len(shards[0].Nodes) != 3) {
			err = fmt.Errorf("%+v", shards)
		}
		return err
	})

	t.Run("back", func(t *testing.T) {
		_, err := setMode(ctx, d, "g", types.ClusterModeDisabled)
		must(t, err)
		g = available(t, d, "g")
		w.beyond(t, 100)
		t.Logf("writes paused for %v, %d were refused", w.pause(), len(w.errs))
		expect("disabled", "disabled false, configuration false, primary true, reader true, slots ")
		if err := client(t, primaryAddr(g), secret, secure).ClusterInfo(ctx).Err(); err == nil {
			t.Error("the primary is in cluster mode still")
		}
		must(t, client(t, readerAddr(g), secret, secure).Get(ctx, "aware").Err())
	})

	_, err = setMode(ctx, d, "g", types.ClusterModeCompatible)
	must(t, err)
	harness.Eventually(t, "a replica is in cluster mode", func(ctx context.Context) error {
		for _, m := range g.NodeGroups[0].NodeGroupMembers {
			one := harness.Redis(harness.Addr(m.ReadEndpoint), secret, secure)
			err := one.ClusterInfo(ctx).Err()
			_ = one.Close()
			if err == nil {
				return nil
			}
		}
		return errors.New("none is")
	})
	d.Kill()
	must(t, d.Start(ctx))
	g = available(t, d, "g")
	w.beyond(t, 100)
	w.end()
	if n := w.lost(t, client(t, primaryAddr(g), secret, secure)); n > 0 {
		t.Errorf("%d of %d acknowledged writes are lost", n, len(w.acked))
	}
	t.Logf("%d writes acknowledged", len(w.acked))

	_, err = setMode(ctx, d, "g", types.ClusterModeEnabled)
	must(t, err)
	g = available(t, d, "g")
	expect("enabled", "enabled true, configuration true, primary false, reader false, slots 0-16383")
	c = clusterClient(t, g, secret, secure)
	if v, err := c.Get(ctx, "aware").Result(); v != "1" || err != nil {
		t.Errorf("by the configuration endpoint: %q, %v", v, err)
	}
	if _, err := setMode(ctx, d, "g", types.ClusterModeCompatible); err == nil {
		t.Error("there is a way back from enabled")
	}
	failoverWith(t, d, g, c)
	tidy(t, d)
}

// failoverWith has the group in cluster mode fail over under a client.
func failoverWith(t *testing.T, d *harness.Deployment, g types.ReplicationGroup, c *redis.ClusterClient) {
	t.Helper()
	_, err := d.ElastiCache().TestFailover(t.Context(), &elasticache.TestFailoverInput{ReplicationGroupId: g.ReplicationGroupId, NodeGroupId: g.NodeGroups[0].NodeGroupId})
	must(t, err)
	available(t, d, *g.ReplicationGroupId)
	harness.Eventually(t, "a write after the failover", func(ctx context.Context) error { return c.Set(ctx, "after", "1", 0).Err() })
}

// TestClusterModeDatabases refuses to move a group that uses other databases than 0,
// which are left as they are.
func TestClusterModeDatabases(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := harness.In(t, harness.Options{})
	g := group(t, d, "g", 2, failover)
	c := client(t, primaryAddr(g), "", nil).Conn()
	defer c.Close()
	must(t, c.Select(ctx, 1).Err())
	must(t, c.Set(ctx, "k", "v", 0).Err())
	_, err := setMode(ctx, d, "g", types.ClusterModeCompatible)
	must(t, err)
	awaitEvent(t, d, "g", "Failed to change the cluster mode of replication group g. There are keys in databases other than 0")
	g = available(t, d, "g")
	if got := modeOf(g); got != "disabled false, configuration false, primary true, reader true, slots " {
		t.Error(got)
	}
	if v, err := c.Get(ctx, "k").Result(); v != "v" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	member, err := d.Cluster(ctx, "g-001")
	must(t, err)
	if got := aws.ToString(member.CacheParameterGroup.CacheParameterGroupName); got != "default.valkey8" {
		t.Errorf("parameter group %s", got)
	}
	tidy(t, d)
}

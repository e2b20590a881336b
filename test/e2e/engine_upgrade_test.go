package e2e

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"

	"github.com/larder-cache/larder/test/harness"
)

// TestEngineUpgrade moves a group of Redis to Valkey under a writer: no acknowledged
// write is lost, and every node runs the other program afterwards.
func TestEngineUpgrade(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := harness.In(t, harness.Options{})
	g := group(t, d, "g", 3, func(in *elasticache.CreateReplicationGroupInput) {
		secured(in)
		failover(in)
		in.Engine, in.EngineVersion = aws.String("redis"), aws.String("7.1")
	})
	secure := trust(t, d)
	w := newWriter(t, primaryAddr(g), token, secure)
	w.beyond(t, 200)
	w.pause()
	out, err := d.ElastiCache().ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
		ReplicationGroupId: aws.String("g"), Engine: aws.String("valkey"), EngineVersion: aws.String("8.0"), ApplyImmediately: aws.Bool(true),
	})
	must(t, err)
	if got := out.ReplicationGroup; aws.ToString(got.Status) != "modifying" || aws.ToString(got.Engine) != "redis" {
		t.Errorf("the answer has %s, %s", aws.ToString(got.Status), aws.ToString(got.Engine))
	}
	g = available(t, d, "g")
	w.beyond(t, 100)
	t.Logf("writes paused for %v, %d were refused", w.pause(), len(w.errs))
	if aws.ToString(g.Engine) != "valkey" || member(g, "primary") == "g-001" {
		t.Errorf("the group is %s, its primary %s", aws.ToString(g.Engine), member(g, "primary"))
	}
	for _, id := range g.MemberClusters {
		c, err := d.Cluster(ctx, id)
		must(t, err)
		info, err := client(t, memberAddr(g, id), token, secure).Info(ctx, "server").Result()
		must(t, err)
		if aws.ToString(c.Engine) != "valkey" || aws.ToString(c.CacheParameterGroup.CacheParameterGroupName) != "default.valkey8" || !strings.Contains(info, "server_name:valkey") {
			t.Errorf("%s is %s with %s", id, aws.ToString(c.Engine), aws.ToString(c.CacheParameterGroup.CacheParameterGroupName))
		}
		awaitEvent(t, d, id, "Upgraded the engine from redis 7.1.0 to valkey 8.0.1")
	}
	c := client(t, primaryAddr(g), token, secure)
	if n := w.lost(t, c); n > 0 {
		t.Errorf("%d of %d acknowledged writes are lost", n, len(w.acked))
	}
	t.Logf("%d writes acknowledged", len(w.acked))
	tidy(t, d)
}

// TestGroupOfCluster makes a group around a lone Redis, which is the way to another
// program for it: its client stays connected, and its data comes along.
func TestGroupOfCluster(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := harness.In(t, harness.Options{})
	api := d.ElastiCache()
	lone := cluster(t, d, "c", "redis", 1)
	c := client(t, harness.Addr(lone.CacheNodes[0].Endpoint), "", nil)
	must(t, c.Set(ctx, "k", "v", 0).Err())
	id := c.ClientID(ctx).Val()
	_, err := api.CreateReplicationGroup(ctx, &elasticache.CreateReplicationGroupInput{
		ReplicationGroupId: aws.String("g"), ReplicationGroupDescription: aws.String("g"), PrimaryClusterId: aws.String("c"),
	})
	must(t, err)
	available(t, d, "g")
	_, err = api.IncreaseReplicaCount(ctx, &elasticache.IncreaseReplicaCountInput{
		ReplicationGroupId: aws.String("g"), NewReplicaCount: aws.Int32(1), ApplyImmediately: aws.Bool(true),
	})
	must(t, err)
	g := available(t, d, "g")
	if got := c.ClientID(ctx).Val(); got != id || member(g, "primary") != "c" {
		t.Errorf("connection %d became %d, the primary is %s", id, got, member(g, "primary"))
	}
	_, err = api.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
		ReplicationGroupId: aws.String("g"), Engine: aws.String("valkey"), EngineVersion: aws.String("8.0"), ApplyImmediately: aws.Bool(true),
	})
	must(t, err)
	g = available(t, d, "g")
	if v, err := client(t, primaryAddr(g), "", nil).Get(ctx, "k").Result(); v != "v" || err != nil || aws.ToString(g.Engine) != "valkey" {
		t.Errorf("%s has %q, %v", aws.ToString(g.Engine), v, err)
	}
	tidy(t, d)
}

package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/test/harness"
)

// TestScale changes the node type of a group under load, up and down, at once and in the
// maintenance window: no connection is dropped and no process replaced. A type that
// is too small for the data is refused.
func TestScale(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := harness.In(t, harness.Options{})
	api := d.ElastiCache()
	g := group(t, d, "g", 2, func(in *elasticache.CreateReplicationGroupInput) { secured(in); failover(in) })
	secure := trust(t, d)
	w := newWriter(t, primaryAddr(g), token, secure)
	w.beyond(t, 100)
	c := client(t, primaryAddr(g), token, secure)
	id := c.ClientID(ctx).Val()
	pid := node(t, d, "g-001/0001").PID
	modify := func(nodeType string, now bool) {
		t.Helper()
		_, err := api.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
			ReplicationGroupId: aws.String("g"), CacheNodeType: &nodeType, ApplyImmediately: &now,
		})
		must(t, err)
	}
	limit := func() string { return memory(ctx, t, c, "maxmemory") }

	before := limit()
	modify("cache.m7g.large", false)
	m, err := d.Cluster(ctx, "g-002")
	must(t, err)
	if aws.ToString(m.CacheNodeType) != "cache.t4g.micro" || aws.ToString(m.PendingModifiedValues.CacheNodeType) != "cache.m7g.large" || limit() != before {
		t.Errorf("type %s, pending %s, limit %s", aws.ToString(m.CacheNodeType), aws.ToString(m.PendingModifiedValues.CacheNodeType), limit())
	}
	now := time.Now().UTC()
	window := strings.ToLower(now.Add(-time.Minute).Format("Mon:15:04") + "-" + now.Add(time.Hour).Format("Mon:15:04"))
	_, err = api.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
		ReplicationGroupId: aws.String("g"), PreferredMaintenanceWindow: &window, SnapshotWindow: aws.String(now.Add(12*time.Hour).Format("15:04") + "-" + now.Add(13*time.Hour).Format("15:04")),
	})
	must(t, err)
	harness.Eventually(t, "the window applies the type", func(ctx context.Context) error {
		g, err := d.Group(ctx, "g")
		if err == nil && aws.ToString(g.CacheNodeType) != "cache.m7g.large" {
			err = fmt.Errorf("type %s", aws.ToString(g.CacheNodeType))
		}
		return err
	})
	available(t, d, "g")
	if limit() == before {
		t.Errorf("the limit is still %s", before)
	}
	awaitEvent(t, d, "g", "The maintenance window is open")
	awaitEvent(t, d, "g-002", "Succeeded applying modification to cache node type to cache.m7g.large.")

	// 0.5 GiB, of which a quarter is reserved, has no room for 450 MB.
	store(ctx, t, c, 450)
	modify("cache.t4g.micro", true)
	awaitEvent(t, d, "g-001", "Failed applying modification to cache node type to cache.t4g.micro. node us-east-1/g-001/0001 uses")
	if g = available(t, d, "g"); aws.ToString(g.CacheNodeType) != "cache.m7g.large" {
		t.Errorf("after the refusal the type is %s", aws.ToString(g.CacheNodeType))
	}
	must(t, c.Del(ctx, "filling").Err())
	replica := client(t, memberAddr(g, "g-002"), token, secure)
	harness.Eventually(t, "the replica has freed the memory", func(ctx context.Context) error {
		if used, err := strconv.Atoi(memory(ctx, t, replica, "used_memory")); err != nil || used > 100<<20 {
			return fmt.Errorf("%d bytes are used, %v", used, err)
		}
		return nil
	})
	modify("cache.t4g.micro", true)
	if g = available(t, d, "g"); aws.ToString(g.CacheNodeType) != "cache.t4g.micro" || limit() != before {
		t.Errorf("the type is %s, the limit %s", aws.ToString(g.CacheNodeType), limit())
	}

	if n := w.lost(t, c); n > 0 || len(w.errs) > 0 {
		t.Errorf("%d of %d writes are lost, %d were refused, the first with %v", n, len(w.acked), len(w.errs), w.errs[:min(len(w.errs), 1)])
	}
	if got := c.ClientID(ctx).Val(); got != id {
		t.Errorf("connection %d became %d", id, got)
	}
	if got := node(t, d, "g-001/0001").PID; got != pid {
		t.Errorf("process %d became %d", pid, got)
	}
}

// memory is a figure of an engine's memory as a customer sees it.
func memory(ctx context.Context, t testing.TB, c *redis.Client, name string) string {
	t.Helper()
	info, err := c.Info(ctx, "memory").Result()
	must(t, err)
	_, rest, _ := strings.Cut(info, "\n"+name+":")
	value, _, _ := strings.Cut(rest, "\r")
	return value
}

// store writes so many megabytes under one key.
func store(ctx context.Context, t testing.TB, c *redis.Client, megabytes int) {
	t.Helper()
	for i := range megabytes {
		must(t, c.HSet(ctx, "filling", fmt.Sprint(i), strings.Repeat("x", 1<<20)).Err())
	}
}

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// TestServiceUpdate installs a newer Valkey under a group that runs: that is a
// service update, which replaces its processes and loses nothing.
func TestServiceUpdate(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	program, err := exec.LookPath("valkey-server")
	if err != nil {
		t.Skip("needs valkey-server")
	}
	dir := t.TempDir()
	old := filepath.Join(dir, "valkey-server")
	script := "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'Valkey server v=8.0.0 sha=0 bits=64'; exit; fi\nexec " + program + " \"$@\"\n"
	must(t, os.WriteFile(old, []byte(script), 0o700))
	d := harness.In(t, harness.Options{Args: []string{"--engine-dirs", dir}})
	api := d.ElastiCache()
	g := group(t, d, "g", 2, func(in *elasticache.CreateReplicationGroupInput) { in.EngineVersion = aws.String("8.0") })
	c := client(t, primaryAddr(g), "", nil)
	must(t, c.Set(ctx, "k", "v", 0).Err())
	if got := node(t, d, "g-001/0001").BinaryVersion; got != "8.0.0" {
		t.Fatalf("the node runs %s", got)
	}
	d.Stop()
	must(t, os.Remove(old))
	must(t, d.Start(ctx))
	api = d.ElastiCache()

	var name string
	status := func(want string) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			out, err := api.DescribeUpdateActions(ctx, &elasticache.DescribeUpdateActionsInput{ReplicationGroupIds: []string{"g"}})
			if err != nil {
				return err
			}
			if len(out.UpdateActions) != 1 || string(out.UpdateActions[0].UpdateActionStatus) != want {
				return fmt.Errorf("actions %+v", out.UpdateActions)
			}
			name = *out.UpdateActions[0].ServiceUpdateName
			return nil
		}
	}
	harness.Eventually(t, "the update is offered", status("not-applied"))
	awaitEvent(t, d, "g-001", "Service update is available for cache node 0001.")
	out, err := api.BatchApplyUpdateAction(ctx, &elasticache.BatchApplyUpdateActionInput{ServiceUpdateName: &name, ReplicationGroupIds: []string{"g"}})
	must(t, err)
	if len(out.ProcessedUpdateActions) != 1 {
		t.Fatalf("refused: %+v", out.UnprocessedUpdateActions[0])
	}
	harness.Eventually(t, "the update is complete", status("complete"))
	g = available(t, d, "g")
	for _, id := range g.MemberClusters {
		if got := node(t, d, id+"/0001").BinaryVersion; got == "8.0.0" {
			t.Errorf("%s still runs %s", id, got)
		}
	}
	if v, err := client(t, primaryAddr(g), "", nil).Get(ctx, "k").Result(); v != "v" || err != nil {
		t.Errorf("k is %q, %v", v, err)
	}
}

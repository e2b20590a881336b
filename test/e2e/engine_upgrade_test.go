package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/redis/go-redis/v9"

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

// TestEngineUpgradeOfOneNode moves a group of one node and a lone cluster to Valkey, and then
// to another one, under writers: each goes on at its address, and no acknowledged
// write is lost.
func TestEngineUpgradeOfOneNode(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, func(t *testing.T, o harness.Options) {
		ctx := t.Context()
		o.Args = append(o.Args, "--engine-dirs", pretender(t, "8.1.0"))
		d := harness.In(t, o)
		api := d.ElastiCache()
		g := group(t, d, "g", 1, func(in *elasticache.CreateReplicationGroupInput) {
			secured(in)
			in.Engine, in.EngineVersion = aws.String("redis"), aws.String("7.1")
		})
		lone := cluster(t, d, "c", "redis", 1)
		ones := []*oneNode{
			{id: "g-001", addr: primaryAddr(g), token: token, tls: trust(t, d)},
			{id: "c", addr: harness.Addr(lone.CacheNodes[0].Endpoint)},
		}
		for _, o := range ones {
			o.writer = newWriter(t, o.addr, o.token, o.tls)
		}
		for _, version := range []string{"8.0", "8.1"} {
			for _, o := range ones {
				o.writer.beyond(t, 200)
				o.writer.pause()
			}
			_, err := api.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
				ReplicationGroupId: aws.String("g"), Engine: aws.String("valkey"), EngineVersion: &version, ApplyImmediately: aws.Bool(true),
			})
			must(t, err)
			_, err = api.ModifyCacheCluster(ctx, &elasticache.ModifyCacheClusterInput{
				CacheClusterId: aws.String("c"), Engine: aws.String("valkey"), EngineVersion: &version, ApplyImmediately: aws.Bool(true),
			})
			must(t, err)
			available(t, d, "g")
			_, err = d.AwaitCluster(ctx, "c", "available")
			must(t, err)
			for _, o := range ones {
				o.writer.beyond(t, 50)
				t.Logf("%s to %s: writes paused for %v", o.id, version, o.writer.pause())
				if got := node(t, d, o.id+"/0001").BinaryVersion; !strings.HasPrefix(got, version) {
					t.Errorf("%s runs %s, not %s", o.id, got, version)
				}
			}
		}
		for _, o := range ones {
			c := client(t, o.addr, o.token, o.tls)
			if info := c.Info(ctx, "replication").Val(); !strings.Contains(info, "role:master") {
				t.Errorf("%s is %s", o.id, info)
			}
			if n := o.writer.lost(t, c); n > 0 {
				t.Errorf("%s: %d of %d acknowledged writes are lost", o.id, n, len(o.writer.acked))
			}
			t.Logf("%s: %d writes acknowledged, %d refused", o.id, len(o.writer.acked), len(o.writer.errs))
			awaitEvent(t, d, o.id, "Upgraded the engine from redis 7.1.0 to valkey 8.0.1")
			awaitEvent(t, d, o.id, "Upgraded the engine from valkey 8.0.1 to valkey 8.1.0")
		}
		tidy(t, d)
	})
}

// oneNode is a node without replicas, and who writes there.
type oneNode struct {
	id, addr, token string
	tls             *tls.Config
	writer          *writer
}

// pretender is a directory with the installed Valkey, which says there that it is of
// another version.
func pretender(t *testing.T, version string) (dir string) {
	t.Helper()
	program, err := exec.LookPath("valkey-server")
	if err != nil {
		t.Skip("needs valkey-server")
	}
	dir = t.TempDir()
	script := "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'Valkey server v=" + version + " sha=0 bits=64'; exit; fi\nexec " + program + " \"$@\"\n"
	must(t, os.WriteFile(filepath.Join(dir, "valkey-server"), []byte(script), 0o700))
	return dir
}

// TestShardedEngineUpgrade moves groups in cluster mode to Valkey under writers: one with
// replicas, whose shards hand over to them, and one without, where nodes hand over to
// successors.
func TestShardedEngineUpgrade(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, func(t *testing.T, o harness.Options) {
		d := harness.In(t, o)
		loads := map[string]*load{}
		clients := map[string]*redis.ClusterClient{}
		for id, replicas := range map[string]int32{"with": 1, "without": 0} {
			g := shardedGroup(t, d, id, 2, replicas, func(in *elasticache.CreateReplicationGroupInput) {
				in.Engine, in.EngineVersion = aws.String("redis"), aws.String("7.1")
			})
			clients[id] = clusterClient(t, g, "", nil)
			loads[id] = newLoad(t, clients[id], 4, false)
			loads[id].beyond(t, 400)
			_, err := d.ElastiCache().ModifyReplicationGroup(t.Context(), &elasticache.ModifyReplicationGroupInput{
				ReplicationGroupId: &id, Engine: aws.String("valkey"), EngineVersion: aws.String("8.0"), ApplyImmediately: aws.Bool(true),
			})
			must(t, err)
		}
		for id, l := range loads {
			g := available(t, d, id)
			for _, m := range g.MemberClusters {
				if got := node(t, d, m+"/0001").BinaryVersion; !strings.HasPrefix(got, "8.") {
					t.Errorf("%s runs %s", m, got)
				}
			}
			allSlotsServed(t, d, g)
			l.end()
			t.Logf("%s replicas: %d operations failed, the last with %v", id, len(l.errs), errors.Join(l.errs[max(0, len(l.errs)-1):]...))
			l.errs = nil // connections were cut
			l.check(t, clusterClient(t, g, "", nil))
		}
		tidy(t, d)
	})
}

// allSlotsServed asks every engine of a group whether it knows of all slots who serves them.
func allSlotsServed(t testing.TB, d *harness.Deployment, g types.ReplicationGroup) {
	t.Helper()
	for _, m := range g.MemberClusters {
		c, err := d.Cluster(t.Context(), m)
		must(t, err)
		info, err := client(t, harness.Addr(c.CacheNodes[0].Endpoint), "", nil).ClusterInfo(t.Context()).Result()
		must(t, err)
		if !strings.Contains(info, "cluster_slots_assigned:16384\r\n") {
			t.Errorf("to %s some slots are nobody's: %s", m, info)
		}
	}
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
	dir := pretender(t, "8.0.0")
	d := harness.In(t, harness.Options{Args: []string{"--engine-dirs", dir}})
	api := d.ElastiCache()
	g := group(t, d, "g", 2, func(in *elasticache.CreateReplicationGroupInput) {
		in.EngineVersion, in.AutoMinorVersionUpgrade = aws.String("8.0"), aws.Bool(false)
	})
	c := client(t, primaryAddr(g), "", nil)
	must(t, c.Set(ctx, "k", "v", 0).Err())
	if got := node(t, d, "g-001/0001").BinaryVersion; got != "8.0.0" {
		t.Fatalf("the node runs %s", got)
	}
	d.Stop()
	must(t, os.Remove(filepath.Join(dir, "valkey-server")))
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
	c = client(t, primaryAddr(g), "", nil)
	if v, err := c.Get(ctx, "k").Result(); v != "v" || err != nil {
		t.Errorf("k is %q, %v", v, err)
	}
	ip, port, _ := net.SplitHostPort(memberAddr(g, member(g, "replica")))
	if info := c.Info(ctx, "replication").Val(); !strings.Contains(info, "slave0:ip="+ip+",port="+port+",") || !strings.Contains(info, "connected_slaves:1\r") {
		t.Errorf("the primary tells of other replicas than %s:%s: %s", ip, port, info)
	}
}

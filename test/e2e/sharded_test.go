package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/test/harness"
)

// shardedGroup creates a group in cluster mode and waits until it is available.
func shardedGroup(t testing.TB, d *harness.Deployment, id string, shards, replicas int32, edit func(*elasticache.CreateReplicationGroupInput)) types.ReplicationGroup {
	t.Helper()
	began := time.Now()
	createGroup(t, d, id, 1, func(in *elasticache.CreateReplicationGroupInput) {
		in.NumCacheClusters, in.NumNodeGroups, in.ReplicasPerNodeGroup = nil, &shards, &replicas
		in.AutomaticFailoverEnabled = aws.Bool(true)
		if edit != nil {
			edit(in)
		}
	})
	g := available(t, d, id)
	t.Logf("%d shards with %d replicas each are available after %v", shards, replicas, time.Since(began))
	return g
}

// clusterClient follows redirections as clients do by default; it does not try again
// what failed otherwise.
func clusterClient(t testing.TB, g types.ReplicationGroup, token string, config *tls.Config) *redis.ClusterClient {
	c := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{harness.Addr(g.ConfigurationEndpoint)}, Password: token, TLSConfig: config, DisableIdentity: true, Protocol: 2,
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// slots is each shard of a group as "ID SLOTS", as the API tells it.
func slots(g types.ReplicationGroup) string {
	var out []string
	for _, n := range g.NodeGroups {
		out = append(out, aws.ToString(n.NodeGroupId)+" "+aws.ToString(n.Slots))
	}
	return strings.Join(out, "; ")
}

// eachShardedEngine runs a test with both engines, one in plaintext, one with TLS and
// a token, in each fabric.
func eachShardedEngine(t *testing.T, test func(t *testing.T, d *harness.Deployment, edit func(*elasticache.CreateReplicationGroupInput), token string, config func() *tls.Config)) {
	harness.EachFabric(t, func(t *testing.T, o harness.Options) {
		t.Run("redis", func(t *testing.T) {
			t.Parallel()
			test(t, harness.In(t, o), func(in *elasticache.CreateReplicationGroupInput) { in.Engine = aws.String("redis") }, "", func() *tls.Config { return nil })
		})
		t.Run("valkey with TLS and token", func(t *testing.T) {
			t.Parallel()
			d := harness.In(t, o)
			test(t, d, func(in *elasticache.CreateReplicationGroupInput) {
				secured(in)
				in.Engine, in.EngineVersion = aws.String("valkey"), aws.String("8.0")
			}, token, func() *tls.Config { return trust(t, d) })
		})
	})
}

// reshard changes the number of shards and waits until that is done.
func reshard(t testing.TB, d *harness.Deployment, count int32, remove ...string) types.ReplicationGroup {
	t.Helper()
	began := time.Now()
	out, err := d.ElastiCache().ModifyReplicationGroupShardConfiguration(t.Context(), &elasticache.ModifyReplicationGroupShardConfigurationInput{
		ReplicationGroupId: aws.String("g"), NodeGroupCount: &count, ApplyImmediately: aws.Bool(true), NodeGroupsToRemove: remove,
	})
	must(t, err)
	if r := out.ReplicationGroup.PendingModifiedValues.Resharding; r == nil || r.SlotMigration == nil {
		t.Errorf("the answer tells no progress")
	}
	g := reshaped(t, d)
	t.Logf("%d shards after %v", count, time.Since(began))
	return g
}

// reshaped waits for the end of a resharding, which takes a busy host its time.
func reshaped(t testing.TB, d *harness.Deployment) types.ReplicationGroup {
	t.Helper()
	var g types.ReplicationGroup
	err := harness.Await(t.Context(), 3*time.Minute, func(ctx context.Context) (err error) {
		if g, err = d.Group(ctx, "g"); err == nil && aws.ToString(g.Status) != "available" {
			err = fmt.Errorf("group g is %s", aws.ToString(g.Status))
		}
		return err
	})
	must(t, err)
	return g
}

// teach loads a function into every shard, as its users do.
func teach(t testing.TB, c *redis.ClusterClient) {
	t.Helper()
	must(t, c.ForEachMaster(t.Context(), func(ctx context.Context, shard *redis.Client) error {
		return shard.FunctionLoad(ctx, "#!lua name=taught\nredis.register_function('answer', function() return 42 end)").Err()
	}))
}

// taught calls it in every shard there is now.
func taught(t testing.TB, c *redis.ClusterClient, shards int32) {
	t.Helper()
	c.ReloadState(t.Context())
	harness.Eventually(t, "the function in every shard", func(ctx context.Context) error {
		var asked atomic.Int32
		err := c.ForEachMaster(ctx, func(ctx context.Context, shard *redis.Client) error {
			asked.Add(1)
			return shard.FCall(ctx, "answer", nil).Err()
		})
		if err == nil && asked.Load() != shards {
			err = fmt.Errorf("%d of %d shards", asked.Load(), shards)
		}
		return err
	})
}

// TestResharding adds a shard to a group and removes another one while clients write
// and read: none of them sees an error.
func TestResharding(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, func(t *testing.T, o harness.Options) {
		d := harness.In(t, o)
		g := shardedGroup(t, d, "g", 2, 0, func(in *elasticache.CreateReplicationGroupInput) { in.Engine = aws.String("redis") })
		if got := slots(g); got != "0001 0-8191; 0002 8192-16383" {
			t.Errorf("shards %s", got)
		}
		c := clusterClient(t, g, "", nil)
		teach(t, c)
		l := newLoad(t, c, 4, false)
		if got := slots(reshard(t, d, 3)); got != "0001 0-5461; 0002 8192-13652; 0003 5462-8191,13653-16383" {
			t.Errorf("three shards %s", got)
		}
		taught(t, c, 3)
		g = reshard(t, d, 2, "0001")
		if got := slots(g); !strings.HasPrefix(got, "0002 ") || len(g.NodeGroups) != 2 || len(g.MemberClusters) != 2 {
			t.Errorf("two shards %s with members %v", got, g.MemberClusters)
		}
		l.check(t, c)
		_, err := d.ElastiCache().ModifyReplicationGroupShardConfiguration(t.Context(), &elasticache.ModifyReplicationGroupShardConfigurationInput{
			ReplicationGroupId: aws.String("g"), NodeGroupCount: aws.Int32(2), ApplyImmediately: aws.Bool(true),
		})
		if err == nil || !strings.Contains(err.Error(), "uniformly distributed") {
			t.Errorf("nothing to do: %v", err)
		}
		tidy(t, d)
	})
}

// TestReshardingWithReplicas removes a small shard of a group with replicas, TLS and
// a token, and then gives the others more replicas and takes them away again.
func TestReshardingWithReplicas(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, func(t *testing.T, o harness.Options) {
		d := harness.In(t, o)
		g := shardedGroup(t, d, "g", 3, 1, func(in *elasticache.CreateReplicationGroupInput) {
			secured(in)
			in.EngineVersion = aws.String("8.0")
			for _, s := range []string{"0-7991", "7992-15983", "15984-16383"} {
				in.NodeGroupConfiguration = append(in.NodeGroupConfiguration, types.NodeGroupConfiguration{Slots: &s})
			}
		})
		c := clusterClient(t, g, token, trust(t, d))
		l := newLoad(t, c, 4, false)
		l.beyond(t, 2000)
		g = reshard(t, d, 2, "0003")
		if got := slots(g); got != "0001 0-7991,15984-16183; 0002 7992-15983,16184-16383" {
			t.Errorf("two shards %s", got)
		}
		_, err := d.ElastiCache().IncreaseReplicaCount(t.Context(), &elasticache.IncreaseReplicaCountInput{
			ReplicationGroupId: aws.String("g"), NewReplicaCount: aws.Int32(2), ApplyImmediately: aws.Bool(true),
		})
		must(t, err)
		if g = reshaped(t, d); len(g.MemberClusters) != 6 {
			t.Errorf("two shards with two replicas each are %v", g.MemberClusters)
		}
		_, err = d.ElastiCache().DecreaseReplicaCount(t.Context(), &elasticache.DecreaseReplicaCountInput{
			ReplicationGroupId: aws.String("g"), NewReplicaCount: aws.Int32(1), ApplyImmediately: aws.Bool(true),
		})
		must(t, err)
		if g = reshaped(t, d); len(g.MemberClusters) != 4 {
			t.Errorf("two shards with a replica each are %v", g.MemberClusters)
		}
		l.check(t, c)
		tidy(t, d)
	})
}

// TestReshardingSurvivesKills kills the server again and again while slots move: the
// move goes on, and no client sees an error.
func TestReshardingSurvivesKills(t *testing.T) {
	t.Parallel()
	d := harness.In(t, harness.Options{})
	g := shardedGroup(t, d, "g", 2, 0, nil)
	c := clusterClient(t, g, "", nil)
	teach(t, c)
	l := newLoad(t, c, 4, false)
	_, err := d.ElastiCache().ModifyReplicationGroupShardConfiguration(t.Context(), &elasticache.ModifyReplicationGroupShardConfigurationInput{
		ReplicationGroupId: aws.String("g"), NodeGroupCount: aws.Int32(3), ApplyImmediately: aws.Bool(true),
	})
	must(t, err)
	kills := 0
	for range 20 {
		var progress float64
		harness.Eventually(t, "progress", func(ctx context.Context) error {
			g, err := d.Group(ctx, "g")
			if err != nil {
				return err
			}
			p := g.PendingModifiedValues
			if p == nil || p.Resharding == nil {
				progress = 100
				return nil
			}
			if now := p.Resharding.SlotMigration.ProgressPercentage; aws.ToFloat64(now) > progress {
				progress = aws.ToFloat64(now)
				return nil
			}
			return fmt.Errorf("still at %v", progress)
		})
		if progress >= 100 {
			break
		}
		d.Kill()
		kills++
		must(t, d.Start(t.Context()))
	}
	if got := slots(reshaped(t, d)); got != "0001 0-5461; 0002 8192-13652; 0003 5462-8191,13653-16383" {
		t.Errorf("three shards %s", got)
	}
	t.Logf("killed %d times", kills)
	l.check(t, c)
	taught(t, c, 3)
}

// TestShardFailover loses primaries, one by a kill and one by TestFailover: no write
// that a replica had is lost, and the other shards notice nothing.
func TestShardFailover(t *testing.T) {
	t.Parallel()
	eachShardedEngine(t, func(t *testing.T, d *harness.Deployment, edit func(*elasticache.CreateReplicationGroupInput), token string, config func() *tls.Config) {
		g := shardedGroup(t, d, "g", 3, 1, edit)
		c := clusterClient(t, g, token, config())
		durable := newLoad(t, c, 4, true)
		durable.beyond(t, 200)

		pid := killNode(t, d, "g-0002-001/0001")
		awaitEvent(t, d, "g", "Failover from primary node g-0002-001 to replica node g-0002-002 completed")
		awaitRestart(t, d, "g-0002-001/0001", pid)
		awaitEvent(t, d, "g-0002-001", "Finished recovery for cache nodes 0001")
		t.Logf("killed: slowest write %v", durable.longest)
		durable.check(t, c)
		available(t, d, "g")

		plain := newLoad(t, c, 4, false)
		plain.beyond(t, 100)
		_, err := d.ElastiCache().TestFailover(t.Context(), &elasticache.TestFailoverInput{ReplicationGroupId: aws.String("g"), NodeGroupId: aws.String("0003")})
		must(t, err)
		awaitEvent(t, d, "g", "Failover from primary node g-0003-001 to replica node g-0003-002 completed")
		available(t, d, "g")
		plain.check(t, c)

		var roles []string
		for _, id := range g.MemberClusters {
			n := node(t, d, id+"/0001")
			roles = append(roles, id+" "+n.Role)
		}
		slices.Sort(roles)
		want := "g-0001-001 primary, g-0001-002 replica, g-0002-001 replica, g-0002-002 primary, g-0003-001 replica, g-0003-002 primary"
		if got := strings.Join(roles, ", "); got != want {
			t.Errorf("roles %s, want %s", got, want)
		}
		tidy(t, d)
	})
}

// freePorts is the first of so many ports that nobody listens on, below those that the
// kernel gives to connections.
func freePorts(t *testing.T, count int) int {
	t.Helper()
next:
	for first := 20000 + os.Getpid()%5000; first < 32000; first += count {
		for port := first; port < first+count; port++ {
			l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
			if err != nil {
				continue next
			}
			must(t, l.Close())
		}
		return first
	}
	t.Fatal("no ports are free")
	return 0
}

// TestShardsAdvertised: clients of a deployment that advertises a host are sent from
// shard to shard by its name and the ports of its range, through a resharding and a
// failover too.
func TestShardsAdvertised(t *testing.T) {
	t.Parallel()
	const count = 12
	first := freePorts(t, count)
	d := harness.In(t, harness.Options{Fabric: "userspace", Args: []string{
		"--advertise", "localhost", "--ports", fmt.Sprintf("%d-%d", first, first+count-1),
	}})
	g := shardedGroup(t, d, "g", 2, 1, func(in *elasticache.CreateReplicationGroupInput) {
		secured(in)
		in.Engine = aws.String("redis")
	})
	c := clusterClient(t, g, token, trust(t, d))
	l := newLoad(t, c, 2, false)
	l.beyond(t, 200)
	advertised := func(want int) {
		t.Helper()
		harness.Eventually(t, "the advertised addresses", func(ctx context.Context) error {
			shards, err := c.ClusterShards(ctx).Result()
			if err != nil {
				return err
			}
			nodes := map[int64]bool{}
			for _, sh := range shards {
				for _, n := range sh.Nodes {
					nodes[n.Port] = true
					if n.Endpoint != "localhost" || n.Port < int64(first) || n.Port >= int64(first+count) {
						return fmt.Errorf("clients are sent to %s:%d", n.Endpoint, n.Port)
					}
				}
			}
			if len(nodes) != want {
				return fmt.Errorf("clients know of %v", nodes)
			}
			return nil
		})
	}
	advertised(4)
	reshard(t, d, 3)
	advertised(6)
	_, err := d.ElastiCache().TestFailover(t.Context(), &elasticache.TestFailoverInput{ReplicationGroupId: aws.String("g"), NodeGroupId: aws.String("0003")})
	must(t, err)
	awaitEvent(t, d, "g", "Failover from primary node g-0003-001 to replica node g-0003-002 completed")
	available(t, d, "g")
	l.check(t, c)
}

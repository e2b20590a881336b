package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"

	"github.com/larder-cache/larder/test/harness"
)

// groupChange is an operation on a group that takes the server some steps to carry out.
type groupChange struct {
	name string
	// ask begins it, and gives what is true of a group when it is done.
	ask func(ctx context.Context, api *elasticache.Client, g types.ReplicationGroup) (outcome, error)
}

// outcome says what is missing of a change in a group that is available.
type outcome func(ctx context.Context, g types.ReplicationGroup) error

// killedChanges come back to where they began, so that they can be repeated.
func killedChanges(d *harness.Deployment) []groupChange {
	now := aws.Bool(true)
	count := func(n int) outcome {
		return func(_ context.Context, g types.ReplicationGroup) error {
			if len(g.MemberClusters) != n || len(g.NodeGroups[0].NodeGroupMembers) != n {
				return fmt.Errorf("the members are %v", g.MemberClusters)
			}
			return nil
		}
	}
	return []groupChange{
		{"another replica", func(ctx context.Context, api *elasticache.Client, g types.ReplicationGroup) (outcome, error) {
			_, err := api.IncreaseReplicaCount(ctx, &elasticache.IncreaseReplicaCountInput{
				ReplicationGroupId: g.ReplicationGroupId, NewReplicaCount: aws.Int32(2), ApplyImmediately: now,
			})
			return count(3), err
		}},
		{"a replica less", func(ctx context.Context, api *elasticache.Client, g types.ReplicationGroup) (outcome, error) {
			_, err := api.DecreaseReplicaCount(ctx, &elasticache.DecreaseReplicaCountInput{
				ReplicationGroupId: g.ReplicationGroupId, NewReplicaCount: aws.Int32(1), ApplyImmediately: now,
			})
			return count(2), err
		}},
		{"another node type", func(ctx context.Context, api *elasticache.Client, g types.ReplicationGroup) (outcome, error) {
			to, before := "cache.t4g.small", maxMemories(ctx, g)
			if aws.ToString(g.CacheNodeType) == to {
				to = "cache.t4g.micro"
			}
			_, err := api.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
				ReplicationGroupId: g.ReplicationGroupId, CacheNodeType: &to, ApplyImmediately: now,
			})
			return func(ctx context.Context, g types.ReplicationGroup) error {
				after := maxMemories(ctx, g)
				if got := aws.ToString(g.CacheNodeType); got != to || len(after) != 1 || after[0] == before[0] {
					return fmt.Errorf("the group has nodes of %s with limits %v, they were %v", got, after, before)
				}
				return nil
			}, err
		}},
		{"promotion", func(ctx context.Context, api *elasticache.Client, g types.ReplicationGroup) (outcome, error) {
			to := member(g, "replica")
			_, err := api.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
				ReplicationGroupId: g.ReplicationGroupId, PrimaryClusterId: &to, ApplyImmediately: now,
			})
			return func(_ context.Context, g types.ReplicationGroup) error {
				if got := member(g, "primary"); got != to {
					return fmt.Errorf("the primary is %s, not %s", got, to)
				}
				return nil
			}, err
		}},
		{"reboot", func(ctx context.Context, api *elasticache.Client, g types.ReplicationGroup) (outcome, error) {
			id := member(g, "replica")
			before, err := d.Node(ctx, id+"/0001")
			if err != nil {
				return nil, err
			}
			_, err = api.RebootCacheCluster(ctx, &elasticache.RebootCacheClusterInput{CacheClusterId: &id, CacheNodeIdsToReboot: []string{"0001"}})
			return func(ctx context.Context, _ types.ReplicationGroup) error {
				after, err := d.Node(ctx, id+"/0001")
				if err == nil && (after.PID == before.PID || after.Role != "replica") {
					err = fmt.Errorf("%s was process %d and is %d, a %s", id, before.PID, after.PID, after.Role)
				}
				return err
			}, err
		}},
	}
}

// maxMemories are the different limits of memory that the members of a group have.
func maxMemories(ctx context.Context, g types.ReplicationGroup) (limits []string) {
	seen := map[string]bool{}
	for _, id := range g.MemberClusters {
		c := harness.Redis(memberAddr(g, id), "", nil)
		info, err := c.InfoMap(ctx, "memory").Result()
		_ = c.Close()
		limit := info["Memory"]["maxmemory"]
		if err != nil {
			limit = err.Error()
		}
		if !seen[limit] {
			seen[limit] = true
			limits = append(limits, limit)
		}
	}
	return limits
}

// TestKillServerInChanges kills the server at random points of each of some changes,
// the first of them right after the answer: the change is brought to its end, no node
// is lost on the way, and no acknowledged write.
func TestKillServerInChanges(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, testKillServerInChanges)
}

func testKillServerInChanges(t *testing.T, o harness.Options) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	ctx := t.Context()
	o.Args = []string{"--listen", freeAddress(t)}
	d := harness.In(t, o)
	g := group(t, d, "g", 2, nil)
	w := newWriter(t, primaryAddr(g), "", nil)
	w.beyond(t, 50)
	for _, delay := range []int{0, 30, 200} {
		for _, c := range killedChanges(d) {
			done, err := c.ask(ctx, d.ElastiCache(), g)
			must(t, err)
			if delay > 0 { // the point is to meet the change at any of its steps
				time.Sleep(time.Duration(random.IntN(delay)) * time.Millisecond)
			}
			d.Kill()
			must(t, d.Start(ctx))
			harness.Eventually(t, c.name, func(ctx context.Context) (err error) {
				if g, err = d.Group(ctx, "g"); err != nil {
					return err
				}
				if status := aws.ToString(g.Status); status != "available" {
					return errors.New("the group is " + status)
				}
				return done(ctx, g)
			})
			for _, id := range g.MemberClusters {
				must(t, client(t, memberAddr(g, id), "", nil).Ping(ctx).Err())
			}
		}
	}
	w.beyond(t, 50)
	if n := w.lost(t, client(t, primaryAddr(g), "", nil)); n > 0 {
		t.Errorf("%d of %d acknowledged writes are lost", n, len(w.acked))
	}
	tidy(t, d)
}

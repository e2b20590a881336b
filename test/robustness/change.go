package robustness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/aws/smithy-go"

	"github.com/larder-cache/larder/test/harness"
)

// step is something that is done to a group.
type step struct {
	name string
	do   func(ctx context.Context, g *group, now view, r *rand.Rand) error
}

// changes go through the API. None of them may lose a write.
var changes = []step{
	{"test failover", testFailover},
	{"promote", promote},
	{"count replicas", countReplicas},
	{"change node type", changeNodeType},
	{"rotate", func(ctx context.Context, g *group, _ view, r *rand.Rand) error {
		return g.newToken(ctx, types.AuthTokenUpdateStrategyTypeRotate, r)
	}},
	{"set token", func(ctx context.Context, g *group, _ view, r *rand.Rand) error {
		return g.newToken(ctx, types.AuthTokenUpdateStrategyTypeSet, r)
	}},
}

// shardedChanges are those of groups in cluster mode.
var shardedChanges = []step{
	{"test failover", testFailover},
	{"count shards", countShards},
	{"count shards", countShards},
	{"count replicas of a shard", countShardReplicas},
	{"change node type", changeNodeType},
	{"rotate", changes[4].do},
	{"set token", changes[5].do},
}

// faults hit processes. A shard never loses all of its own.
var faults = []step{
	{"kill a primary", func(ctx context.Context, g *group, now view, r *rand.Rand) error {
		return g.hit(now, now.pick("primary", r), syscall.SIGKILL)
	}},
	{"kill a replica", func(ctx context.Context, g *group, now view, r *rand.Rand) error {
		return g.hit(now, now.pick("replica", r), syscall.SIGKILL)
	}},
	{"stop a primary", func(ctx context.Context, g *group, now view, r *rand.Rand) error {
		return g.hit(now, now.pick("primary", r), syscall.SIGSTOP)
	}},
}

// hit sends a signal to the process of a member.
func (g *group) hit(now view, m member, signal syscall.Signal) error {
	if m.pid <= 0 {
		return errors.New("there is no such process")
	}
	g.blow(blow{slots: now.slots[m.shard]})
	return syscall.Kill(m.pid, signal)
}

func testFailover(ctx context.Context, g *group, now view, r *rand.Rand) error {
	shards := now.shards()
	_, err := g.api.TestFailover(ctx, &elasticache.TestFailoverInput{ReplicationGroupId: &g.id, NodeGroupId: &shards[r.IntN(len(shards))]})
	return err
}

// nodeTypes are those that groups change between.
var nodeTypes = []string{"cache.t4g.micro", "cache.t4g.small"}

func changeNodeType(ctx context.Context, g *group, now view, _ *rand.Rand) error {
	to := nodeTypes[0]
	if aws.ToString(now.CacheNodeType) == to {
		to = nodeTypes[1]
	}
	_, err := g.api.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
		ReplicationGroupId: &g.id, ApplyImmediately: aws.Bool(true), CacheNodeType: &to,
	})
	return err
}

// mostShards is how many shards a group begins with, and grows to from one less.
const mostShards = 3

// countShards adds a shard or removes one, the smallest of all or any. What is asked for
// while slots move has to be refused.
func countShards(ctx context.Context, g *group, now view, r *rand.Rand) error {
	shards := now.shards()
	in := &elasticache.ModifyReplicationGroupShardConfigurationInput{
		ReplicationGroupId: &g.id, ApplyImmediately: aws.Bool(true), NodeGroupCount: aws.Int32(mostShards),
	}
	if len(shards) == mostShards {
		in.NodeGroupCount = aws.Int32(mostShards - 1)
		in.NodeGroupsToRemove = []string{now.smallest(shards[r.IntN(len(shards))])}
	}
	if _, err := g.api.ModifyReplicationGroupShardConfiguration(ctx, in); err != nil {
		return err
	}
	return g.refuses(ctx, shards[0])
}

// errConflict is a change that was accepted in the midst of another one.
var errConflict = errors.New("a change is accepted while slots move")

// refuses asks for a failover while slots move.
func (g *group) refuses(ctx context.Context, shard string) error {
	_, err := g.api.TestFailover(ctx, &elasticache.TestFailoverInput{ReplicationGroupId: &g.id, NodeGroupId: &shard})
	var api smithy.APIError
	switch {
	case errors.As(err, &api):
		if code := api.ErrorCode(); code != "InvalidReplicationGroupState" && code != "NodeGroupNotFoundFault" {
			return fmt.Errorf("%w, but for %s", errConflict, code)
		}
	case err == nil:
		now, err := g.d.Group(ctx, g.id)
		if err == nil && now.PendingModifiedValues != nil && now.PendingModifiedValues.Resharding != nil {
			return errConflict
		}
	}
	return nil // lost on the way, or too late
}

// countShardReplicas gives a shard a second replica, or one less.
func countShardReplicas(ctx context.Context, g *group, now view, r *rand.Rand) error {
	shard := now.NodeGroups[r.IntN(len(now.NodeGroups))]
	config := func(count int32) []types.ConfigureShard {
		return []types.ConfigureShard{{NodeGroupId: shard.NodeGroupId, NewReplicaCount: &count}}
	}
	if len(shard.NodeGroupMembers) > 2 {
		_, err := g.api.DecreaseReplicaCount(ctx, &elasticache.DecreaseReplicaCountInput{
			ReplicationGroupId: &g.id, ApplyImmediately: aws.Bool(true), ReplicaConfiguration: config(1),
		})
		return err
	}
	_, err := g.api.IncreaseReplicaCount(ctx, &elasticache.IncreaseReplicaCountInput{
		ReplicationGroupId: &g.id, ApplyImmediately: aws.Bool(true), ReplicaConfiguration: config(2),
	})
	return err
}

// promote makes a replica the primary, for which automatic failover has to be off.
func promote(ctx context.Context, g *group, now view, r *rand.Rand) error {
	failover := func(on bool) error {
		_, err := g.api.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
			ReplicationGroupId: &g.id, ApplyImmediately: aws.Bool(true), AutomaticFailoverEnabled: &on,
		})
		return err
	}
	done := failover(false)
	if now, err := g.settled(ctx); err == nil && done == nil {
		to := now.pick("replica", r).id
		_, done = g.api.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
			ReplicationGroupId: &g.id, ApplyImmediately: aws.Bool(true), PrimaryClusterId: &to,
		})
		if _, err := g.settled(ctx); err != nil {
			return err
		}
	}
	// Whatever became of it, faults to come need the failover.
	return errors.Join(done, harness.Await(ctx, time.Minute, func(context.Context) error { return failover(true) }))
}

// countReplicas adds a replica, or takes away the one that was added. The members
// that are witnessed stay.
func countReplicas(ctx context.Context, g *group, now view, _ *rand.Rand) error {
	const extra = "-004"
	for _, m := range now.MemberClusters {
		if !strings.HasSuffix(m, extra) {
			continue
		}
		_, err := g.api.DecreaseReplicaCount(ctx, &elasticache.DecreaseReplicaCountInput{
			ReplicationGroupId: &g.id, ApplyImmediately: aws.Bool(true), ReplicasToRemove: []string{m},
		})
		return err
	}
	more := int32(len(now.MemberClusters))
	_, err := g.api.IncreaseReplicaCount(ctx, &elasticache.IncreaseReplicaCountInput{
		ReplicationGroupId: &g.id, ApplyImmediately: aws.Bool(true), NewReplicaCount: &more,
	})
	return err
}

// newToken gives the group another token, if it has any.
func (g *group) newToken(ctx context.Context, strategy types.AuthTokenUpdateStrategyType, r *rand.Rand) error {
	old := g.token.Load().(string)
	if old == "" {
		return nil
	}
	token := fmt.Sprintf("token-%016x", r.Uint64())
	if strategy == types.AuthTokenUpdateStrategyTypeSet {
		token = old // leaves the one in use as the only one
	}
	err := g.setToken(ctx, strategy, token)
	if err != nil && !errors.As(err, new(smithy.APIError)) {
		return errors.Join(err, g.regain(ctx, old))
	}
	if err != nil || token == old {
		return err
	}
	if _, err := g.settled(ctx); err != nil {
		return err
	}
	g.token.Store(token)
	return nil
}

// regain makes the token in use the only one, after a change of which nobody knows whether
// it was done: if it was, the next one would make the token in use one of the past.
func (g *group) regain(ctx context.Context, token string) error {
	// SET takes the newest token only.
	for _, strategy := range []types.AuthTokenUpdateStrategyType{types.AuthTokenUpdateStrategyTypeRotate, types.AuthTokenUpdateStrategyTypeSet} {
		err := harness.Await(ctx, time.Minute, func(context.Context) error { return g.setToken(ctx, strategy, token) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (g *group) setToken(ctx context.Context, strategy types.AuthTokenUpdateStrategyType, token string) error {
	_, err := g.api.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
		ReplicationGroupId: &g.id, ApplyImmediately: aws.Bool(true), AuthToken: &token, AuthTokenUpdateStrategy: strategy,
	})
	return err
}

// outcome sorts the answer to an operation: done, refused, or lost on the way. Any
// other answer is an error of the server.
func outcome(err error) (name string, ok bool) {
	var api smithy.APIError
	switch {
	case err == nil:
		return "done", true
	case errors.Is(err, errConflict):
		return err.Error(), false
	case !errors.As(err, &api):
		return "lost on the way", true
	case api.ErrorCode() == "InternalFailure" || api.ErrorCode() == "InternalError":
		return api.Error(), false
	}
	return "refused: " + api.ErrorCode(), true
}

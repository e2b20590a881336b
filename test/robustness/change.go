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
	do   func(ctx context.Context, g *group, now types.ReplicationGroup, r *rand.Rand) error
}

// changes go through the API. None of them may lose a write.
var changes = []step{
	{"test failover", func(ctx context.Context, g *group, _ types.ReplicationGroup, _ *rand.Rand) error {
		_, err := g.api.TestFailover(ctx, &elasticache.TestFailoverInput{ReplicationGroupId: &g.id, NodeGroupId: aws.String("0001")})
		return err
	}},
	{"promote", promote},
	{"count replicas", countReplicas},
	{"rotate", func(ctx context.Context, g *group, _ types.ReplicationGroup, r *rand.Rand) error {
		return g.newToken(ctx, types.AuthTokenUpdateStrategyTypeRotate, r)
	}},
	{"set token", func(ctx context.Context, g *group, _ types.ReplicationGroup, r *rand.Rand) error {
		return g.newToken(ctx, types.AuthTokenUpdateStrategyTypeSet, r)
	}},
}

// faults hit processes.
var faults = []step{
	{"kill the primary", func(ctx context.Context, g *group, now types.ReplicationGroup, _ *rand.Rand) error {
		return g.hit(ctx, roleOf(now, "primary"), syscall.SIGKILL)
	}},
	{"kill a replica", func(ctx context.Context, g *group, now types.ReplicationGroup, _ *rand.Rand) error {
		return g.hit(ctx, roleOf(now, "replica"), syscall.SIGKILL)
	}},
	{"stop the primary", func(ctx context.Context, g *group, now types.ReplicationGroup, _ *rand.Rand) error {
		return g.hit(ctx, roleOf(now, "primary"), syscall.SIGSTOP)
	}},
}

func roleOf(now types.ReplicationGroup, role string) string {
	for _, m := range now.NodeGroups[0].NodeGroupMembers {
		if aws.ToString(m.CurrentRole) == role {
			return *m.CacheClusterId
		}
	}
	return ""
}

// hit sends a signal to the process of a member.
func (g *group) hit(ctx context.Context, member string, signal syscall.Signal) error {
	n, err := g.d.Node(ctx, member+"/0001")
	if err != nil || n.PID <= 0 {
		return err
	}
	g.blow()
	return syscall.Kill(n.PID, signal)
}

// promote makes a replica the primary, for which automatic failover has to be off.
func promote(ctx context.Context, g *group, now types.ReplicationGroup, _ *rand.Rand) error {
	failover := func(on bool) error {
		_, err := g.api.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
			ReplicationGroupId: &g.id, ApplyImmediately: aws.Bool(true), AutomaticFailoverEnabled: &on,
		})
		return err
	}
	if err := failover(false); err != nil {
		return err
	}
	var done error
	if _, err := g.settled(ctx); err == nil {
		to := roleOf(now, "replica")
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
func countReplicas(ctx context.Context, g *group, now types.ReplicationGroup, _ *rand.Rand) error {
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
	_, err := g.api.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
		ReplicationGroupId: &g.id, ApplyImmediately: aws.Bool(true), AuthToken: &token, AuthTokenUpdateStrategy: strategy,
	})
	if err != nil || token == old {
		return err
	}
	if _, err := g.settled(ctx); err != nil {
		return err
	}
	g.token.Store(token)
	return nil
}

// outcome sorts the answer to an operation: done, refused, or lost on the way. Any
// other answer is an error of the server.
func outcome(err error) (name string, ok bool) {
	var api smithy.APIError
	switch {
	case err == nil:
		return "done", true
	case !errors.As(err, &api):
		return "lost on the way", true
	case api.ErrorCode() == "InternalFailure" || api.ErrorCode() == "InternalError":
		return api.Error(), false
	}
	return "refused: " + api.ErrorCode(), true
}

package story

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/test/harness"
)

const sharded = "sharded-replication-group"

func (s *Teller) reshard(ctx context.Context) error {
	s.step("two shards with a replica each become three, under a cluster-aware client that writes each millisecond")
	if _, err := s.aws(ctx, "elasticache", "create-replication-group", "--replication-group-id", sharded,
		"--replication-group-description", "sharded", "--engine", "valkey", "--cache-node-type", "cache.t4g.micro",
		"--num-node-groups", "2", "--replicas-per-node-group", "1", "--automatic-failover-enabled"); err != nil {
		return err
	}
	g, err := s.D.AwaitGroup(ctx, sharded, "available")
	if err != nil {
		return err
	}
	addr := harness.Addr(g.ConfigurationEndpoint)
	s.saw("the configuration endpoint is %s", addr)
	w := newWriter(ctx, func() setter {
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{addr}, Protocol: 2})
	})
	began := time.Now()
	err = errors.Join(w.more(ctx, 500), s.threeShards(ctx), w.more(ctx, 500))
	lost, lostErr := w.end(ctx)
	if err := errors.Join(err, lostErr, errors.Join(w.errs...)); err != nil {
		return err
	}
	if g, err = s.D.Group(ctx, sharded); err != nil {
		return err
	}
	for _, n := range g.NodeGroups {
		s.saw("shard %s has the slots %s", *n.NodeGroupId, *n.Slots)
	}
	if len(g.NodeGroups) != 3 || lost > 0 {
		return fmt.Errorf("%d shards, %d writes lost", len(g.NodeGroups), lost)
	}
	s.saw("after %.1f s; no write for at most %d ms, no error, %d of %d acknowledged writes lost",
		time.Since(began).Seconds(), w.longest.Milliseconds(), lost, len(w.acked))
	_, err = s.aws(ctx, "elasticache", "delete-replication-group", "--replication-group-id", sharded)
	return err
}

func (s *Teller) threeShards(ctx context.Context) error {
	if _, err := s.aws(ctx, "elasticache", "modify-replication-group-shard-configuration", "--replication-group-id", sharded,
		"--node-group-count", "3", "--apply-immediately"); err != nil {
		return err
	}
	_, err := s.D.AwaitGroup(ctx, sharded, "available")
	return err
}

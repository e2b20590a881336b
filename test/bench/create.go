package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"

	"github.com/larder-cache/larder/test/harness"
)

const (
	nodeType = "cache.t4g.micro"
	token    = "first-token-0123456789"
)

// createNode measures from the call that creates a cluster of one node to the
// first PONG at its endpoint, which clients learn by asking for it.
func createNode(ctx context.Context, b *bench) ([]line, error) {
	l := line{what: "create a node: call to first PONG; bare: exec to PONG", unit: "ms", bars: []bar{ratioAtMost(4)}}
	err := deployed(ctx, func(d *harness.Deployment) error {
		api := d.ElastiCache()
		for n := range b.rounds(30, 5) + 1 {
			bare, err := startTime(ctx)
			if err != nil {
				return err
			}
			took, err := createOne(ctx, api, fmt.Sprintf("c%d", n))
			if err != nil {
				return err
			}
			if n > 0 { // the first one makes the VPC too
				l.larder, l.bare = append(l.larder, milliseconds(took)), append(l.bare, milliseconds(bare))
			}
		}
		return nil
	})
	return []line{l}, err
}

// startTime is how long a bare engine needs to its first PONG.
func startTime(ctx context.Context) (took time.Duration, err error) {
	err = within(func(dir string) error {
		began := time.Now()
		e, err := startBare(ctx, dir)
		if err != nil {
			return err
		}
		took = time.Since(began)
		e.stop()
		return nil
	})
	return took, err
}

func createOne(ctx context.Context, api *elasticache.Client, id string) (time.Duration, error) {
	began := time.Now()
	if err := createCluster(ctx, api, id); err != nil {
		return 0, err
	}
	addr, err := awaitCluster(ctx, api, id)
	if err != nil {
		return 0, err
	}
	if err := until(ctx, wait, func() error { return ping("tcp", addr) }); err != nil {
		return 0, err
	}
	took := time.Since(began)
	if _, err := api.DeleteCacheCluster(ctx, &elasticache.DeleteCacheClusterInput{CacheClusterId: &id}); err != nil {
		return 0, err
	}
	return took, until(ctx, wait, func() error {
		_, err := describeCluster(ctx, api, id)
		if gone := (*types.CacheClusterNotFoundFault)(nil); errors.As(err, &gone) {
			return nil
		}
		return fmt.Errorf("cluster %s is still there: %w", id, err)
	})
}

func createCluster(ctx context.Context, api *elasticache.Client, id string) error {
	_, err := api.CreateCacheCluster(ctx, &elasticache.CreateCacheClusterInput{
		CacheClusterId: &id, Engine: aws.String("redis"), CacheNodeType: aws.String(nodeType), NumCacheNodes: aws.Int32(1),
	})
	return err
}

func describeCluster(ctx context.Context, api *elasticache.Client, id string) (types.CacheCluster, error) {
	out, err := api.DescribeCacheClusters(ctx, &elasticache.DescribeCacheClustersInput{CacheClusterId: &id, ShowCacheNodeInfo: aws.Bool(true)})
	if err != nil {
		return types.CacheCluster{}, err
	}
	return out.CacheClusters[0], nil
}

// awaitCluster waits until a cluster of one node tells its endpoint.
func awaitCluster(ctx context.Context, api *elasticache.Client, id string) (addr string, err error) {
	err = until(ctx, wait, func() error {
		c, err := describeCluster(ctx, api, id)
		if err == nil && (len(c.CacheNodes) == 0 || c.CacheNodes[0].Endpoint == nil) {
			err = fmt.Errorf("cluster %s is %s", id, aws.ToString(c.CacheClusterStatus))
		}
		if err == nil {
			addr = harness.Addr(c.CacheNodes[0].Endpoint)
		}
		return err
	})
	return addr, err
}

// createGroup measures from the call that creates a group of three nodes with TLS
// and a token to the first authenticated PONG at its primary endpoint.
func createGroup(ctx context.Context, b *bench) ([]line, error) {
	l := line{what: "create a group of three with TLS and token: call to `available` and PONG", unit: "ms", bars: []bar{medianAtMost(400)}}
	err := deployed(ctx, func(d *harness.Deployment) error {
		trust, err := d.TLS()
		if err != nil {
			return err
		}
		api := d.ElastiCache()
		for n := range b.rounds(20, 3) + 1 {
			id := fmt.Sprintf("g%d", n)
			began := time.Now()
			g, err := createReady(ctx, api, groupOf(id, 3, true))
			if err != nil {
				return err
			}
			if err := pingGroup(ctx, g, trust); err != nil {
				return err
			}
			if n > 0 {
				l.larder = append(l.larder, milliseconds(time.Since(began)))
			}
			if err := deleteGroup(ctx, api, id); err != nil {
				return err
			}
		}
		return nil
	})
	return []line{l}, err
}

// groupOf describes a group of some nodes; a secure one has TLS and a token.
func groupOf(id string, nodes int32, secure bool) *elasticache.CreateReplicationGroupInput {
	in := &elasticache.CreateReplicationGroupInput{
		ReplicationGroupId: &id, ReplicationGroupDescription: &id, Engine: aws.String("redis"), CacheNodeType: aws.String(nodeType),
		NumCacheClusters: aws.Int32(nodes), AutomaticFailoverEnabled: aws.Bool(nodes > 1),
	}
	if secure {
		in.TransitEncryptionEnabled, in.AuthToken = aws.Bool(true), aws.String(token)
	}
	return in
}

// createReady creates a group and waits until it is available.
func createReady(ctx context.Context, api *elasticache.Client, in *elasticache.CreateReplicationGroupInput) (types.ReplicationGroup, error) {
	if _, err := api.CreateReplicationGroup(ctx, in); err != nil {
		return types.ReplicationGroup{}, err
	}
	return awaitGroup(ctx, api, *in.ReplicationGroupId)
}

func awaitGroup(ctx context.Context, api *elasticache.Client, id string) (g types.ReplicationGroup, err error) {
	err = until(ctx, wait, func() error {
		out, err := api.DescribeReplicationGroups(ctx, &elasticache.DescribeReplicationGroupsInput{ReplicationGroupId: &id})
		if err != nil {
			return err
		}
		if g = out.ReplicationGroups[0]; aws.ToString(g.Status) != "available" {
			return fmt.Errorf("group %s is %s", id, aws.ToString(g.Status))
		}
		return nil
	})
	return g, err
}

func pingGroup(ctx context.Context, g types.ReplicationGroup, trust *tls.Config) error {
	c := harness.Redis(harness.Addr(g.NodeGroups[0].PrimaryEndpoint), token, trust)
	defer c.Close()
	return c.Ping(ctx).Err()
}

func deleteGroup(ctx context.Context, api *elasticache.Client, id string) error {
	if _, err := api.DeleteReplicationGroup(ctx, &elasticache.DeleteReplicationGroupInput{ReplicationGroupId: &id}); err != nil {
		return err
	}
	return until(ctx, wait, func() error {
		_, err := api.DescribeReplicationGroups(ctx, &elasticache.DescribeReplicationGroupsInput{ReplicationGroupId: &id})
		if gone := (*types.ReplicationGroupNotFoundFault)(nil); errors.As(err, &gone) {
			return nil
		}
		return fmt.Errorf("group %s is still there: %w", id, err)
	})
}

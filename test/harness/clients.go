package harness

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/redis/go-redis/v9"
)

// ElastiCache is a client of the AWS SDK for this deployment.
func (d *Deployment) ElastiCache() *elasticache.Client {
	return elasticache.New(elasticache.Options{
		Region:       d.Credentials["AWS_REGION"],
		BaseEndpoint: aws.String(d.Endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider(d.Credentials["AWS_ACCESS_KEY_ID"], d.Credentials["AWS_SECRET_ACCESS_KEY"], ""),
	})
}

// Group describes one replication group.
func (d *Deployment) Group(ctx context.Context, id string) (types.ReplicationGroup, error) {
	out, err := d.ElastiCache().DescribeReplicationGroups(ctx, &elasticache.DescribeReplicationGroupsInput{ReplicationGroupId: &id})
	if err != nil {
		return types.ReplicationGroup{}, err
	}
	return out.ReplicationGroups[0], nil
}

// Cluster describes one cache cluster with its nodes.
func (d *Deployment) Cluster(ctx context.Context, id string) (types.CacheCluster, error) {
	out, err := d.ElastiCache().DescribeCacheClusters(ctx, &elasticache.DescribeCacheClustersInput{CacheClusterId: &id, ShowCacheNodeInfo: aws.Bool(true)})
	if err != nil {
		return types.CacheCluster{}, err
	}
	return out.CacheClusters[0], nil
}

// AwaitGroup waits until a group has a status and nothing more is on its way.
func (d *Deployment) AwaitGroup(ctx context.Context, id, status string) (types.ReplicationGroup, error) {
	var g types.ReplicationGroup
	err := Await(ctx, time.Minute, func(ctx context.Context) (err error) {
		if g, err = d.Group(ctx, id); err != nil {
			return err
		}
		if aws.ToString(g.Status) != status {
			return fmt.Errorf("group %s is %s", id, aws.ToString(g.Status))
		}
		return nil
	})
	return g, err
}

// AwaitCluster waits until a cluster has a status.
func (d *Deployment) AwaitCluster(ctx context.Context, id, status string) (types.CacheCluster, error) {
	var c types.CacheCluster
	err := Await(ctx, time.Minute, func(ctx context.Context) (err error) {
		if c, err = d.Cluster(ctx, id); err != nil {
			return err
		}
		if aws.ToString(c.CacheClusterStatus) != status {
			return fmt.Errorf("cluster %s is %s", id, aws.ToString(c.CacheClusterStatus))
		}
		return nil
	})
	return c, err
}

// Addr is host:port of an endpoint.
func Addr(e *types.Endpoint) string {
	if e == nil {
		return ""
	}
	return net.JoinHostPort(aws.ToString(e.Address), fmt.Sprint(aws.ToInt32(e.Port)))
}

// Redis is a client of a Redis or Valkey endpoint that neither retries nor pools
// more than it is asked to. With a non-nil config it speaks verified TLS.
func Redis(addr, token string, config *tls.Config) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: addr, Password: token, TLSConfig: config, MaxRetries: -1, DisableIdentity: true, DialerRetries: 1,
		DialTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, Protocol: 2,
	})
}

// TLS is the configuration of a client that trusts this deployment only.
func (d *Deployment) TLS() (*tls.Config, error) {
	pool, err := d.CAs()
	if err != nil {
		return nil, err
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

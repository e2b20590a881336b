package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/aws/smithy-go"

	"github.com/larder-cache/larder/test/harness"
)

// work is what users do meanwhile: each has a resource of its own, takes it through
// its life over and over, and sees to it that whatever was acknowledged comes true.
type work struct {
	api    *elasticache.Client
	secure *tls.Config
	stop   chan struct{}
	wg     sync.WaitGroup

	mu           sync.Mutex
	errs         []error
	acknowledged map[string]int
}

func newWork(t testing.TB, d *harness.Deployment) *work {
	w := &work{
		// A user who sees each failure, at the address that the server keeps.
		api: elasticache.New(elasticache.Options{
			Region: d.Credentials["AWS_REGION"], BaseEndpoint: aws.String(d.Endpoint), Retryer: aws.NopRetryer{},
			Credentials: credentials.NewStaticCredentialsProvider(d.Credentials["AWS_ACCESS_KEY_ID"], d.Credentials["AWS_SECRET_ACCESS_KEY"], ""),
		}),
		secure: trust(t, d), stop: make(chan struct{}), acknowledged: map[string]int{},
	}
	t.Cleanup(w.wg.Wait)
	return w
}

// run repeats a life until the end.
func (w *work) run(ctx context.Context, life func(ctx context.Context) error) {
	w.wg.Go(func() {
		for {
			select {
			case <-w.stop:
				return
			case <-ctx.Done():
				return
			default:
			}
			if err := life(ctx); err != nil {
				w.mu.Lock()
				w.errs = append(w.errs, err)
				w.mu.Unlock()
				return
			}
		}
	})
}

// end lets every life come to its end and says what went wrong in any.
func (w *work) end() error {
	close(w.stop)
	w.wg.Wait()
	return errors.Join(w.errs...)
}

// group is the life of a group: its token is rotated, set, and it goes.
func (w *work) group(ctx context.Context) error {
	id := aws.String("busy")
	if err := w.do(ctx, "create group", []string{"ReplicationGroupAlreadyExists"}, func(ctx context.Context) error {
		in := &elasticache.CreateReplicationGroupInput{
			ReplicationGroupId: id, ReplicationGroupDescription: id, Engine: aws.String("redis"),
			CacheNodeType: aws.String("cache.t4g.micro"), NumCacheClusters: aws.Int32(2),
		}
		secured(in)
		_, err := w.api.CreateReplicationGroup(ctx, in)
		return err
	}); err != nil {
		return err
	}
	for _, strategy := range []types.AuthTokenUpdateStrategyType{types.AuthTokenUpdateStrategyTypeRotate, types.AuthTokenUpdateStrategyTypeSet} {
		addr, err := w.settledGroup(ctx, *id)
		if err != nil {
			return err
		}
		if err := w.do(ctx, string(strategy), nil, func(ctx context.Context) error {
			_, err := w.api.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
				ReplicationGroupId: id, AuthToken: aws.String(second), AuthTokenUpdateStrategy: strategy, ApplyImmediately: aws.Bool(true),
			})
			return err
		}); err != nil {
			return err
		}
		if _, err := w.settledGroup(ctx, *id); err != nil {
			return err
		}
		old := ping(ctx, addr, token, w.secure)
		if strategy == types.AuthTokenUpdateStrategyTypeSet {
			old = refused(old, "WRONGPASS")
		}
		if err := errors.Join(old, ping(ctx, addr, second, w.secure), refused(ping(ctx, addr, "", w.secure), "NOAUTH")); err != nil {
			return fmt.Errorf("after %s: %w", strategy, err)
		}
	}
	gone := []string{"ReplicationGroupNotFoundFault"}
	if err := w.do(ctx, "delete group", gone, func(ctx context.Context) error {
		_, err := w.api.DeleteReplicationGroup(ctx, &elasticache.DeleteReplicationGroupInput{ReplicationGroupId: id})
		return err
	}); err != nil {
		return err
	}
	return w.do(ctx, "group gone", gone, func(ctx context.Context) error {
		_, err := w.api.DescribeReplicationGroups(ctx, &elasticache.DescribeReplicationGroupsInput{ReplicationGroupId: id})
		return errors.Join(err, errNotYet)
	})
}

// settledGroup waits until a group is available and gives its primary endpoint.
func (w *work) settledGroup(ctx context.Context, id string) (addr string, err error) {
	err = w.do(ctx, "group available", nil, func(ctx context.Context) error {
		out, err := w.api.DescribeReplicationGroups(ctx, &elasticache.DescribeReplicationGroupsInput{ReplicationGroupId: &id})
		if err != nil {
			return err
		}
		if status := *out.ReplicationGroups[0].Status; status != "available" {
			return fmt.Errorf("%s: %w", status, errNotYet)
		}
		addr = primaryAddr(out.ReplicationGroups[0])
		return nil
	})
	return addr, err
}

// cluster is the life of a Memcached cluster: it grows and goes.
func (w *work) cluster(ctx context.Context) error {
	id := aws.String("growing")
	if err := w.do(ctx, "create cluster", []string{"CacheClusterAlreadyExists"}, func(ctx context.Context) error {
		_, err := w.api.CreateCacheCluster(ctx, &elasticache.CreateCacheClusterInput{
			CacheClusterId: id, Engine: aws.String("memcached"), CacheNodeType: aws.String("cache.t3.micro"), NumCacheNodes: aws.Int32(1),
		})
		return err
	}); err != nil {
		return err
	}
	if err := w.settledCluster(ctx, *id, 1); err != nil {
		return err
	}
	if err := w.do(ctx, "grow cluster", nil, func(ctx context.Context) error {
		_, err := w.api.ModifyCacheCluster(ctx, &elasticache.ModifyCacheClusterInput{
			CacheClusterId: id, NumCacheNodes: aws.Int32(2), ApplyImmediately: aws.Bool(true),
		})
		return err
	}); err != nil {
		return err
	}
	if err := w.settledCluster(ctx, *id, 2); err != nil {
		return err
	}
	gone := []string{"CacheClusterNotFound"}
	if err := w.do(ctx, "delete cluster", gone, func(ctx context.Context) error {
		_, err := w.api.DeleteCacheCluster(ctx, &elasticache.DeleteCacheClusterInput{CacheClusterId: id})
		return err
	}); err != nil {
		return err
	}
	return w.do(ctx, "cluster gone", gone, func(ctx context.Context) error {
		_, err := w.api.DescribeCacheClusters(ctx, &elasticache.DescribeCacheClustersInput{CacheClusterId: id})
		return errors.Join(err, errNotYet)
	})
}

// settledCluster waits until a cluster is available, and wants an answer of each
// of its nodes.
func (w *work) settledCluster(ctx context.Context, id string, nodes int) error {
	return w.do(ctx, "cluster available", nil, func(ctx context.Context) error {
		out, err := w.api.DescribeCacheClusters(ctx, &elasticache.DescribeCacheClustersInput{CacheClusterId: &id, ShowCacheNodeInfo: aws.Bool(true)})
		if err != nil {
			return err
		}
		c := out.CacheClusters[0]
		if *c.CacheClusterStatus != "available" {
			return fmt.Errorf("%s: %w", *c.CacheClusterStatus, errNotYet)
		}
		if len(c.CacheNodes) < nodes {
			return fmt.Errorf("%d nodes of %d are there", len(c.CacheNodes), nodes)
		}
		for _, n := range c.CacheNodes {
			if err := says(harness.Addr(n.Endpoint), "mn", "MN"); err != nil {
				return fmt.Errorf("node %s of an available cluster: %w", *n.CacheNodeId, err)
			}
		}
		return nil
	})
}

// parameters are changed and reset on a running cluster.
func (w *work) parameters(ctx context.Context) error {
	name, id := aws.String("changing"), aws.String("tuned")
	if err := w.do(ctx, "create parameter group", []string{"CacheParameterGroupAlreadyExists"}, func(ctx context.Context) error {
		_, err := w.api.CreateCacheParameterGroup(ctx, &elasticache.CreateCacheParameterGroupInput{
			CacheParameterGroupName: name, CacheParameterGroupFamily: aws.String("redis7"), Description: name,
		})
		return err
	}); err != nil {
		return err
	}
	if err := w.do(ctx, "create tuned cluster", []string{"CacheClusterAlreadyExists"}, func(ctx context.Context) error {
		_, err := w.api.CreateCacheCluster(ctx, &elasticache.CreateCacheClusterInput{
			CacheClusterId: id, Engine: aws.String("redis"), CacheNodeType: aws.String("cache.t3.micro"),
			NumCacheNodes: aws.Int32(1), CacheParameterGroupName: name,
		})
		return err
	}); err != nil {
		return err
	}
	for _, policy := range []string{"allkeys-lru", "noeviction"} {
		if err := w.do(ctx, "change parameter", nil, func(ctx context.Context) error {
			_, err := w.api.ModifyCacheParameterGroup(ctx, &elasticache.ModifyCacheParameterGroupInput{
				CacheParameterGroupName: name,
				ParameterNameValues:     []types.ParameterNameValue{{ParameterName: aws.String("maxmemory-policy"), ParameterValue: &policy}},
			})
			return err
		}); err != nil {
			return err
		}
		if err := w.do(ctx, "parameter in force", nil, func(ctx context.Context) error { return w.inForce(ctx, *id, policy) }); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) inForce(ctx context.Context, id, policy string) error {
	out, err := w.api.DescribeCacheClusters(ctx, &elasticache.DescribeCacheClustersInput{CacheClusterId: &id, ShowCacheNodeInfo: aws.Bool(true)})
	if err != nil {
		return err
	}
	nodes := out.CacheClusters[0].CacheNodes
	if len(nodes) == 0 || nodes[0].Endpoint == nil {
		return errNotYet
	}
	return policyIs(ctx, harness.Addr(nodes[0].Endpoint), policy)
}

// policyIs asks an engine how it evicts.
func policyIs(ctx context.Context, addr, policy string) error {
	c := harness.Redis(addr, "", nil)
	defer c.Close()
	info, err := c.Info(ctx, "memory").Result()
	if err == nil && !strings.Contains(info, "maxmemory_policy:"+policy+"\r\n") {
		err = errors.New("the policy is another one")
	}
	return err
}

var errNotYet = errors.New("not yet")

// do repeats an operation until it is acknowledged, or an error says that it was
// carried out before though the answer was lost. A state in which it cannot be done
// passes. Any other refusal of the API is an error: a user would not repeat that.
func (w *work) do(ctx context.Context, what string, done []string, op func(ctx context.Context) error) error {
	var refusal error
	err := harness.Await(ctx, time.Minute, func(ctx context.Context) error {
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		err := op(attempt)
		var api smithy.APIError
		if !errors.As(err, &api) {
			return err
		}
		switch code := api.ErrorCode(); {
		case slices.Contains(done, code):
			return nil
		case strings.HasSuffix(code, "State"):
			return err
		}
		refusal = err
		return nil
	})
	if err = errors.Join(err, refusal); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	w.mu.Lock()
	w.acknowledged[what]++
	w.mu.Unlock()
	return nil
}

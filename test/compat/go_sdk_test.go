package compat

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"

	"github.com/larder-cache/larder/test/harness"
)

const patience = time.Minute

func TestGoSDKCluster(t *testing.T) {
	t.Parallel()
	everywhere(t, goSDKCluster)
}

func goSDKCluster(t *testing.T, d *harness.Deployment) {
	ctx, client := t.Context(), d.ElastiCache()
	id := aws.String("go-memcached")
	_, err := client.CreateCacheCluster(ctx, &elasticache.CreateCacheClusterInput{
		CacheClusterId: id, Engine: aws.String("memcached"), CacheNodeType: aws.String("cache.t3.micro"), NumCacheNodes: aws.Int32(1),
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("a")}},
	})
	must(t, err)
	available := elasticache.NewCacheClusterAvailableWaiter(client, func(o *elasticache.CacheClusterAvailableWaiterOptions) {
		o.MinDelay, o.MaxDelay = 100*time.Millisecond, time.Second
	})
	describe := &elasticache.DescribeCacheClustersInput{CacheClusterId: id, ShowCacheNodeInfo: aws.Bool(true)}
	out, err := available.WaitForOutput(ctx, describe, patience)
	must(t, err)
	c := out.CacheClusters[0]
	if len(c.CacheNodes) != 1 || aws.ToString(c.CacheNodes[0].CacheNodeStatus) != "available" {
		t.Errorf("nodes: %+v", c.CacheNodes)
	}
	_, err = client.RebootCacheCluster(ctx, &elasticache.RebootCacheClusterInput{CacheClusterId: id, CacheNodeIdsToReboot: []string{"0001"}})
	must(t, err)
	must(t, available.Wait(ctx, describe, patience))
	_, err = client.ModifyCacheCluster(ctx, &elasticache.ModifyCacheClusterInput{CacheClusterId: id, NumCacheNodes: aws.Int32(2), ApplyImmediately: aws.Bool(true)})
	must(t, err)
	must(t, available.Wait(ctx, describe, patience))
	_, err = client.DeleteCacheCluster(ctx, &elasticache.DeleteCacheClusterInput{CacheClusterId: id})
	must(t, err)
	gone := elasticache.NewCacheClusterDeletedWaiter(client, func(o *elasticache.CacheClusterDeletedWaiterOptions) {
		o.MinDelay, o.MaxDelay = 100*time.Millisecond, time.Second
	})
	must(t, gone.Wait(ctx, describe, patience))
}

func TestGoSDKGroup(t *testing.T) {
	t.Parallel()
	everywhere(t, goSDKGroup)
}

func goSDKGroup(t *testing.T, d *harness.Deployment) {
	ctx, client := t.Context(), d.ElastiCache()
	id := aws.String("go-group")
	_, err := client.CreateReplicationGroup(ctx, &elasticache.CreateReplicationGroupInput{
		ReplicationGroupId: id, ReplicationGroupDescription: aws.String("go"), Engine: aws.String("valkey"),
		CacheNodeType: aws.String("cache.t4g.micro"), NumCacheClusters: aws.Int32(2), TransitEncryptionEnabled: aws.Bool(true),
	})
	must(t, err)
	available := elasticache.NewReplicationGroupAvailableWaiter(client, func(o *elasticache.ReplicationGroupAvailableWaiterOptions) {
		o.MinDelay, o.MaxDelay = 100*time.Millisecond, time.Second
	})
	describe := &elasticache.DescribeReplicationGroupsInput{ReplicationGroupId: id}
	must(t, available.Wait(ctx, describe, patience))
	for _, strategy := range []types.AuthTokenUpdateStrategyType{types.AuthTokenUpdateStrategyTypeRotate, types.AuthTokenUpdateStrategyTypeSet} {
		_, err = client.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
			ReplicationGroupId: id, AuthToken: aws.String("go-token-0123456789"), AuthTokenUpdateStrategy: strategy, ApplyImmediately: aws.Bool(true),
		})
		must(t, err)
		must(t, available.Wait(ctx, describe, patience))
	}
	_, err = client.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{ReplicationGroupId: id, AuthToken: aws.String("short"), AuthTokenUpdateStrategy: types.AuthTokenUpdateStrategyTypeRotate})
	var invalid *types.InvalidParameterValueException
	if !errors.As(err, &invalid) || invalid.ErrorMessage() != "Invalid AuthToken provided." {
		t.Errorf("a short token: %v", err)
	}
	goSDKReplicas(t, client, id, func() { must(t, available.Wait(ctx, describe, patience)) })
	_, err = client.DeleteReplicationGroup(ctx, &elasticache.DeleteReplicationGroupInput{ReplicationGroupId: id})
	must(t, err)
	gone := elasticache.NewReplicationGroupDeletedWaiter(client, func(o *elasticache.ReplicationGroupDeletedWaiterOptions) {
		o.MinDelay, o.MaxDelay = 100*time.Millisecond, time.Second
	})
	must(t, gone.Wait(ctx, describe, patience))
}

// goSDKReplicas changes how many replicas a group has, and asks what else of it could
// change.
func goSDKReplicas(t *testing.T, client *elasticache.Client, id *string, available func()) {
	t.Helper()
	ctx := t.Context()
	more, err := client.IncreaseReplicaCount(ctx, &elasticache.IncreaseReplicaCountInput{ReplicationGroupId: id, NewReplicaCount: aws.Int32(2), ApplyImmediately: aws.Bool(true)})
	must(t, err)
	expect(t, "members at once", len(more.ReplicationGroup.MemberClusters), 3)
	available()
	less, err := client.DecreaseReplicaCount(ctx, &elasticache.DecreaseReplicaCountInput{ReplicationGroupId: id, NewReplicaCount: aws.Int32(1), ApplyImmediately: aws.Bool(true)})
	must(t, err)
	expect(t, "status", aws.ToString(less.ReplicationGroup.Status), "modifying")
	available()
	groups, err := client.DescribeReplicationGroups(ctx, &elasticache.DescribeReplicationGroupsInput{ReplicationGroupId: id})
	must(t, err)
	expect(t, "members in the end", len(groups.ReplicationGroups[0].MemberClusters), 2)
	sizes, err := client.ListAllowedNodeTypeModifications(ctx, &elasticache.ListAllowedNodeTypeModificationsInput{ReplicationGroupId: id})
	must(t, err)
	expect(t, "may become larger", slices.Contains(sizes.ScaleUpModifications, "cache.m7g.large"), true)
	updates, err := client.DescribeServiceUpdates(ctx, &elasticache.DescribeServiceUpdatesInput{})
	must(t, err)
	actions, err := client.DescribeUpdateActions(ctx, &elasticache.DescribeUpdateActionsInput{ReplicationGroupIds: []string{*id}})
	must(t, err)
	expect(t, "updates of what is the newest on this host", len(updates.ServiceUpdates)+len(actions.UpdateActions), 0)
	var unknown *types.ServiceUpdateNotFoundFault
	_, err = client.BatchApplyUpdateAction(ctx, &elasticache.BatchApplyUpdateActionInput{ServiceUpdateName: aws.String("none"), ReplicationGroupIds: []string{*id}})
	expect(t, "applying an update that there is not", errors.As(err, &unknown), true)
	_, err = client.BatchStopUpdateAction(ctx, &elasticache.BatchStopUpdateActionInput{ServiceUpdateName: aws.String("none"), ReplicationGroupIds: []string{*id}})
	expect(t, "stopping it", errors.As(err, &unknown), true)
}

// TestPages walks all engine versions in the smallest pages.
func TestPages(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	pages := elasticache.NewDescribeCacheParametersPaginator(deployment.ElastiCache(), &elasticache.DescribeCacheParametersInput{
		CacheParameterGroupName: aws.String("default.redis7"), MaxRecords: aws.Int32(20),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		must(t, err)
		for _, p := range page.Parameters {
			if seen[*p.ParameterName] {
				t.Errorf("%s came twice", *p.ParameterName)
			}
			seen[*p.ParameterName] = true
		}
	}
	if len(seen) < 40 || !seen["maxmemory-policy"] {
		t.Errorf("%d parameters", len(seen))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

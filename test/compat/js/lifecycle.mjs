// The life of a cluster and of a group with the AWS SDK for JavaScript.
import assert from "node:assert/strict";
import {
  ElastiCacheClient, CreateCacheClusterCommand, DescribeCacheClustersCommand, ModifyCacheClusterCommand, DeleteCacheClusterCommand,
  CreateReplicationGroupCommand, DescribeReplicationGroupsCommand, ModifyReplicationGroupCommand, DeleteReplicationGroupCommand,
  AddTagsToResourceCommand, ListTagsForResourceCommand,
  waitUntilCacheClusterAvailable, waitUntilCacheClusterDeleted, waitUntilReplicationGroupAvailable, waitUntilReplicationGroupDeleted,
} from "@aws-sdk/client-elasticache";

const client = new ElastiCacheClient({ endpoint: process.env.AWS_ENDPOINT_URL });
const patience = { client, maxWaitTime: 60, minDelay: 1, maxDelay: 1 };

const cluster = { CacheClusterId: "js-redis" };
let c = (await client.send(new CreateCacheClusterCommand({ ...cluster, Engine: "redis", CacheNodeType: "cache.t3.micro", NumCacheNodes: 1 }))).CacheCluster;
assert.equal(c.CacheClusterStatus, "creating");
await waitUntilCacheClusterAvailable(patience, cluster);
c = (await client.send(new DescribeCacheClustersCommand({ ...cluster, ShowCacheNodeInfo: true }))).CacheClusters[0];
assert.equal(c.CacheNodes[0].Endpoint.Port, 6379);
await client.send(new AddTagsToResourceCommand({ ResourceName: c.ARN, Tags: [{ Key: "team", Value: "a" }] }));
assert.deepEqual((await client.send(new ListTagsForResourceCommand({ ResourceName: c.ARN }))).TagList, [{ Key: "team", Value: "a" }]);
await client.send(new ModifyCacheClusterCommand({ ...cluster, PreferredMaintenanceWindow: "sun:05:00-sun:06:00" }));
await waitUntilCacheClusterAvailable(patience, cluster);
await client.send(new DeleteCacheClusterCommand(cluster));
await waitUntilCacheClusterDeleted(patience, cluster);

const group = { ReplicationGroupId: "js-group" };
let g = (await client.send(new CreateReplicationGroupCommand({
  ...group, ReplicationGroupDescription: "js", Engine: "redis", CacheNodeType: "cache.t4g.micro", NumCacheClusters: 2,
  TransitEncryptionEnabled: true, AuthToken: "js-token-0123456789",
}))).ReplicationGroup;
assert.equal(g.Status, "creating");
await waitUntilReplicationGroupAvailable(patience, group);
g = (await client.send(new ModifyReplicationGroupCommand({
  ...group, AuthToken: "js-token-9876543210", AuthTokenUpdateStrategy: "ROTATE", ApplyImmediately: true,
}))).ReplicationGroup;
assert.equal(g.PendingModifiedValues.AuthTokenStatus, "ROTATING");
await waitUntilReplicationGroupAvailable(patience, group);
g = (await client.send(new DescribeReplicationGroupsCommand(group))).ReplicationGroups[0];
assert.equal(g.AuthTokenEnabled, true);
await client.send(new DeleteReplicationGroupCommand(group));
await waitUntilReplicationGroupDeleted(patience, group);
await assert.rejects(client.send(new DescribeReplicationGroupsCommand(group)), { name: "ReplicationGroupNotFoundFault" });
console.log("JavaScript SDK: every step passed");

"""The life of a cluster and of a group with boto3, its waiters and its errors."""

import os

import boto3
from botocore.exceptions import ClientError

# Older versions do not know AWS_ENDPOINT_URL.
ec = boto3.client("elasticache", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
quick = {"Delay": 1, "MaxAttempts": 60}


def tags_of(arn):
    return {t["Key"]: t.get("Value") for t in ec.list_tags_for_resource(ResourceName=arn)["TagList"]}


def cluster():
    made = ec.create_cache_cluster(
        CacheClusterId="boto3-memcached", Engine="memcached", CacheNodeType="cache.t3.micro",
        NumCacheNodes=2, AZMode="cross-az", Tags=[{"Key": "team", "Value": "a"}],
    )["CacheCluster"]
    assert made["CacheClusterStatus"] == "creating", made
    ec.get_waiter("cache_cluster_available").wait(CacheClusterId="boto3-memcached", WaiterConfig=quick)
    c = ec.describe_cache_clusters(CacheClusterId="Boto3-Memcached", ShowCacheNodeInfo=True)["CacheClusters"][0]
    assert [n["CacheNodeId"] for n in c["CacheNodes"]] == ["0001", "0002"], c
    assert c["ConfigurationEndpoint"]["Port"] == 11211, c
    assert c["PreferredAvailabilityZone"] == "Multiple", c
    assert tags_of(c["ARN"]) == {"team": "a"}
    ec.add_tags_to_resource(ResourceName=c["ARN"], Tags=[{"Key": "stage", "Value": "test"}])
    ec.remove_tags_from_resource(ResourceName=c["ARN"], TagKeys=["team"])
    assert tags_of(c["ARN"]) == {"stage": "test"}
    changed = ec.modify_cache_cluster(CacheClusterId="boto3-memcached", NumCacheNodes=3, ApplyImmediately=True)["CacheCluster"]
    assert changed["CacheClusterStatus"] == "modifying", changed
    ec.get_waiter("cache_cluster_available").wait(CacheClusterId="boto3-memcached", WaiterConfig=quick)
    c = ec.describe_cache_clusters(CacheClusterId="boto3-memcached", ShowCacheNodeInfo=True)["CacheClusters"][0]
    assert c["NumCacheNodes"] == 3 and len(c["CacheNodes"]) == 3, c
    gone = ec.delete_cache_cluster(CacheClusterId="boto3-memcached")["CacheCluster"]
    assert gone["CacheClusterStatus"] == "deleting", gone
    ec.get_waiter("cache_cluster_deleted").wait(CacheClusterId="boto3-memcached", WaiterConfig=quick)


def group():
    made = ec.create_replication_group(
        ReplicationGroupId="boto3-group", ReplicationGroupDescription="boto3", Engine="valkey",
        CacheNodeType="cache.t4g.micro", NumCacheClusters=2, AutomaticFailoverEnabled=True, MultiAZEnabled=True,
        TransitEncryptionEnabled=True, AuthToken="boto3-token-0123456789", Tags=[{"Key": "team", "Value": "a"}],
    )["ReplicationGroup"]
    assert made["Status"] == "creating" and made["MemberClusters"] == ["boto3-group-001", "boto3-group-002"], made
    ec.get_waiter("replication_group_available").wait(ReplicationGroupId="boto3-group", WaiterConfig=quick)
    g = ec.describe_replication_groups(ReplicationGroupId="boto3-group")["ReplicationGroups"][0]
    assert g["AuthTokenEnabled"] and g["TransitEncryptionEnabled"], g
    assert {m["CurrentRole"] for m in g["NodeGroups"][0]["NodeGroupMembers"]} == {"primary", "replica"}, g
    for arn in [g["ARN"]] + [c["ARN"] for c in ec.describe_cache_clusters()["CacheClusters"] if c.get("ReplicationGroupId") == "boto3-group"]:
        assert tags_of(arn) == {"team": "a"}, arn
    changed = ec.modify_replication_group(
        ReplicationGroupId="boto3-group", AuthToken="boto3-token-9876543210",
        AuthTokenUpdateStrategy="ROTATE", ApplyImmediately=True,
    )["ReplicationGroup"]
    assert changed["Status"] == "modifying", changed
    assert changed["PendingModifiedValues"]["AuthTokenStatus"] == "ROTATING", changed
    ec.get_waiter("replication_group_available").wait(ReplicationGroupId="boto3-group", WaiterConfig=quick)
    ec.modify_replication_group(ReplicationGroupId="boto3-group", ReplicationGroupDescription="another", ApplyImmediately=True)
    ec.get_waiter("replication_group_available").wait(ReplicationGroupId="boto3-group", WaiterConfig=quick)
    events = [e["Message"] for e in ec.describe_events(SourceType="replication-group", SourceIdentifier="boto3-group")["Events"]]
    assert "Replication group boto3-group created" in events, events
    ec.delete_replication_group(ReplicationGroupId="boto3-group")
    ec.get_waiter("replication_group_deleted").wait(ReplicationGroupId="boto3-group", WaiterConfig=quick)


def errors():
    for call, args, code in [
        (ec.describe_cache_clusters, {"CacheClusterId": "nope"}, "CacheClusterNotFound"),
        (ec.describe_replication_groups, {"ReplicationGroupId": "nope"}, "ReplicationGroupNotFoundFault"),
        (ec.create_cache_cluster, {"CacheClusterId": "v", "Engine": "valkey", "CacheNodeType": "cache.t3.micro", "NumCacheNodes": 1}, "InvalidParameterValue"),
    ]:
        try:
            call(**args)
        except ClientError as e:
            assert e.response["Error"]["Code"] == code, e
        else:
            raise AssertionError(f"{code} expected")


cluster()
group()
errors()
print("boto3: every step passed")

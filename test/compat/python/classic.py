"""EC2-Classic and cache security groups with boto3, its paginators and its exceptions."""

import os
import time

import boto3
from botocore.exceptions import ClientError

# Older versions do not know AWS_ENDPOINT_URL.
endpoint = os.environ["AWS_ENDPOINT_URL"]
ec2 = boto3.client("ec2", endpoint_url=endpoint)
cache = boto3.client("elasticache", endpoint_url=endpoint)
account = boto3.client("sts", endpoint_url=endpoint).get_caller_identity()["Account"]


def refused(code, status, call, **kwargs):
    try:
        call(**kwargs)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e
        assert e.response["ResponseMetadata"]["HTTPStatusCode"] == status, e
        return
    raise AssertionError(f"{code} expected")


def until(what, check):
    for _ in range(500):
        if check():
            return
        time.sleep(0.02)
    raise AssertionError(what)


attributes = {
    a["AttributeName"]: sorted(v["AttributeValue"] for v in a["AttributeValues"])
    for a in ec2.describe_account_attributes()["AccountAttributes"]
}
assert attributes["supported-platforms"] == ["EC2", "VPC"], attributes
assert attributes["default-vpc"] == ["none"], attributes
assert ec2.describe_vpcs()["Vpcs"] == []

web = ec2.create_security_group(GroupName="boto3-web", Description="boto3")["GroupId"]
group = ec2.describe_security_groups(GroupNames=["boto3-web"])["SecurityGroups"][0]
assert group["GroupId"] == web and "VpcId" not in group and group["IpPermissionsEgress"] == [], group
ec2.authorize_security_group_ingress(GroupName="boto3-web", IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0")
ec2.authorize_security_group_ingress(GroupName="boto3-web", SourceSecurityGroupName="default", SourceSecurityGroupOwnerId=account)
refused("InvalidPermission.Duplicate", 400, ec2.authorize_security_group_ingress, GroupName="boto3-web", IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0")

image = ec2.describe_images()["Images"][0]["ImageId"]
launched = ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1, SecurityGroups=["boto3-web"])
instance = launched["Instances"][0]
assert [g["GroupName"] for g in launched["Groups"]] == ["boto3-web"], launched
assert "VpcId" not in instance and "SubnetId" not in instance and not instance["NetworkInterfaces"], instance
ec2.get_waiter("instance_running").wait(InstanceIds=[instance["InstanceId"]], WaiterConfig={"Delay": 1})
ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance["InstanceId"]], WaiterConfig={"Delay": 1})

name = "boto3-caches"
made = cache.create_cache_security_group(CacheSecurityGroupName="Boto3-Caches", Description="boto3", Tags=[{"Key": "team", "Value": "a"}])["CacheSecurityGroup"]
assert made["CacheSecurityGroupName"] == name and made["OwnerId"] == account and made["EC2SecurityGroups"] == [], made
assert cache.list_tags_for_resource(ResourceName=made["ARN"])["TagList"] == [{"Key": "team", "Value": "a"}]
refused("CacheSecurityGroupAlreadyExists", 400, cache.create_cache_security_group, CacheSecurityGroupName=name, Description="again")
refused("InvalidParameterValue", 400, cache.create_cache_security_group, CacheSecurityGroupName="Default", Description="x")
refused("CacheSecurityGroupNotFound", 404, cache.describe_cache_security_groups, CacheSecurityGroupName="none")

ingress = {"CacheSecurityGroupName": name, "EC2SecurityGroupName": "boto3-web", "EC2SecurityGroupOwnerId": f"{account[:4]}-{account[4:8]}-{account[8:]}"}


def entries():
    return cache.describe_cache_security_groups(CacheSecurityGroupName=name)["CacheSecurityGroups"][0]["EC2SecurityGroups"]


answer = cache.authorize_cache_security_group_ingress(**ingress)["CacheSecurityGroup"]["EC2SecurityGroups"]
assert answer == [{"Status": "authorizing", "EC2SecurityGroupName": "boto3-web", "EC2SecurityGroupOwnerId": account}], answer
until("authorized", lambda: [e["Status"] for e in entries()] == ["authorized"])
refused("AuthorizationAlreadyExists", 400, cache.authorize_cache_security_group_ingress, **ingress)
refused("InvalidGroup.InUse", 400, ec2.delete_security_group, GroupName="boto3-web")

cache.create_cache_cluster(CacheClusterId="boto3-classic", Engine="memcached", CacheNodeType="cache.t3.micro", NumCacheNodes=1, CacheSecurityGroupNames=[name])
cache.get_waiter("cache_cluster_available").wait(CacheClusterId="boto3-classic", WaiterConfig={"Delay": 1})
cluster = cache.describe_cache_clusters(CacheClusterId="boto3-classic")["CacheClusters"][0]
assert cluster["CacheSecurityGroups"] == [{"CacheSecurityGroupName": name, "Status": "active"}], cluster
assert "CacheSubnetGroupName" not in cluster and not cluster.get("SecurityGroups"), cluster
refused("InvalidCacheSecurityGroupState", 400, cache.delete_cache_security_group, CacheSecurityGroupName=name)
refused("InvalidParameterCombination", 400, cache.modify_cache_cluster, CacheClusterId="boto3-classic", SecurityGroupIds=[web])
cache.delete_cache_cluster(CacheClusterId="boto3-classic")
cache.get_waiter("cache_cluster_deleted").wait(CacheClusterId="boto3-classic", WaiterConfig={"Delay": 1})

answer = cache.revoke_cache_security_group_ingress(**ingress)["CacheSecurityGroup"]["EC2SecurityGroups"]
assert [e["Status"] for e in answer] == ["revoking"], answer
until("revoked", lambda: entries() == [])
refused("AuthorizationNotFound", 404, cache.revoke_cache_security_group_ingress, **ingress)
cache.delete_cache_security_group(CacheSecurityGroupName=name)
refused("InvalidParameterValue", 400, cache.delete_cache_security_group, CacheSecurityGroupName="default")
ec2.delete_security_group(GroupName="boto3-web")

for n in range(21):
    cache.create_cache_security_group(CacheSecurityGroupName=f"boto3-page-{n:02}", Description="x")
pages = cache.get_paginator("describe_cache_security_groups").paginate(PaginationConfig={"PageSize": 20})
names = [g["CacheSecurityGroupName"] for p in pages for g in p["CacheSecurityGroups"]]
assert names[0] == "default" and len(names) == len(set(names)) and set(f"boto3-page-{n:02}" for n in range(21)) <= set(names), names
for n in range(21):
    cache.delete_cache_security_group(CacheSecurityGroupName=f"boto3-page-{n:02}")

"""The life of a VPC, its subnets, security groups and rules with boto3, its waiters and its paginators."""

import os

import boto3
from botocore.exceptions import ClientError

# Older versions do not know AWS_ENDPOINT_URL, nor the newer members of answers.
ec2 = boto3.client("ec2", endpoint_url=os.environ["AWS_ENDPOINT_URL"])

sts = boto3.client("sts", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
identity = sts.get_caller_identity()
assert len(identity["Account"]) == 12 and identity["Account"] in identity["Arn"], identity


def refused(code, call, **kwargs):
    try:
        call(**kwargs)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e
        return
    raise AssertionError(f"{code} expected")


def named(kind, name):
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}]}]


vpc = ec2.create_vpc(CidrBlock="10.40.0.9/16", TagSpecifications=named("vpc", "boto3"))["Vpc"]
ec2.get_waiter("vpc_available").wait(VpcIds=[vpc["VpcId"]])
assert vpc["CidrBlock"] == "10.40.0.0/16" and vpc["Tags"] == [{"Key": "Name", "Value": "boto3"}], vpc
subnet = ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock="10.40.7.0/24", AvailabilityZone="us-east-1c")["Subnet"]
ec2.get_waiter("subnet_available").wait(SubnetIds=[subnet["SubnetId"]])
assert subnet["AvailableIpAddressCount"] == 251, subnet
refused("InvalidSubnet.Conflict", ec2.create_subnet, VpcId=vpc["VpcId"], CidrBlock="10.40.7.128/25")
refused("DependencyViolation", ec2.delete_vpc, VpcId=vpc["VpcId"])

made = ec2.create_security_group(GroupName="boto3", Description="boto3", VpcId=vpc["VpcId"], TagSpecifications=named("security-group", "b"))
group = made["GroupId"]
assert made.get("SecurityGroupArn", group).endswith(group), made
ec2.get_waiter("security_group_exists").wait(GroupIds=[group])
out = ec2.authorize_security_group_ingress(
    GroupId=group,
    IpPermissions=[
        {
            "IpProtocol": "tcp", "FromPort": 6379, "ToPort": 6379,
            "IpRanges": [{"CidrIp": "10.40.0.0/16", "Description": "inside"}, {"CidrIp": "100.68.0.18/18"}],
            "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/32"}],
            "UserIdGroupPairs": [{"GroupId": group, "Description": "each other"}],
        },
        {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.40.1.0/24"}]},
    ],
    TagSpecifications=named("security-group-rule", "r"),
)
rules = out["SecurityGroupRules"]
assert out["Return"] and len(rules) == 5, out
assert rules[1]["CidrIpv4"] == "100.68.0.0/18" and rules[3]["ReferencedGroupInfo"]["GroupId"] == group, rules
assert all(r["Tags"] == [{"Key": "Name", "Value": "r"}] for r in rules), rules
g = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
assert len(g["IpPermissions"]) == 2 and g["IpPermissions"][0]["UserIdGroupPairs"][0]["Description"] == "each other", g
assert "FromPort" not in g["IpPermissions"][1], g
ec2.modify_security_group_rules(
    GroupId=group,
    SecurityGroupRules=[{
        "SecurityGroupRuleId": rules[0]["SecurityGroupRuleId"],
        "SecurityGroupRule": {"IpProtocol": "tcp", "FromPort": 6380, "ToPort": 6381, "CidrIpv4": "10.40.2.0/24", "Description": "moved"},
    }],
)
ec2.update_security_group_rule_descriptions_ingress(
    GroupId=group, SecurityGroupRuleDescriptions=[{"SecurityGroupRuleId": rules[1]["SecurityGroupRuleId"], "Description": "named"}],
)
found = {
    r["SecurityGroupRuleId"]: r
    for page in ec2.get_paginator("describe_security_group_rules").paginate(
        Filters=[{"Name": "group-id", "Values": [group]}], PaginationConfig={"PageSize": 5},
    )
    for r in page["SecurityGroupRules"]
}
assert len(found) == 6, found
assert found[rules[0]["SecurityGroupRuleId"]]["ToPort"] == 6381 and found[rules[1]["SecurityGroupRuleId"]]["Description"] == "named", found
gone = ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[r["SecurityGroupRuleId"] for r in rules])
assert gone["Return"] and len(gone.get("RevokedSecurityGroupRules", rules)) == 5, gone
refused("InvalidPermission.NotFound", ec2.revoke_security_group_ingress, GroupId=group, IpProtocol="tcp", FromPort=1, ToPort=1, CidrIp="10.0.0.0/8")
refused("DryRunOperation", ec2.delete_security_group, GroupId=group, DryRun=True)

ec2.create_tags(Resources=[group, subnet["SubnetId"]], Tags=[{"Key": "team", "Value": "a"}])
tagged = [t for page in ec2.get_paginator("describe_tags").paginate(Filters=[{"Name": "tag:team", "Values": ["a"]}]) for t in page["Tags"]]
assert {t["ResourceId"] for t in tagged} == {group, subnet["SubnetId"]}, tagged
ec2.delete_tags(Resources=[group], Tags=[{"Key": "team"}])

assert ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["NetworkAcls"][0]["IsDefault"]
assert ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["RouteTables"][0]["Associations"][0]["Main"]
ec2.modify_vpc_attribute(VpcId=vpc["VpcId"], EnableDnsHostnames={"Value": True})
assert ec2.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute="enableDnsHostnames")["EnableDnsHostnames"]["Value"]

image = ec2.describe_images(Filters=[{"Name": "name", "Values": ["larder-host"]}])["Images"][0]["ImageId"]
refused("InvalidAMIID.NotFound", ec2.run_instances, ImageId="ami-0", MinCount=1, MaxCount=1)
refused("UnsupportedOperation", ec2.run_instances, ImageId=image, MinCount=1, MaxCount=1, UserData="#!/bin/sh")
run = ec2.run_instances(
    ImageId=image, InstanceType="m5.large", MinCount=1, MaxCount=1,
    NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": subnet["SubnetId"], "Groups": [group], "PrivateIpAddress": "10.40.7.77"}],
)
one = [run["Instances"][0]["InstanceId"]]
ec2.get_waiter("instance_running").wait(InstanceIds=one)
found = [i for page in ec2.get_paginator("describe_instances").paginate(InstanceIds=one) for r in page["Reservations"] for i in r["Instances"]]
assert found[0]["PrivateIpAddress"] == "10.40.7.77" and found[0]["NetworkInterfaces"][0]["Groups"][0]["GroupId"] == group, found
refused("DependencyViolation", ec2.delete_subnet, SubnetId=subnet["SubnetId"])
ec2.terminate_instances(InstanceIds=one)
ec2.get_waiter("instance_terminated").wait(InstanceIds=one)

assert ec2.delete_security_group(GroupId=group).get("GroupId", group) == group
refused("InvalidGroup.NotFound", ec2.describe_security_groups, GroupIds=[group])
ec2.delete_subnet(SubnetId=subnet["SubnetId"])
ec2.delete_vpc(VpcId=vpc["VpcId"])
refused("InvalidVpcID.NotFound", ec2.describe_vpcs, VpcIds=[vpc["VpcId"]])

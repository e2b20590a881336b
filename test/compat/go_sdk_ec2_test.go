package compat

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// ec2Client is the SDK's, for the deployment.
func ec2Client() *ec2.Client {
	return ec2.New(ec2.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(deployment.Endpoint),
		Credentials: credentials.NewStaticCredentialsProvider(deployment.Credentials["AWS_ACCESS_KEY_ID"], deployment.Credentials["AWS_SECRET_ACCESS_KEY"], ""),
	})
}

func named(kind types.ResourceType, name string) []types.TagSpecification {
	return []types.TagSpecification{{ResourceType: kind, Tags: []types.Tag{{Key: aws.String("Name"), Value: &name}}}}
}

func by(name string, values ...string) []types.Filter {
	return []types.Filter{{Name: &name, Values: values}}
}

// expect compares one thing of an answer.
func expect[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestGoSDKNetwork calls every action for VPCs, subnets, groups, rules and tags.
func TestGoSDKNetwork(t *testing.T) {
	t.Parallel()
	makesVPC(t)
	ctx, c := t.Context(), ec2Client()
	made, err := c.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.50.0.0/16"), TagSpecifications: named(types.ResourceTypeVpc, "go")})
	must(t, err)
	vpc := made.Vpc.VpcId
	_, err = c.ModifyVpcAttribute(ctx, &ec2.ModifyVpcAttributeInput{VpcId: vpc, EnableDnsHostnames: &types.AttributeBooleanValue{Value: aws.Bool(true)}})
	must(t, err)
	names, err := c.DescribeVpcAttribute(ctx, &ec2.DescribeVpcAttributeInput{VpcId: vpc, Attribute: types.VpcAttributeNameEnableDnsHostnames})
	must(t, err)
	expect(t, "DNS hostnames", *names.EnableDnsHostnames.Value, true)
	zones, err := c.DescribeAvailabilityZones(ctx, &ec2.DescribeAvailabilityZonesInput{})
	must(t, err)
	regions, err := c.DescribeRegions(ctx, &ec2.DescribeRegionsInput{RegionNames: []string{"us-east-1"}})
	must(t, err)
	expect(t, "zones and regions", fmt.Sprint(len(zones.AvailabilityZones), len(regions.Regions)), "3 1")
	account, err := c.DescribeAccountAttributes(ctx, &ec2.DescribeAccountAttributesInput{AttributeNames: []types.AccountAttributeName{types.AccountAttributeNameSupportedPlatforms}})
	must(t, err)
	expect(t, "platform", *account.AccountAttributes[0].AttributeValues[0].AttributeValue, "VPC")
	subnet, err := c.CreateSubnet(ctx, &ec2.CreateSubnetInput{VpcId: vpc, CidrBlock: aws.String("10.50.1.0/24"), AvailabilityZone: zones.AvailabilityZones[1].ZoneName})
	must(t, err)
	subnets, err := c.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{Filters: by("vpc-id", *vpc)})
	must(t, err)
	expect(t, "free addresses", *subnets.Subnets[0].AvailableIpAddressCount, 251)
	group := goGroup(t, c, vpc)
	_, err = c.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{group, *vpc}, Tags: []types.Tag{{Key: aws.String("go"), Value: aws.String("sdk")}}})
	must(t, err)
	tags, err := c.DescribeTags(ctx, &ec2.DescribeTagsInput{Filters: by("tag:go", "sdk")})
	must(t, err)
	expect(t, "tags", len(tags.Tags), 2)
	_, err = c.DeleteTags(ctx, &ec2.DeleteTagsInput{Resources: []string{group, *vpc}, Tags: []types.Tag{{Key: aws.String("go")}}})
	must(t, err)
	acls, err := c.DescribeNetworkAcls(ctx, &ec2.DescribeNetworkAclsInput{Filters: by("vpc-id", *vpc)})
	must(t, err)
	routes, err := c.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{Filters: by("vpc-id", *vpc)})
	must(t, err)
	expect(t, "ACLs and route tables", fmt.Sprint(len(acls.NetworkAcls), len(routes.RouteTables)), "1 1")
	_, err = c.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: &group})
	must(t, err)
	_, err = c.DeleteSubnet(ctx, &ec2.DeleteSubnetInput{SubnetId: subnet.Subnet.SubnetId})
	must(t, err)
	_, err = c.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: vpc})
	must(t, err)
}

// goGroup makes a group, and takes its rules through every action for them.
func goGroup(t *testing.T, c *ec2.Client, vpc *string) string {
	t.Helper()
	ctx := t.Context()
	group, err := c.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{GroupName: aws.String("go"), Description: aws.String("go"), VpcId: vpc})
	must(t, err)
	id := group.GroupId
	redis := types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(6379), ToPort: aws.Int32(6379), IpRanges: []types.IpRange{{CidrIp: aws.String("10.50.0.0/16")}}}
	in, err := c.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: id, IpPermissions: []types.IpPermission{redis}})
	must(t, err)
	rule := in.SecurityGroupRules[0].SecurityGroupRuleId
	_, err = c.AuthorizeSecurityGroupEgress(ctx, &ec2.AuthorizeSecurityGroupEgressInput{GroupId: id, IpPermissions: []types.IpPermission{redis}})
	must(t, err)
	_, err = c.ModifySecurityGroupRules(ctx, &ec2.ModifySecurityGroupRulesInput{GroupId: id, SecurityGroupRules: []types.SecurityGroupRuleUpdate{{
		SecurityGroupRuleId: rule, SecurityGroupRule: &types.SecurityGroupRuleRequest{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(6380), ToPort: aws.Int32(6380), CidrIpv4: aws.String("10.50.0.0/16")},
	}}})
	must(t, err)
	_, err = c.UpdateSecurityGroupRuleDescriptionsIngress(ctx, &ec2.UpdateSecurityGroupRuleDescriptionsIngressInput{
		GroupId: id, SecurityGroupRuleDescriptions: []types.SecurityGroupRuleDescription{{SecurityGroupRuleId: rule, Description: aws.String("in")}},
	})
	must(t, err)
	redis.IpRanges[0].Description = aws.String("out")
	_, err = c.UpdateSecurityGroupRuleDescriptionsEgress(ctx, &ec2.UpdateSecurityGroupRuleDescriptionsEgressInput{GroupId: id, IpPermissions: []types.IpPermission{redis}})
	must(t, err)
	rules, err := c.DescribeSecurityGroupRules(ctx, &ec2.DescribeSecurityGroupRulesInput{Filters: by("group-id", *id)})
	must(t, err)
	descriptions := map[string]bool{}
	for _, r := range rules.SecurityGroupRules {
		descriptions[aws.ToString(r.Description)] = true
	}
	expect(t, "rules", fmt.Sprint(len(rules.SecurityGroupRules), descriptions["in"], descriptions["out"]), "3 true true")
	_, err = c.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: id, SecurityGroupRuleIds: []string{*rule}})
	must(t, err)
	_, err = c.RevokeSecurityGroupEgress(ctx, &ec2.RevokeSecurityGroupEgressInput{GroupId: id, IpPermissions: []types.IpPermission{redis}})
	must(t, err)
	groups, err := c.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{GroupIds: []string{*id}})
	must(t, err)
	expect(t, "permissions left", fmt.Sprint(len(groups.SecurityGroups[0].IpPermissions), len(groups.SecurityGroups[0].IpPermissionsEgress)), "0 1")
	return *id
}

// TestGoSDKInstances calls every action for instances, and the SDK's waiters.
func TestGoSDKInstances(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), ec2Client()
	images, err := c.DescribeImages(ctx, &ec2.DescribeImagesInput{Owners: []string{"larder"}})
	must(t, err)
	sizes, err := c.DescribeInstanceTypes(ctx, &ec2.DescribeInstanceTypesInput{InstanceTypes: []types.InstanceType{types.InstanceTypeT3Micro}})
	must(t, err)
	expect(t, "memory", *sizes.InstanceTypes[0].MemoryInfo.SizeInMiB, 1024)
	offered, err := c.DescribeInstanceTypeOfferings(ctx, &ec2.DescribeInstanceTypeOfferingsInput{
		LocationType: types.LocationTypeAvailabilityZone, Filters: by("instance-type", "t3.micro"),
	})
	must(t, err)
	expect(t, "zones that have the type", len(offered.InstanceTypeOfferings), 3)
	request := &ec2.RunInstancesInput{
		ImageId: images.Images[0].ImageId, InstanceType: types.InstanceTypeT3Micro, MinCount: aws.Int32(1), MaxCount: aws.Int32(2),
		ClientToken: aws.String("go-sdk"), TagSpecifications: named(types.ResourceTypeInstance, "go-sdk"),
	}
	run, err := c.RunInstances(ctx, request)
	must(t, err)
	again, err := c.RunInstances(ctx, request)
	must(t, err)
	expect(t, "reservation", *again.ReservationId, *run.ReservationId)
	ids := []string{*run.Instances[0].InstanceId, *run.Instances[1].InstanceId}
	describe := &ec2.DescribeInstancesInput{InstanceIds: ids}
	must(t, ec2.NewInstanceRunningWaiter(c, func(o *ec2.InstanceRunningWaiterOptions) { o.MinDelay, o.MaxDelay = briefly, briefly }).Wait(ctx, describe, patience))
	status := &ec2.DescribeInstanceStatusInput{InstanceIds: ids}
	must(t, ec2.NewInstanceStatusOkWaiter(c, func(o *ec2.InstanceStatusOkWaiterOptions) { o.MinDelay, o.MaxDelay = briefly, briefly }).Wait(ctx, status, patience))
	checked, err := c.DescribeInstanceStatus(ctx, status)
	must(t, err)
	expect(t, "checks passed", checked.InstanceStatuses[0].InstanceStatus.Status, types.SummaryStatusOk)
	found, err := c.DescribeInstances(ctx, &ec2.DescribeInstancesInput{Filters: by("tag:Name", "go-sdk")})
	must(t, err)
	expect(t, "found", fmt.Sprint(len(found.Reservations), len(found.Reservations[0].Instances)), "1 2")
	instancesChange(t, c, ids, found.Reservations[0].Instances[0])
	must(t, first(c.RebootInstances(ctx, &ec2.RebootInstancesInput{InstanceIds: ids})))
	must(t, first(c.StopInstances(ctx, &ec2.StopInstancesInput{InstanceIds: ids})))
	must(t, ec2.NewInstanceStoppedWaiter(c, func(o *ec2.InstanceStoppedWaiterOptions) { o.MinDelay, o.MaxDelay = briefly, briefly }).Wait(ctx, describe, patience))
	must(t, first(c.StartInstances(ctx, &ec2.StartInstancesInput{InstanceIds: ids[:1]})))
	must(t, first(c.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: ids})))
	must(t, ec2.NewInstanceTerminatedWaiter(c, func(o *ec2.InstanceTerminatedWaiterOptions) { o.MinDelay, o.MaxDelay = briefly, briefly }).Wait(ctx, describe, patience))
}

// instancesChange changes what can be changed of an instance.
func instancesChange(t *testing.T, c *ec2.Client, ids []string, i types.Instance) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	group, err := c.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{GroupName: aws.String("go-instances"), Description: aws.String("go")})
	must(t, err)
	before := []string{*i.SecurityGroups[0].GroupId}
	must(t, first(c.ModifyInstanceAttribute(ctx, &ec2.ModifyInstanceAttributeInput{InstanceId: i.InstanceId, Groups: []string{*group.GroupId}})))
	attribute, err := c.DescribeInstanceAttribute(ctx, &ec2.DescribeInstanceAttributeInput{InstanceId: i.InstanceId, Attribute: types.InstanceAttributeNameGroupSet})
	must(t, err)
	expect(t, "group", *attribute.Groups[0].GroupId, *group.GroupId)
	interfaces, err := c.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{Filters: by("attachment.instance-id", *i.InstanceId)})
	must(t, err)
	expect(t, "address", *interfaces.NetworkInterfaces[0].PrivateIpAddress, *i.PrivateIpAddress)
	must(t, first(c.ModifyNetworkInterfaceAttribute(ctx, &ec2.ModifyNetworkInterfaceAttributeInput{
		NetworkInterfaceId: interfaces.NetworkInterfaces[0].NetworkInterfaceId, Groups: before,
	})))
	must(t, first(c.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: group.GroupId})))
	credits, err := c.DescribeInstanceCreditSpecifications(ctx, &ec2.DescribeInstanceCreditSpecificationsInput{InstanceIds: ids})
	must(t, err)
	expect(t, "instances with credits", len(credits.InstanceCreditSpecifications), 2)
}

// first drops an answer that says nothing but that it went well.
func first[T any](_ T, err error) error { return err }

// TestGoSDKDefaultVPC deletes a region's default VPC and brings it back.
func TestGoSDKDefaultVPC(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	elsewhere := func(o *ec2.Options) { o.Region = "ap-southeast-2" }
	c := ec2Client()
	vpcs, err := c.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: by("is-default", "true")}, elsewhere)
	must(t, err)
	subnets, err := c.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{}, elsewhere)
	must(t, err)
	for _, s := range subnets.Subnets {
		must(t, first(c.DeleteSubnet(ctx, &ec2.DeleteSubnetInput{SubnetId: s.SubnetId}, elsewhere)))
	}
	must(t, first(c.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: vpcs.Vpcs[0].VpcId}, elsewhere)))
	back, err := c.CreateDefaultVpc(ctx, &ec2.CreateDefaultVpcInput{}, elsewhere)
	must(t, err)
	expect(t, "default VPC", *back.Vpc.VpcId, *vpcs.Vpcs[0].VpcId)
}

// briefly is how long waiters wait here.
const briefly = 100 * time.Millisecond

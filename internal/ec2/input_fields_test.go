package ec2

import (
	"reflect"
	"strings"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
)

// Every field of an input either has an effect or is refused when it asks for
// one, by its name: a field that a newer model brings fails here until somebody
// decides.
func TestEveryInputFieldIsServedOrRefused(t *testing.T) {
	t.Parallel()
	s := newService(t)
	vpc := createVPC(t, s, "10.0.0.0/16")
	for _, c := range []struct {
		in     func() any
		served string
	}{
		{func() any { return &wire.CreateVpcRequest{CidrBlock: core.Ptr("10.0.0.0/16")} }, "CidrBlock DryRun TagSpecifications"},
		{func() any { return &wire.CreateSubnetRequest{VpcId: &vpc, CidrBlock: core.Ptr("10.0.0.0/24")} }, "VpcId CidrBlock AvailabilityZone AvailabilityZoneId DryRun TagSpecifications"},
		{func() any { return &wire.CreateSecurityGroupRequest{} }, "Description GroupName VpcId TagSpecifications DryRun"},
		{func() any { return &wire.AuthorizeSecurityGroupIngressRequest{} }, "CidrIp FromPort GroupId GroupName IpPermissions IpProtocol SourceSecurityGroupName SourceSecurityGroupOwnerId ToPort DryRun TagSpecifications"},
		{func() any { return &wire.AuthorizeSecurityGroupEgressRequest{} }, "CidrIp FromPort GroupId IpPermissions IpProtocol SourceSecurityGroupName SourceSecurityGroupOwnerId ToPort DryRun TagSpecifications"},
		{func() any { return &wire.RevokeSecurityGroupIngressRequest{} }, "CidrIp FromPort GroupId GroupName IpPermissions IpProtocol SourceSecurityGroupName SourceSecurityGroupOwnerId ToPort DryRun SecurityGroupRuleIds"},
		{func() any { return &wire.RevokeSecurityGroupEgressRequest{} }, "CidrIp FromPort GroupId IpPermissions IpProtocol SourceSecurityGroupName SourceSecurityGroupOwnerId ToPort DryRun SecurityGroupRuleIds"},
		{func() any { return &wire.SecurityGroupRuleRequest{} }, "IpProtocol FromPort ToPort CidrIpv4 CidrIpv6 PrefixListId ReferencedGroupId Description"},
		{func() any { return &wire.DescribeSecurityGroupsRequest{} }, "Filters GroupIds GroupNames DryRun NextToken MaxResults"},
		{func() any { return &wire.DescribeSecurityGroupRulesRequest{} }, "Filters SecurityGroupRuleIds DryRun NextToken MaxResults"},
		{func() any { return &wire.DescribeNetworkInterfacesRequest{} }, "Filters NetworkInterfaceIds DryRun NextToken MaxResults"},
		{func() any { return &wire.DescribeVpcsRequest{} }, "Filters VpcIds DryRun NextToken MaxResults"},
		{func() any { return &wire.DescribeSubnetsRequest{} }, "Filters SubnetIds DryRun NextToken MaxResults"},
		{func() any { return &wire.DescribeVpcAttributeRequest{} }, "Attribute VpcId DryRun"},
		{func() any { return &wire.DescribeRouteTablesRequest{} }, "Filters RouteTableIds DryRun NextToken MaxResults"},
		{func() any { return &wire.DescribeNetworkAclsRequest{} }, "Filters NetworkAclIds DryRun NextToken MaxResults"},
		{func() any { return &wire.ModifySecurityGroupRulesRequest{} }, "GroupId SecurityGroupRules DryRun"},
		{func() any { return &wire.UpdateSecurityGroupRuleDescriptionsIngressRequest{} }, "DryRun GroupId GroupName IpPermissions SecurityGroupRuleDescriptions"},
		{func() any { return &wire.UpdateSecurityGroupRuleDescriptionsEgressRequest{} }, "DryRun GroupId GroupName IpPermissions SecurityGroupRuleDescriptions"},
		// DNS support is only ever on.
		{func() any { return &wire.ModifyVpcAttributeRequest{VpcId: &vpc} }, "VpcId EnableDnsHostnames EnableDnsSupport"},
		{func() any { return runRequest() }, "ImageId InstanceType MaxCount MinCount Placement SecurityGroupIds SecurityGroups SubnetId ClientToken " +
			"DisableApiTermination DisableApiStop DryRun NetworkInterfaces PrivateIpAddress TagSpecifications"},
		{func() any { return &wire.Placement{} }, "AvailabilityZone"},
		// It is only ever deleted with its instance.
		{func() any { return &wire.InstanceNetworkInterfaceSpecification{} }, "DeleteOnTermination Description Groups PrivateIpAddress SubnetId"},
		// The two checks are only ever on. Attribute and Value are an older form of the others.
		{func() any { return &wire.ModifyInstanceAttributeRequest{InstanceId: core.Ptr("i-0")} }, "InstanceId Attribute Value DryRun DisableApiTermination DisableApiStop " +
			"InstanceType Groups SourceDestCheck EnaSupport"},
		{func() any { return &wire.ModifyNetworkInterfaceAttributeRequest{NetworkInterfaceId: core.Ptr("eni-0")} }, "NetworkInterfaceId Description DryRun Groups SourceDestCheck"},
		{func() any { return &wire.StartInstancesRequest{} }, "InstanceIds DryRun"},
		// Force is for machines that do not obey, of which there are none.
		{func() any { return &wire.StopInstancesRequest{} }, "InstanceIds DryRun Force"},
		{func() any { return &wire.RebootInstancesRequest{} }, "InstanceIds DryRun"},
		{func() any { return &wire.TerminateInstancesRequest{} }, "InstanceIds DryRun"},
		{func() any { return &wire.DescribeInstancesRequest{} }, "Filters InstanceIds DryRun MaxResults NextToken"},
		{func() any { return &wire.DescribeInstanceStatusRequest{} }, "Filters InstanceIds DryRun MaxResults NextToken IncludeAllInstances"},
		{func() any { return &wire.DescribeInstanceAttributeRequest{} }, "Attribute InstanceId DryRun"},
		// The one image is neither deprecated nor disabled.
		{func() any { return &wire.DescribeImagesRequest{} }, "ExecutableUsers Filters ImageIds Owners IncludeDeprecated IncludeDisabled DryRun MaxResults NextToken"},
		{func() any { return &wire.DescribeInstanceTypesRequest{} }, "InstanceTypes Filters DryRun MaxResults NextToken"},
		{func() any { return &wire.DescribeInstanceTypeOfferingsRequest{} }, "LocationType Filters DryRun MaxResults NextToken"},
		{func() any { return &wire.DescribeInstanceCreditSpecificationsRequest{} }, "Filters InstanceIds DryRun MaxResults NextToken"},
	} {
		served := map[string]bool{}
		for name := range strings.FieldsSeq(c.served) {
			served[name] = true
		}
		shape := reflect.TypeOf(c.in()).Elem()
		for i := range shape.NumField() {
			name := shape.Field(i).Name
			if served[name] {
				delete(served, name)
				continue
			}
			t.Run(shape.Name()+" "+name, func(t *testing.T) {
				request := c.in()
				fill(reflect.ValueOf(request).Elem().Field(i))
				refused(t, send(t, s, request), "UnsupportedOperation", name)
			})
		}
		for name := range served {
			t.Errorf("%s has no field %s", shape.Name(), name)
		}
	}
}

// runRequest asks for one instance, and nothing else.
func runRequest() *wire.RunInstancesRequest {
	return &wire.RunInstancesRequest{ImageId: core.Ptr(imageID), MinCount: core.Ptr(1), MaxCount: core.Ptr(1)}
}

// send calls the actions that refuse fields; parts of a request go in one.
func send(t *testing.T, s *Service, request any) error {
	t.Helper()
	ctx := in(t, home)
	var err error
	switch r := request.(type) {
	case *wire.CreateVpcRequest:
		_, err = s.CreateVpc(ctx, r)
	case *wire.CreateSubnetRequest:
		_, err = s.CreateSubnet(ctx, r)
	case *wire.ModifyVpcAttributeRequest:
		err = s.ModifyVpcAttribute(ctx, r)
	case *wire.RunInstancesRequest:
		_, err = s.RunInstances(ctx, r)
	case *wire.Placement:
		run := runRequest()
		run.Placement = r
		_, err = s.RunInstances(ctx, run)
	case *wire.InstanceNetworkInterfaceSpecification:
		run := runRequest()
		run.NetworkInterfaces = []*wire.InstanceNetworkInterfaceSpecification{r}
		_, err = s.RunInstances(ctx, run)
	case *wire.StartInstancesRequest:
		_, err = s.StartInstances(ctx, r)
	case *wire.StopInstancesRequest:
		_, err = s.StopInstances(ctx, r)
	case *wire.ModifyInstanceAttributeRequest:
		err = s.ModifyInstanceAttribute(ctx, r)
	case *wire.ModifyNetworkInterfaceAttributeRequest:
		err = s.ModifyNetworkInterfaceAttribute(ctx, r)
	default:
		t.Fatalf("neither served nor refused: %T", request)
	}
	return err
}

// fill gives a field a value that asks for something; in a list two of them, and in a
// structure every member.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0))
		fill(v.Index(1))
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				fill(f)
			}
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("dedicated")
	case reflect.Int:
		v.SetInt(24)
	}
}

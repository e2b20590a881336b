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
				refused(t, create(t, s, request), "UnsupportedOperation", name)
			})
		}
		for name := range served {
			t.Errorf("%s has no field %s", shape.Name(), name)
		}
	}
}

// create calls the actions that refuse fields.
func create(t *testing.T, s *Service, request any) error {
	t.Helper()
	var err error
	switch r := request.(type) {
	case *wire.CreateVpcRequest:
		_, err = s.CreateVpc(in(t, home), r)
	case *wire.CreateSubnetRequest:
		_, err = s.CreateSubnet(in(t, home), r)
	default:
		t.Fatalf("neither served nor refused: %T", request)
	}
	return err
}

// fill gives a field a value that asks for something.
func fill(v reflect.Value) {
	p := reflect.New(v.Type().Elem())
	switch p.Elem().Kind() {
	case reflect.Bool:
		p.Elem().SetBool(true)
	case reflect.String:
		p.Elem().SetString("dedicated")
	case reflect.Int:
		p.Elem().SetInt(24)
	}
	v.Set(p)
}

package ec2

import (
	"strings"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// An instance of EC2-Classic has an address and groups, and nothing of a VPC.
func TestInstanceInClassic(t *testing.T) {
	t.Parallel()
	s := newClassicService(t)
	web := createClassicGroup(t, s, "web")
	launched := run(t, s, func(r *wire.RunInstancesRequest) {
		r.SecurityGroups, r.Placement = []string{"web", "default"}, &wire.Placement{AvailabilityZone: core.Ptr("us-east-1b")}
	})
	i := launched.Instances[0]
	if len(launched.Groups) != 2 || *launched.Groups[0].GroupName != "web" || len(i.SecurityGroups) != 2 ||
		!strings.HasPrefix(*i.PrivateIpAddress, "10.12.") || *i.Placement.AvailabilityZone != "us-east-1b" {
		t.Errorf("launched %+v", launched)
	}
	if i.VpcId != nil || i.SubnetId != nil || len(i.NetworkInterfaces) > 0 || i.SourceDestCheck != nil {
		t.Errorf("it is in a VPC: %+v", i)
	}
	observe(t, s)
	err := s.store.Update(t.Context(), func(tx *store.Tx) error {
		network, _ := resource.ClassicNetwork(tx, home)
		resource.Publications.Put(tx, key(home, "pub-1"), &resource.Publication{Region: home, ID: "pub-1", VPCID: network.ID, Address: "10.12.0.99"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	interfaces, err := s.DescribeNetworkInterfaces(in(t, home), &wire.DescribeNetworkInterfacesRequest{})
	if err != nil || len(interfaces.NetworkInterfaces) > 0 {
		t.Errorf("there are interfaces %+v, %v", interfaces, err)
	}
	for filter, want := range map[string]int{"group-name=web": 1, "group-id=" + web: 1, "instance.group-name=web": 0, "vpc-id=*": 0, "private-ip-address=10.12.*": 1} {
		name, value, _ := strings.Cut(filter, "=")
		out, err := s.DescribeInstances(in(t, home), &wire.DescribeInstancesRequest{Filters: filterBy(name, value)})
		if err != nil || len(out.Reservations) != want {
			t.Errorf("%s finds %d, %v", filter, len(out.Reservations), err)
		}
	}
	err = s.ModifyInstanceAttribute(in(t, home), &wire.ModifyInstanceAttributeRequest{InstanceId: i.InstanceId, Groups: []string{web}})
	refused(t, err, "InvalidParameterCombination", "only be changed in a VPC")
	_, err = s.DeleteSecurityGroup(in(t, home), &wire.DeleteSecurityGroupRequest{GroupId: &web})
	refused(t, err, "InvalidGroup.InUse", "'web'")
	if _, err := s.TerminateInstances(in(t, home), &wire.TerminateInstancesRequest{InstanceIds: []string{*i.InstanceId}}); err != nil {
		t.Fatal(err)
	}
	observe(t, s)
	if _, err = s.DeleteSecurityGroup(in(t, home), &wire.DeleteSecurityGroupRequest{GroupId: &web}); err != nil {
		t.Error(err)
	}
}

func TestClassicLaunchRefusals(t *testing.T) {
	t.Parallel()
	s := newClassicService(t)
	ofVPC := groupOfVPC(t, s)
	for _, c := range []struct {
		name       string
		edit       func(*wire.RunInstancesRequest)
		code, part string
	}{
		{"an address", func(r *wire.RunInstancesRequest) { r.PrivateIpAddress = core.Ptr("10.12.0.9") }, "InvalidParameterCombination", "privateIpAddress"},
		{"an interface", func(r *wire.RunInstancesRequest) { r.NetworkInterfaces = onInterface("", "", "") }, "InvalidParameterCombination", "networkInterface"},
		{"a group of a VPC", func(r *wire.RunInstancesRequest) { r.SecurityGroupIds = []string{ofVPC} }, "InvalidGroup.NotFound", "different networks"},
		{"an unknown group", func(r *wire.RunInstancesRequest) { r.SecurityGroups = []string{"none"} }, "InvalidGroup.NotFound", "The security group 'none' does not exist"},
	} {
		request := one()
		c.edit(request)
		_, err := s.RunInstances(in(t, home), request)
		t.Run(c.name, func(t *testing.T) { refused(t, err, c.code, c.part) })
	}
}

package ec2

import (
	"net/netip"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/topology"
)

// TestInstancesInThePolicy moves an instance between groups and states, and asks
// each time whether a rule for its group lets it in.
func TestInstancesInThePolicy(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, home)
	vpcs, err := s.DescribeVpcs(ctx, &wire.DescribeVpcsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	vpc := *vpcs.Vpcs[0].VpcId
	app, cache := createGroup(t, s, vpc, "app"), createGroup(t, s, vpc, "cache")
	_, err = s.AuthorizeSecurityGroupIngress(ctx, &wire.AuthorizeSecurityGroupIngressRequest{GroupId: &cache, IpPermissions: []*wire.IpPermission{{
		IpProtocol: core.Ptr("tcp"), FromPort: core.Ptr(6379), ToPort: core.Ptr(6379), UserIdGroupPairs: []*wire.UserIdGroupPair{{GroupId: &app}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	server := run(t, s, func(r *wire.RunInstancesRequest) { r.SecurityGroupIds = []string{cache} }).Instances[0]
	client := run(t, s, func(r *wire.RunInstancesRequest) { r.SecurityGroupIds = []string{app} }).Instances[0]
	interfaceID := *client.NetworkInterfaces[0].NetworkInterfaceId
	admitted := func(when string, want bool) {
		t.Helper()
		s.store.Local(func(r store.Reader) {
			world, _ := topology.World(r)
			got, why := network.Compile(world).Allows(network.Flow{
				Protocol: network.TCP, SourceVPC: vpc, Source: netip.MustParseAddr(*client.PrivateIpAddress), VPC: vpc,
				Destination: netip.MustParseAddr(*server.PrivateIpAddress), Port: 6379,
			})
			if got != want {
				t.Errorf("%s: admitted %v: %v", when, got, why)
			}
		})
	}
	turn := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		observe(t, s)
	}
	admitted("before it runs", true)
	observe(t, s)
	admitted("in the group", true)
	turn(s.ModifyInstanceAttribute(ctx, &wire.ModifyInstanceAttributeRequest{InstanceId: client.InstanceId, Groups: []string{cache}}))
	admitted("in another group", false)
	_, err = s.DeleteSecurityGroup(ctx, &wire.DeleteSecurityGroupRequest{GroupId: &cache})
	refused(t, err, "DependencyViolation", cache)
	turn(s.ModifyNetworkInterfaceAttribute(ctx, &wire.ModifyNetworkInterfaceAttributeRequest{NetworkInterfaceId: &interfaceID, Groups: []string{app}}))
	admitted("back again", true)
	_, err = s.StopInstances(ctx, &wire.StopInstancesRequest{InstanceIds: []string{*client.InstanceId}})
	admitted("told to stop", false)
	turn(err)
	admitted("stopped", false)
	_, err = s.StartInstances(ctx, &wire.StartInstancesRequest{InstanceIds: []string{*client.InstanceId}})
	turn(err)
	admitted("started", true)
	_, err = s.TerminateInstances(ctx, &wire.TerminateInstancesRequest{InstanceIds: []string{*client.InstanceId}})
	turn(err)
	admitted("terminated", false)
	for _, id := range []string{interfaceID, "eni-0"} {
		err := s.ModifyNetworkInterfaceAttribute(ctx, &wire.ModifyNetworkInterfaceAttributeRequest{NetworkInterfaceId: &id, Groups: []string{app}})
		refused(t, err, "InvalidNetworkInterfaceID.NotFound", id)
	}
}

func TestInterfacesOfCachesAreNotTheUsers(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, home)
	subnets, err := s.DescribeSubnets(ctx, &wire.DescribeSubnetsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		c := &resource.CacheCluster{Region: home, ID: "c", UID: "u"}
		c.Spec.Nodes = []resource.NodeSlot{{ID: "0001", SubnetID: *subnets.Subnets[0].SubnetId}}
		c.Spec.Nodes[0].Endpoint.VPC = core.Endpoint{Address: "172.31.0.9", Port: 6379}
		resource.CacheClusters.Put(tx, home+"/c", c)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s, func(r *wire.RunInstancesRequest) {
		r.TagSpecifications = []*wire.TagSpecification{
			{ResourceType: core.Ptr("network-interface"), Tags: tags("n=1")}, {ResourceType: core.Ptr("instance"), Tags: tags("Name=x")},
		}
	})
	owned := map[string]string{}
	for _, managed := range []string{"true", "false"} {
		out, err := s.DescribeNetworkInterfaces(ctx, &wire.DescribeNetworkInterfacesRequest{Filters: filterBy("requester-managed", managed)})
		if err != nil || len(out.NetworkInterfaces) != 1 {
			t.Fatalf("%+v, %v", out, err)
		}
		owned[managed] = *out.NetworkInterfaces[0].NetworkInterfaceId
		if mine := managed == "false"; mine != (out.NetworkInterfaces[0].Attachment.InstanceId != nil) || mine != (len(out.NetworkInterfaces[0].TagSet) == 1) {
			t.Errorf("%+v", out.NetworkInterfaces[0])
		}
	}
	id := owned["true"]
	refused(t, s.ModifyNetworkInterfaceAttribute(ctx, &wire.ModifyNetworkInterfaceAttributeRequest{NetworkInterfaceId: &id, Groups: []string{"sg-0"}}),
		"AuthFailure", "You do not have permission")
	id = owned["false"]
	refused(t, s.ModifyNetworkInterfaceAttribute(ctx, &wire.ModifyNetworkInterfaceAttributeRequest{NetworkInterfaceId: &id, SourceDestCheck: attribute(false)}),
		"UnsupportedOperation", "SourceDestCheck")
	tagged, err := s.DescribeTags(ctx, &wire.DescribeTagsRequest{})
	if err != nil || len(tagged.Tags) != 2 {
		t.Errorf("tags %+v, %v", tagged, err)
	}
}

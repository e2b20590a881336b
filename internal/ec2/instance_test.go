package ec2

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// one asks for one instance of the image.
func one() *wire.RunInstancesRequest {
	return &wire.RunInstancesRequest{ImageId: core.Ptr(imageID), InstanceType: core.Ptr("t3.micro"), MinCount: core.Ptr(1), MaxCount: core.Ptr(1)}
}

func run(t *testing.T, s *Service, edit func(*wire.RunInstancesRequest)) *wire.Reservation {
	t.Helper()
	request := one()
	if edit != nil {
		edit(request)
	}
	out, err := s.RunInstances(in(t, home), request)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// observe does what the host does: it sees all instances become what they shall
// be.
func observe(t *testing.T, s *Service) {
	t.Helper()
	err := s.store.Update(t.Context(), func(tx *store.Tx) error {
		for _, i := range resource.Instances.List(tx, "") {
			i.Observe(tx, resource.InstanceStatus{Power: i.Spec.Power, Boots: i.Spec.Boots})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func described(t *testing.T, s *Service, ids ...string) []*wire.Instance {
	t.Helper()
	out, err := s.DescribeInstances(in(t, home), &wire.DescribeInstancesRequest{InstanceIds: ids})
	if err != nil {
		t.Fatal(err)
	}
	var all []*wire.Instance
	for _, r := range out.Reservations {
		all = append(all, r.Instances...)
	}
	return all
}

func TestInstanceLife(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, home)
	id := *run(t, s, nil).Instances[0].InstanceId
	ids := []string{id}
	state := func(want string) {
		t.Helper()
		if i := described(t, s, id)[0]; *i.State.Name != want || *i.State.Code != stateCodes[want] {
			t.Errorf("state %s (%d), want %s", *i.State.Name, *i.State.Code, want)
		}
	}
	change := func(changes []*wire.InstanceStateChange, err error, from, to string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if c := changes[0]; *c.PreviousState.Name != from || *c.CurrentState.Name != to || *c.InstanceId != id {
			t.Errorf("from %s to %s, want from %s to %s", *c.PreviousState.Name, *c.CurrentState.Name, from, to)
		}
	}
	state("pending")
	observe(t, s)
	state("running")
	address := *described(t, s, id)[0].PrivateIpAddress

	started, err := s.StartInstances(ctx, &wire.StartInstancesRequest{InstanceIds: ids})
	change(started.StartingInstances, err, "running", "running")
	if err := s.RebootInstances(ctx, &wire.RebootInstancesRequest{InstanceIds: ids}); err != nil {
		t.Error(err)
	}
	state("running")
	observe(t, s)
	stopped, err := s.StopInstances(ctx, &wire.StopInstancesRequest{InstanceIds: ids})
	change(stopped.StoppingInstances, err, "running", "stopping")
	_, err = s.StartInstances(ctx, &wire.StartInstancesRequest{InstanceIds: ids})
	refused(t, err, "IncorrectInstanceState", "from which it can be started")
	observe(t, s)
	state("stopped")
	stopped, err = s.StopInstances(ctx, &wire.StopInstancesRequest{InstanceIds: ids})
	change(stopped.StoppingInstances, err, "stopped", "stopped")
	refused(t, s.RebootInstances(ctx, &wire.RebootInstancesRequest{InstanceIds: ids}), "IncorrectInstanceState", "from which it can be rebooted")
	if i := described(t, s, id)[0]; *i.PrivateIpAddress != address || *i.StateReason.Code != "Client.UserInitiatedShutdown" ||
		!strings.HasPrefix(*i.StateTransitionReason, "User initiated (20") || len(i.NetworkInterfaces) != 1 {
		t.Errorf("stopped: %+v", i)
	}
	started, err = s.StartInstances(ctx, &wire.StartInstancesRequest{InstanceIds: ids})
	change(started.StartingInstances, err, "stopped", "pending")
	observe(t, s)

	ended, err := s.TerminateInstances(ctx, &wire.TerminateInstancesRequest{InstanceIds: ids})
	if err != nil {
		t.Fatal(err)
	}
	change(ended.TerminatingInstances, nil, "running", "shutting-down")
	if n := taken(t, s); n != 1 {
		t.Errorf("%d addresses taken while the instance shuts down", n)
	}
	observe(t, s)
	state("terminated")
	if i := described(t, s, id)[0]; i.PrivateIpAddress != nil || len(i.NetworkInterfaces) > 0 || len(i.SecurityGroups) > 0 {
		t.Errorf("terminated: %+v", i)
	}
	if n := taken(t, s); n != 0 {
		t.Errorf("%d addresses are still taken", n)
	}
	ended, err = s.TerminateInstances(ctx, &wire.TerminateInstancesRequest{InstanceIds: ids})
	change(ended.TerminatingInstances, err, "terminated", "terminated")
	_, err = s.StopInstances(ctx, &wire.StopInstancesRequest{InstanceIds: ids})
	refused(t, err, "IncorrectInstanceState", "from which it can be stopped")
	_, err = s.DescribeInstanceAttribute(ctx, &wire.DescribeInstanceAttributeRequest{InstanceId: &id, Attribute: core.Ptr("userData")})
	refused(t, err, "InvalidInstanceID.NotFound", id)
}

func taken(t *testing.T, s *Service) (n int) {
	t.Helper()
	s.store.Local(func(r store.Reader) { n = len(resource.Addresses.Keys(r, "")) })
	return n
}

func TestLaunchForms(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, home)
	observe(t, s)
	vpcs, err := s.DescribeVpcs(ctx, &wire.DescribeVpcsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	subnets, err := s.DescribeSubnets(ctx, &wire.DescribeSubnetsRequest{Filters: filterBy("availability-zone", home+"b")})
	if err != nil {
		t.Fatal(err)
	}
	subnet, zone := *subnets.Subnets[0].SubnetId, *subnets.Subnets[0].AvailabilityZone
	app := createGroup(t, s, *vpcs.Vpcs[0].VpcId, "app")
	for name, tc := range map[string]struct {
		edit           func(*wire.RunInstancesRequest)
		groups         []string
		zone, address  string
		count, indexed int
	}{
		"nothing but the image": {func(r *wire.RunInstancesRequest) { r.InstanceType = nil }, []string{"default"}, "", "", 1, 0},
		"a subnet and a group":  {func(r *wire.RunInstancesRequest) { r.SubnetId, r.SecurityGroupIds = &subnet, []string{app} }, []string{"app"}, zone, "", 1, 0},
		"an empty list":         {func(r *wire.RunInstancesRequest) { r.SecurityGroupIds = []string{""} }, []string{"default"}, "", "", 1, 0},
		"groups by name":        {func(r *wire.RunInstancesRequest) { r.SecurityGroups = []string{"app", "default"} }, []string{"app", "default"}, "", "", 1, 0},
		"a zone":                {func(r *wire.RunInstancesRequest) { r.Placement = &wire.Placement{AvailabilityZone: &zone} }, []string{"default"}, zone, "", 1, 0},
		"an address":            {func(r *wire.RunInstancesRequest) { r.PrivateIpAddress = core.Ptr("172.31.16.77") }, []string{"default"}, "", "172.31.16.77", 1, 0},
		"an interface":          {func(r *wire.RunInstancesRequest) { r.NetworkInterfaces = onInterface(subnet, app, "172.31.16.78") }, []string{"app"}, zone, "172.31.16.78", 1, 0},
		"several":               {func(r *wire.RunInstancesRequest) { r.MinCount, r.MaxCount = core.Ptr(2), core.Ptr(3) }, []string{"default"}, "", "", 3, 2},
		"without being metered": {func(r *wire.RunInstancesRequest) {
			r.CreditSpecification = &wire.CreditSpecificationRequest{CpuCredits: core.Ptr("unlimited")}
		}, []string{"default"}, "", "", 1, 0},
		"what Terraform repeats": {terraformDefaults, []string{"default"}, "", "", 1, 0},
	} {
		out := run(t, s, tc.edit)
		if len(out.Instances) != tc.count {
			t.Errorf("%s: %d instances", name, len(out.Instances))
			continue
		}
		last := out.Instances[tc.count-1]
		var groups []string
		for _, g := range last.SecurityGroups {
			groups = append(groups, *g.GroupName)
		}
		if !slices.Equal(groups, tc.groups) || *last.AmiLaunchIndex != tc.indexed {
			t.Errorf("%s: in groups %v, number %d", name, groups, *last.AmiLaunchIndex)
		}
		if tc.zone != "" && *last.Placement.AvailabilityZone != tc.zone || tc.address != "" && *last.PrivateIpAddress != tc.address {
			t.Errorf("%s: in %s at %s", name, *last.Placement.AvailabilityZone, *last.PrivateIpAddress)
		}
	}
}

func terraformDefaults(r *wire.RunInstancesRequest) {
	no := core.Ptr(false)
	r.DisableApiTermination, r.EbsOptimized, r.Monitoring = no, no, &wire.RunInstancesMonitoringEnabled{Enabled: no}
	r.HibernationOptions, r.Placement = &wire.HibernationOptionsRequest{Configured: no}, &wire.Placement{AvailabilityZone: core.Ptr("")}
}

func onInterface(subnet, group, address string) []*wire.InstanceNetworkInterfaceSpecification {
	return []*wire.InstanceNetworkInterfaceSpecification{{
		DeviceIndex: core.Ptr(0), SubnetId: &subnet, Groups: []string{group}, PrivateIpAddress: &address, AssociatePublicIpAddress: core.Ptr(false),
	}}
}

func TestLaunchRefusals(t *testing.T) {
	t.Parallel()
	s := newService(t)
	other := createVPC(t, s, "10.9.0.0/16")
	subnet := createSubnet(t, s, other, "10.9.0.0/28", home+"a")
	foreign := createGroup(t, s, other, "foreign")
	run(t, s, func(r *wire.RunInstancesRequest) { r.SubnetId, r.PrivateIpAddress = &subnet, core.Ptr("10.9.0.5") })
	var many []string
	for n := range 6 {
		many = append(many, createGroup(t, s, other, fmt.Sprint("many-", n)))
	}
	for _, tc := range []struct {
		name       string
		edit       func(*wire.RunInstancesRequest)
		code, says string
	}{
		{"no image", func(r *wire.RunInstancesRequest) { r.ImageId = nil }, "MissingParameter", "ImageId"},
		{"an image that is none", func(r *wire.RunInstancesRequest) { r.ImageId = core.Ptr("debian") }, "InvalidAMIID.Malformed", `Invalid id: "debian" (expecting "ami-...")`},
		{"another image", func(r *wire.RunInstancesRequest) { r.ImageId = core.Ptr("ami-0") }, "InvalidAMIID.NotFound", "The image id '[ami-0]' does not exist"},
		{"type", func(r *wire.RunInstancesRequest) { r.InstanceType = core.Ptr("t9.huge") }, "InvalidParameterValue", "Invalid value 't9.huge' for InstanceType."},
		{"none at all", func(r *wire.RunInstancesRequest) { r.MinCount = core.Ptr(0) }, "InvalidParameterValue", "minCount"},
		{"less than least", func(r *wire.RunInstancesRequest) { r.MinCount = core.Ptr(2) }, "InvalidParameterValue", "maxCount"},
		{"too many", func(r *wire.RunInstancesRequest) { r.MaxCount = core.Ptr(1001) }, "InstanceLimitExceeded", "1001"},
		{"subnet", func(r *wire.RunInstancesRequest) { r.SubnetId = core.Ptr("subnet-0") }, "InvalidSubnetID.NotFound", "subnet-0"},
		{"zone", func(r *wire.RunInstancesRequest) {
			r.Placement = &wire.Placement{AvailabilityZone: core.Ptr("moon-1a")}
		}, "InvalidParameterValue", "Invalid availability zone: [moon-1a]"},
		{"zone of another subnet", func(r *wire.RunInstancesRequest) {
			r.SubnetId, r.Placement = &subnet, &wire.Placement{AvailabilityZone: core.Ptr(home + "c")}
		}, "InvalidParameterValue", home + "c"},
		{"group", func(r *wire.RunInstancesRequest) { r.SecurityGroupIds = []string{"sg-0"} }, "InvalidGroup.NotFound", "sg-0"},
		{"group by name", func(r *wire.RunInstancesRequest) { r.SecurityGroups = []string{"foreign"} }, "InvalidGroup.NotFound", "'foreign' does not exist in default VPC"},
		{"group of another network", func(r *wire.RunInstancesRequest) { r.SecurityGroupIds = []string{foreign} }, "InvalidParameter", "belong to different networks."},
		{"groups", func(r *wire.RunInstancesRequest) { r.SubnetId, r.SecurityGroupIds = &subnet, many }, "SecurityGroupsPerInterfaceLimitExceeded", ""},
		{"name in a subnet", func(r *wire.RunInstancesRequest) { r.SubnetId, r.SecurityGroups = &subnet, []string{"foreign"} }, "InvalidParameterCombination", "The parameter groupName cannot be used with the parameter subnet"},
		{"subnet twice", func(r *wire.RunInstancesRequest) {
			r.SubnetId, r.NetworkInterfaces = &subnet, onInterface(subnet, foreign, "10.9.0.6")
		}, "InvalidParameterCombination", "instance-level subnet ID"},
		{"groups twice", func(r *wire.RunInstancesRequest) {
			r.SecurityGroupIds, r.NetworkInterfaces = many[:1], onInterface(subnet, foreign, "10.9.0.6")
		}, "InvalidParameterCombination", "instance-level security groups"},
		{"address taken", func(r *wire.RunInstancesRequest) { r.SubnetId, r.PrivateIpAddress = &subnet, core.Ptr("10.9.0.5") }, "InvalidIPAddress.InUse", "Address 10.9.0.5 is in use."},
		{"address reserved", func(r *wire.RunInstancesRequest) { r.SubnetId, r.PrivateIpAddress = &subnet, core.Ptr("10.9.0.3") }, "InvalidParameterValue", "reserved address range"},
		{"last address", func(r *wire.RunInstancesRequest) { r.SubnetId, r.PrivateIpAddress = &subnet, core.Ptr("10.9.0.15") }, "InvalidParameterValue", "reserved address range"},
		{"address elsewhere", func(r *wire.RunInstancesRequest) { r.SubnetId, r.PrivateIpAddress = &subnet, core.Ptr("10.9.1.5") }, "InvalidParameterValue", "does not fall within"},
		{"no address", func(r *wire.RunInstancesRequest) { r.SubnetId, r.PrivateIpAddress = &subnet, core.Ptr("x") }, "InvalidParameterValue", "Invalid IPv4 address"},
		{"one address for two", func(r *wire.RunInstancesRequest) {
			r.MaxCount, r.PrivateIpAddress = core.Ptr(2), core.Ptr("172.31.0.9")
		}, "InvalidParameterCombination", ""},
		{"more than fit", func(r *wire.RunInstancesRequest) {
			r.SubnetId, r.MinCount, r.MaxCount = &subnet, core.Ptr(11), core.Ptr(11)
		}, "InsufficientFreeAddressesInSubnet", subnet},
		{"tags of a volume", func(r *wire.RunInstancesRequest) {
			r.TagSpecifications = []*wire.TagSpecification{{ResourceType: core.Ptr("volume"), Tags: tags("a=b")}}
		}, "InvalidParameterValue", "'volume' is not a valid taggable resource type"},
		{"user data", func(r *wire.RunInstancesRequest) { r.UserData = core.Ptr("IyEvYmluL3NoCg==") }, "UnsupportedOperation", "UserData"},
		{"key", func(r *wire.RunInstancesRequest) { r.KeyName = core.Ptr("mine") }, "UnsupportedOperation", "KeyName"},
		{"disk", func(r *wire.RunInstancesRequest) { r.BlockDeviceMappings = []*wire.BlockDeviceMapping{{}} }, "UnsupportedOperation", "BlockDeviceMappings"},
		{"two interfaces", func(r *wire.RunInstancesRequest) {
			r.NetworkInterfaces = append(onInterface(subnet, foreign, "10.9.0.6"), onInterface(subnet, foreign, "10.9.0.7")...)
		}, "UnsupportedOperation", "NetworkInterface.2"},
		{"public address", func(r *wire.RunInstancesRequest) {
			r.NetworkInterfaces = []*wire.InstanceNetworkInterfaceSpecification{{AssociatePublicIpAddress: core.Ptr(true)}}
		}, "UnsupportedOperation", "AssociatePublicIpAddress"},
		{"dedicated", func(r *wire.RunInstancesRequest) { r.Placement = &wire.Placement{Tenancy: core.Ptr("dedicated")} }, "UnsupportedOperation", "Placement.Tenancy"},
		{"dry run", func(r *wire.RunInstancesRequest) { r.DryRun = core.Ptr(true) }, "DryRunOperation", "would have succeeded"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			request := one()
			tc.edit(request)
			_, err := s.RunInstances(in(t, home), request)
			refused(t, err, tc.code, tc.says)
		})
	}
	if n := taken(t, s); n != 1 {
		t.Errorf("refused launches have left %d addresses", n-1)
	}
	out := run(t, s, func(r *wire.RunInstancesRequest) { r.SubnetId, r.MaxCount = &subnet, core.Ptr(100) })
	if len(out.Instances) != 10 {
		t.Errorf("%d instances in a subnet with room for 10", len(out.Instances))
	}
}

func TestLaunchHappensOnce(t *testing.T) {
	t.Parallel()
	s := newService(t)
	token := func(r *wire.RunInstancesRequest) { r.ClientToken, r.MaxCount = core.Ptr("once"), core.Ptr(2) }
	first, again := run(t, s, token), run(t, s, token)
	if *first.ReservationId != *again.ReservationId || *first.Instances[1].InstanceId != *again.Instances[1].InstanceId || len(described(t, s)) != 2 {
		t.Errorf("launched %+v and %+v", first, again)
	}
	request := one()
	request.ClientToken = core.Ptr("once")
	_, err := s.RunInstances(in(t, home), request)
	refused(t, err, "IdempotentParameterMismatch", "inconsistent")
}

func TestProtectedInstances(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, home)
	id := *run(t, s, func(r *wire.RunInstancesRequest) {
		r.DisableApiTermination, r.DisableApiStop = core.Ptr(true), core.Ptr(true)
	}).Instances[0].InstanceId
	observe(t, s)
	_, err := s.StopInstances(ctx, &wire.StopInstancesRequest{InstanceIds: []string{id}})
	refused(t, err, "OperationNotPermitted", "'disableApiStop'")
	_, err = s.TerminateInstances(ctx, &wire.TerminateInstancesRequest{InstanceIds: []string{id}})
	refused(t, err, "OperationNotPermitted", "'disableApiTermination'")
	modify := func(in *wire.ModifyInstanceAttributeRequest) {
		t.Helper()
		in.InstanceId = &id
		if err := s.ModifyInstanceAttribute(ctx, in); err != nil {
			t.Error(err)
		}
	}
	modify(&wire.ModifyInstanceAttributeRequest{DisableApiStop: attribute(false)})
	modify(&wire.ModifyInstanceAttributeRequest{Attribute: core.Ptr("disableApiTermination"), Value: core.Ptr("false")})
	for name, want := range map[string]bool{"disableApiStop": false, "disableApiTermination": false} {
		out, err := s.DescribeInstanceAttribute(ctx, &wire.DescribeInstanceAttributeRequest{InstanceId: &id, Attribute: &name})
		if err != nil {
			t.Fatal(err)
		}
		shown := map[string]*wire.AttributeBooleanValue{"disableApiStop": out.DisableApiStop, "disableApiTermination": out.DisableApiTermination}[name]
		if *shown.Value != want {
			t.Errorf("%s is %v", name, *shown.Value)
		}
	}
	if _, err := s.StopInstances(ctx, &wire.StopInstancesRequest{InstanceIds: []string{id}}); err != nil {
		t.Error(err)
	}
	observe(t, s)
	modify(&wire.ModifyInstanceAttributeRequest{InstanceType: text("r6g.large")})
	if got := *described(t, s, id)[0].InstanceType; got != "r6g.large" {
		t.Errorf("type %s", got)
	}
}

func TestModifyInstanceAttributeRefusals(t *testing.T) {
	t.Parallel()
	s := newService(t)
	id := *run(t, s, nil).Instances[0].InstanceId
	for name, tc := range map[string]struct {
		in         wire.ModifyInstanceAttributeRequest
		code, says string
	}{
		"nothing":         {wire.ModifyInstanceAttributeRequest{}, "InvalidParameterCombination", "No attributes specified."},
		"two things":      {wire.ModifyInstanceAttributeRequest{DisableApiStop: attribute(true), DisableApiTermination: attribute(true)}, "InvalidParameterCombination", "multiple attribute types"},
		"user data":       {wire.ModifyInstanceAttributeRequest{UserData: &wire.BlobAttributeValue{Value: core.Ptr("eA==")}}, "UnsupportedOperation", "UserData"},
		"routing":         {wire.ModifyInstanceAttributeRequest{SourceDestCheck: attribute(false)}, "UnsupportedOperation", "SourceDestCheck"},
		"shutdown":        {wire.ModifyInstanceAttributeRequest{InstanceInitiatedShutdownBehavior: text("terminate")}, "UnsupportedOperation", "InstanceInitiatedShutdownBehavior"},
		"older user data": {wire.ModifyInstanceAttributeRequest{Attribute: core.Ptr("userData"), Value: core.Ptr("x")}, "UnsupportedOperation", "userData"},
		"neither":         {wire.ModifyInstanceAttributeRequest{Attribute: core.Ptr("disableApiStop"), Value: core.Ptr("maybe")}, "InvalidParameterValue", "maybe"},
		"type":            {wire.ModifyInstanceAttributeRequest{InstanceType: text("t9.huge")}, "InvalidParameterValue", "t9.huge"},
		"running":         {wire.ModifyInstanceAttributeRequest{InstanceType: text("t3.small")}, "IncorrectInstanceState", "'stopped' state"},
		"group":           {wire.ModifyInstanceAttributeRequest{Groups: []string{"sg-0"}}, "InvalidGroup.NotFound", "sg-0"},
		"dry run":         {wire.ModifyInstanceAttributeRequest{DisableApiStop: attribute(true), DryRun: core.Ptr(true)}, "DryRunOperation", ""},
		"no instance":     {wire.ModifyInstanceAttributeRequest{InstanceId: core.Ptr("i-0"), DisableApiStop: attribute(true)}, "InvalidInstanceID.NotFound", "The instance ID 'i-0' does not exist"},
		"no id":           {wire.ModifyInstanceAttributeRequest{InstanceId: core.Ptr("x"), DisableApiStop: attribute(true)}, "InvalidInstanceID.Malformed", `"x"`},
	} {
		if tc.in.InstanceId == nil {
			tc.in.InstanceId = &id
		}
		t.Run(name, func(t *testing.T) { refused(t, s.ModifyInstanceAttribute(in(t, home), &tc.in), tc.code, tc.says) })
	}
}

package ec2

import (
	"context"
	"slices"
	"strings"
	"time"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// instance is an instance with its state and the names of its groups.
type instance struct {
	*resource.Instance
	state  string
	groups []*wire.GroupIdentifier
}

func (s *Service) instance(r store.Reader, i *resource.Instance) instance {
	return instance{i, InstanceState(i), groupNames(r, i.Region, i.Spec.SecurityGroupIDs)}
}

func (s *Service) instances(r store.Reader, region string) []instance {
	var out []instance
	for _, i := range resource.Instances.List(r, key(region, "")) {
		out = append(out, s.instance(r, i))
	}
	return out
}

func checkInstanceID(id string) error {
	if !strings.HasPrefix(id, "i-") {
		return errInstanceMalformed(id)
	}
	return nil
}

// instanceQuestion is what all requests that list instances ask alike.
func (s *Service) instanceQuestion(scope string, ids []string, filters []*wire.Filter, limit *int, token *string) question[instance] {
	return question[instance]{
		scope: scope, idParam: "instanceId", ids: ids, id: func(i instance) string { return i.ID }, absent: errInstanceNotFound,
		filters: filters, attributes: s.instanceAttributes, blank: instance{Instance: &resource.Instance{}}, max: limit, token: token,
	}
}

// findInstances answers a question about the instances of the region.
func (s *Service) findInstances(ctx context.Context, q question[instance], skip func(instance) bool) ([]instance, *string, error) {
	for _, id := range q.ids {
		if err := checkInstanceID(id); err != nil {
			return nil, nil, err
		}
	}
	var all []instance
	err := s.view(ctx, func(r store.Reader) error {
		all = s.instances(r, region(ctx))
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if len(q.ids) == 0 {
		all = slices.DeleteFunc(all, skip)
	}
	return answer(all, q)
}

// DescribeInstances lists the instances of the region by the launches that made
// them, those too that were terminated lately.
func (s *Service) DescribeInstances(ctx context.Context, in *wire.DescribeInstancesRequest) (*wire.DescribeInstancesResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	q := s.instanceQuestion("DescribeInstances", in.InstanceIds, in.Filters, in.MaxResults, in.NextToken)
	page, next, err := s.findInstances(ctx, q, func(instance) bool { return false })
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeInstancesResult{Reservations: []*wire.Reservation{}, NextToken: next}
	at := map[string]*wire.Reservation{}
	for _, i := range page {
		id := i.Spec.ReservationID
		if at[id] == nil {
			at[id] = s.wireReservation(i)
			out.Reservations = append(out.Reservations, at[id])
		}
		at[id].Instances = append(at[id].Instances, s.wireInstance(i))
	}
	return out, nil
}

// reservation shows the instances of one launch.
func (s *Service) reservation(r store.Reader, made []*resource.Instance) *wire.Reservation {
	out := s.wireReservation(s.instance(r, made[0]))
	for _, i := range made {
		out.Instances = append(out.Instances, s.wireInstance(s.instance(r, i)))
	}
	slices.SortFunc(out.Instances, func(a, b *wire.Instance) int { return *a.AmiLaunchIndex - *b.AmiLaunchIndex })
	return out
}

// wireReservation is the launch of an instance.
func (s *Service) wireReservation(i instance) *wire.Reservation {
	return &wire.Reservation{
		ReservationId: core.Ptr(i.Spec.ReservationID), OwnerId: core.Ptr(s.account), Groups: classicGroups(i), Instances: []*wire.Instance{},
	}
}

func (s *Service) wireInstance(i instance) *wire.Instance {
	code, reason, transition := i.reason()
	out := &wire.Instance{
		AmiLaunchIndex: core.Ptr(i.Spec.LaunchIndex), ImageId: core.Ptr(i.Spec.ImageID), InstanceId: core.Ptr(i.ID), InstanceType: core.Ptr(i.Spec.Type),
		LaunchTime: core.Ptr(i.Spec.Launched), Monitoring: &wire.Monitoring{State: core.Ptr("disabled")},
		Placement:      &wire.Placement{AvailabilityZone: core.Ptr(i.Spec.Zone), GroupName: core.Ptr(""), Tenancy: core.Ptr("default")},
		PrivateDnsName: core.Ptr(""), PublicDnsName: core.Ptr(""), ProductCodes: []*wire.ProductCode{}, State: wireState(i.state),
		StateTransitionReason: core.Ptr(transition), Architecture: core.Ptr(s.architecture), BlockDeviceMappings: []*wire.InstanceBlockDeviceMapping{},
		ClientToken: core.Ptr(i.Spec.ClientToken), EbsOptimized: core.Ptr(false), EnaSupport: core.Ptr(true), Hypervisor: core.Ptr(hypervisor),
		NetworkInterfaces: []*wire.InstanceNetworkInterface{}, RootDeviceName: core.Ptr(rootDevice), RootDeviceType: core.Ptr("ebs"),
		SecurityGroups: []*wire.GroupIdentifier{}, Tags: wireTags(i.Tags), VirtualizationType: core.Ptr(virtualization),
		PlatformDetails: core.Ptr(platform), UsageOperation: core.Ptr(usageOperation), UsageOperationUpdateTime: core.Ptr(i.Spec.Created),
		EnclaveOptions: &wire.EnclaveOptions{Enabled: core.Ptr(false)}, HibernationOptions: &wire.HibernationOptions{Configured: core.Ptr(false)},
		MetadataOptions: &wire.InstanceMetadataOptionsResponse{State: core.Ptr("applied"), HttpEndpoint: core.Ptr("disabled")},
	}
	if code != "" {
		out.StateReason = &wire.StateReason{Code: core.Ptr(code), Message: core.Ptr(reason)}
	}
	if !i.Exists() {
		return out
	}
	if inClassic(i.Instance) {
		showClassic(out, i)
		return out
	}
	out.PrivateIpAddress, out.SubnetId, out.VpcId = core.Ptr(i.Spec.Address), core.Ptr(i.Spec.SubnetID), core.Ptr(i.Spec.VPCID)
	out.SourceDestCheck, out.SecurityGroups = core.Ptr(true), i.groups
	out.NetworkInterfaces = append(out.NetworkInterfaces, s.wireOwnInterface(i))
	return out
}

// reason says why an instance is in its state, in EC2's three forms.
func (i instance) reason() (code, text, transition string) {
	switch i.state {
	case statePending:
		return statePending, statePending, i.Status.Message
	case stateRunning:
		return "", "", ""
	}
	code = "Client.UserInitiatedShutdown"
	return code, code + ": User initiated shutdown", "User initiated " + changedAt(core.Val(i.Spec.Changed))
}

// wireOwnInterface is an instance's interface as the instance shows it.
func (s *Service) wireOwnInterface(i instance) *wire.InstanceNetworkInterface {
	return &wire.InstanceNetworkInterface{
		Attachment: &wire.InstanceNetworkInterfaceAttachment{
			AttachTime: core.Ptr(i.Spec.Created), AttachmentId: core.Ptr(i.Spec.Interface.AttachmentID), DeleteOnTermination: core.Ptr(true),
			DeviceIndex: core.Ptr(0), NetworkCardIndex: core.Ptr(0), Status: core.Ptr("attached"),
		},
		Description: core.Ptr(i.Spec.Interface.Description), Groups: i.groups, Ipv6Addresses: []*wire.InstanceIpv6Address{},
		NetworkInterfaceId: core.Ptr(i.Spec.Interface.ID), OwnerId: core.Ptr(s.account), PrivateIpAddress: core.Ptr(i.Spec.Address),
		PrivateIpAddresses: []*wire.InstancePrivateIpAddress{{Primary: core.Ptr(true), PrivateIpAddress: core.Ptr(i.Spec.Address)}},
		SourceDestCheck:    core.Ptr(true), Status: core.Ptr("in-use"), SubnetId: core.Ptr(i.Spec.SubnetID), VpcId: core.Ptr(i.Spec.VPCID),
		InterfaceType: core.Ptr("interface"),
	}
}

func (s *Service) instanceAttributes(i instance) attributes {
	code, reason, transition := i.reason()
	a := attributes{
		"architecture": {s.architecture}, "availability-zone": {i.Spec.Zone}, "client-token": {i.Spec.ClientToken}, "hypervisor": {hypervisor},
		"image-id": {i.Spec.ImageID}, "instance-id": {i.ID}, "instance-state-code": {decimal(stateCodes[i.state])}, "instance-state-name": {i.state},
		"instance-type": {i.Spec.Type}, "launch-index": {decimal(i.Spec.LaunchIndex)}, "launch-time": {i.Spec.Launched.UTC().Format(time.RFC3339)},
		"monitoring-state": {"disabled"}, "owner-id": {s.account}, "reason": {transition}, "reservation-id": {i.Spec.ReservationID},
		"root-device-name": {rootDevice}, "root-device-type": {"ebs"}, "state-reason-code": {code}, "state-reason-message": {reason},
		"tenancy": {"default"}, "virtualization-type": {virtualization}, "platform-details": {platform}, "usage-operation": {usageOperation},
		"source-dest-check": boolText(true),
	}
	for _, name := range []string{
		"affinity", "block-device-mapping.attach-time", "block-device-mapping.delete-on-termination", "block-device-mapping.device-name",
		"block-device-mapping.status", "block-device-mapping.volume-id", "capacity-reservation-id", "dns-name", "group-id", "group-name", "host-id",
		"iam-instance-profile.arn", "iam-instance-profile.id", "instance-lifecycle", "instance.group-id", "instance.group-name", "ip-address",
		"ipv6-address", "kernel-id", "key-name", "network-interface.addresses.private-ip-address", "network-interface.attachment.attachment-id",
		"network-interface.group-id", "network-interface.network-interface-id", "network-interface.private-ip-address",
		"network-interface.status", "network-interface.subnet-id", "network-interface.vpc-id", "network-interface.description", "outpost-arn",
		"placement-group-name", "placement-partition-number", "platform", "private-dns-name", "private-ip-address", "product-code", "ramdisk-id",
		"requester-id", "spot-instance-request-id", "subnet-id", "vpc-id",
	} {
		a[name] = nil
	}
	switch {
	case !i.Exists():
	case inClassic(i.Instance):
		a.placedInClassic(i)
	default:
		a.placed(i)
	}
	return a.tagged(i.Tags)
}

// placed adds what filters can ask of an instance's place in the network.
func (a attributes) placed(i instance) {
	for _, prefix := range []string{"", "network-interface."} {
		a[prefix+"vpc-id"], a[prefix+"subnet-id"] = []string{i.Spec.VPCID}, []string{i.Spec.SubnetID}
		a[prefix+"private-ip-address"] = []string{i.Spec.Address}
	}
	a["network-interface.addresses.private-ip-address"] = []string{i.Spec.Address}
	a["network-interface.attachment.attachment-id"] = []string{i.Spec.Interface.AttachmentID}
	a["network-interface.network-interface-id"] = []string{i.Spec.Interface.ID}
	a["network-interface.description"] = []string{i.Spec.Interface.Description}
	a["network-interface.status"] = []string{"in-use"}
	for _, g := range i.groups {
		for _, name := range []string{"group-id", "instance.group-id", "network-interface.group-id"} {
			a[name] = append(a[name], *g.GroupId)
		}
		for _, name := range []string{"group-name", "instance.group-name"} {
			a[name] = append(a[name], *g.GroupName)
		}
	}
}

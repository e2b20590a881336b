package ec2

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// requester is who made the interfaces.
const requester = "amazon-elasticache"

// networkInterface is an interface with what it is for and the names of its
// groups.
type networkInterface struct {
	resource.NetworkInterface
	description string
	groups      []*wire.GroupIdentifier
	// instance is the one that has it; nil for those that ElastiCache or Larder
	// made and keeps.
	instance *resource.Instance
}

// interfaces are those of the region's nodes and instances, and those by which the
// host is an instance of VPCs.
func (s *Service) interfaces(r store.Reader, region string) []networkInterface {
	var out []networkInterface
	for _, i := range resource.NetworkInterfaces(r, region) {
		out = append(out, networkInterface{NetworkInterface: i, description: "ElastiCache " + i.ClusterID})
	}
	for _, a := range resource.Attachments.List(r, key(region, "")) {
		if i, ok := s.hostInterface(r, a); ok {
			out = append(out, networkInterface{NetworkInterface: i, description: "Larder host"})
		}
	}
	for _, p := range resource.Publications.List(r, key(region, "")) {
		out = append(out, networkInterface{NetworkInterface: p.Interface(), description: "Larder publication " + p.ID})
	}
	for _, i := range resource.Instances.List(r, key(region, "")) {
		if i.Exists() {
			out = append(out, networkInterface{NetworkInterface: ownInterface(i), description: i.Spec.Interface.Description, instance: i})
		}
	}
	// Only VPCs have interfaces.
	out = slices.DeleteFunc(out, func(n networkInterface) bool { return resource.IsClassic(n.VPCID) })
	for n := range out {
		out[n].groups = groupNames(r, region, out[n].SecurityGroupIDs)
	}
	return out
}

// ownInterface is the interface of an instance.
func ownInterface(i *resource.Instance) resource.NetworkInterface {
	return resource.NetworkInterface{
		ID: i.Spec.Interface.ID, Region: i.Region, VPCID: i.Spec.VPCID, SubnetID: i.Spec.SubnetID, Zone: i.Spec.Zone,
		Address: i.Spec.Address, SecurityGroupIDs: i.Spec.SecurityGroupIDs, Created: i.Spec.Created,
	}
}

// groupNames names groups as interfaces and instances show them.
func groupNames(r store.Reader, region string, ids []string) []*wire.GroupIdentifier {
	out := []*wire.GroupIdentifier{}
	for _, id := range ids {
		if g, ok := resource.SecurityGroups.Get(r, key(region, id)); ok {
			out = append(out, &wire.GroupIdentifier{GroupId: core.Ptr(g.ID), GroupName: core.Ptr(g.Name)})
		}
	}
	return out
}

// hostInterface finds the subnet of the address that the host has in a VPC.
func (s *Service) hostInterface(r store.Reader, a *resource.Attachment) (resource.NetworkInterface, bool) {
	vpc, ok := resource.VPCs.Get(r, a.Key())
	address, err := netip.ParseAddr(a.Address)
	if !ok || err != nil {
		return resource.NetworkInterface{}, false
	}
	for _, n := range vpc.Subnets {
		if cidr, ok := parseCIDR(n.CIDR); ok && cidr.Contains(address) {
			return resource.NetworkInterface{
				ID: s.id("eni", a.Region, "host/"+vpc.ID), Region: a.Region, VPCID: vpc.ID, SubnetID: n.ID, Zone: n.Zone,
				Address: a.Address, SecurityGroupIDs: a.SecurityGroupIDs,
			}, true
		}
	}
	return resource.NetworkInterface{}, false
}

// DescribeNetworkInterfaces lists the interfaces of the region.
func (s *Service) DescribeNetworkInterfaces(ctx context.Context, in *wire.DescribeNetworkInterfacesRequest) (*wire.DescribeNetworkInterfacesResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	var all []networkInterface
	err := s.view(ctx, func(r store.Reader) error {
		all = s.interfaces(r, region(ctx))
		return nil
	})
	if err != nil {
		return nil, err
	}
	page, next, err := answer(all, question[networkInterface]{
		scope: "DescribeNetworkInterfaces", idParam: "networkInterfaceId", ids: in.NetworkInterfaceIds,
		id: func(n networkInterface) string { return n.ID }, absent: errInterfaceNotFound,
		filters: in.Filters, attributes: s.interfaceAttributes, max: in.MaxResults, token: in.NextToken,
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeNetworkInterfacesResult{NetworkInterfaces: []*wire.NetworkInterface{}, NextToken: next}
	for _, n := range page {
		out.NetworkInterfaces = append(out.NetworkInterfaces, s.wireInterface(n))
	}
	return out, nil
}

// attachment is derived from the interface as the interface is from the node; an
// instance's has an id of its own.
func (n networkInterface) attachment() string {
	if n.instance != nil {
		return n.instance.Spec.Interface.AttachmentID
	}
	return "ela-attach-" + strings.TrimPrefix(n.ID, "eni-")
}

func (s *Service) wireInterface(n networkInterface) *wire.NetworkInterface {
	out := &wire.NetworkInterface{
		NetworkInterfaceId: core.Ptr(n.ID), VpcId: core.Ptr(n.VPCID), SubnetId: core.Ptr(n.SubnetID), AvailabilityZone: core.Ptr(n.Zone),
		Description: core.Ptr(n.description), Groups: n.groups, InterfaceType: core.Ptr("interface"), Ipv6Addresses: []*wire.NetworkInterfaceIpv6Address{},
		OwnerId: core.Ptr(s.account), PrivateIpAddress: core.Ptr(n.Address),
		PrivateIpAddresses: []*wire.NetworkInterfacePrivateIpAddress{{Primary: core.Ptr(true), PrivateIpAddress: core.Ptr(n.Address)}},
		RequesterId:        core.Ptr(requester), RequesterManaged: core.Ptr(true), SourceDestCheck: core.Ptr(true), Status: core.Ptr("in-use"),
		Attachment: &wire.NetworkInterfaceAttachment{
			AttachmentId: core.Ptr(n.attachment()), DeleteOnTermination: core.Ptr(false),
			DeviceIndex: core.Ptr(1), InstanceOwnerId: core.Ptr(requester), Status: core.Ptr("attached"),
		},
		TagSet: []*wire.Tag{},
	}
	if i := n.instance; i != nil {
		out.RequesterId, out.RequesterManaged, out.TagSet = nil, core.Ptr(false), wireTags(i.Spec.Interface.Tags)
		out.Attachment.InstanceId, out.Attachment.InstanceOwnerId = core.Ptr(i.ID), core.Ptr(s.account)
		out.Attachment.DeviceIndex, out.Attachment.DeleteOnTermination = core.Ptr(0), core.Ptr(true)
	}
	if !n.Created.IsZero() {
		out.Attachment.AttachTime = core.Ptr(n.Created)
	}
	return out
}

func (s *Service) interfaceAttributes(n networkInterface) attributes {
	out := attributes{
		"addresses.private-ip-address": {n.Address}, "addresses.primary": boolText(true), "addresses.association.public-ip": nil,
		"association.public-ip": nil, "attachment.attachment-id": {n.attachment()}, "attachment.device-index": {"1"},
		"attachment.instance-id": nil, "attachment.instance-owner-id": {requester}, "attachment.status": {"attached"},
		"availability-zone": {n.Zone}, "description": {n.description}, "group-id": nil, "group-name": nil, "interface-type": {"interface"},
		"ipv6-addresses.ipv6-address": nil, "network-interface-id": {n.ID}, "owner-id": {s.account}, "private-dns-name": nil,
		"private-ip-address": {n.Address}, "requester-id": {requester}, "requester-managed": boolText(true), "source-dest-check": boolText(true),
		"status": {"in-use"}, "subnet-id": {n.SubnetID}, "vpc-id": {n.VPCID},
	}
	for _, g := range n.groups {
		out["group-id"] = append(out["group-id"], *g.GroupId)
		out["group-name"] = append(out["group-name"], *g.GroupName)
	}
	if i := n.instance; i != nil {
		out["attachment.instance-id"], out["attachment.instance-owner-id"] = []string{i.ID}, []string{s.account}
		out["attachment.device-index"], out["requester-id"], out["requester-managed"] = []string{"0"}, nil, boolText(false)
		return out.tagged(i.Spec.Interface.Tags)
	}
	return out.tagged(nil)
}

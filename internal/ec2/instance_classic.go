package ec2

import (
	"slices"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// inClassic reports whether an instance is in EC2-Classic. It has an address and
// groups there, but neither subnet nor interface.
func inClassic(i *resource.Instance) bool { return resource.IsClassic(i.Spec.VPCID) }

// refuseClassicLaunch refuses what only instances in a VPC have.
func (s *Service) refuseClassicLaunch(l *launch, in *wire.RunInstancesRequest) error {
	switch {
	case !s.classic || l.subnetID != "":
		return nil
	case len(in.NetworkInterfaces) > 0:
		return errOnlyInVPC("networkInterface")
	case l.address != "":
		return errOnlyInVPC("privateIpAddress")
	}
	return nil
}

// classicLanding are the network and the pools of addresses of a launch that names
// no subnet, if need be those of one zone.
func (s *Service) classicLanding(tx *store.Tx, region, zone string) (*resource.VPC, []resource.Subnet, error) {
	v, err := s.ClassicNetwork(tx, region)
	if err != nil {
		return nil, nil, err
	}
	return v, slices.DeleteFunc(slices.Clone(v.Subnets), func(n resource.Subnet) bool { return zone != "" && n.Zone != zone }), nil
}

// showClassic shows the place of an instance in EC2-Classic.
func showClassic(out *wire.Instance, i instance) {
	out.PrivateIpAddress, out.SecurityGroups = core.Ptr(i.Spec.Address), i.groups
}

// placedInClassic is placed for instances that have no interface.
func (a attributes) placedInClassic(i instance) {
	a["private-ip-address"] = []string{i.Spec.Address}
	for _, g := range i.groups {
		a["group-id"] = append(a["group-id"], *g.GroupId)
		a["group-name"] = append(a["group-name"], *g.GroupName)
	}
}

// classicGroups are the groups of a launch as its reservation shows them.
func classicGroups(i instance) []*wire.GroupIdentifier {
	if !inClassic(i.Instance) {
		return []*wire.GroupIdentifier{}
	}
	return i.groups
}

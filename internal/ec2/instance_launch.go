package ec2

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/topology"
)

const (
	// maxInstances is how many there may be in a region.
	maxInstances = 1000
	// maxInterfaceGroups is how many groups an interface may be in.
	maxInterfaceGroups = 5
	defaultType        = "m1.small"
)

// launch is a request for instances after everything about it was checked that
// needs no records.
type launch struct {
	minimum, maximum int
	// subnetID, zone and address say where, as far as the request does.
	subnetID, zone, address string
	groupIDs, groupNames    []string
	// template is what all instances of the launch have in common, instances has
	// what is each one's own.
	template  resource.Instance
	instances []resource.Instance
}

// RunInstances launches instances: as many as have an address, up to the maximum,
// but none if that is less than the minimum.
func (s *Service) RunInstances(ctx context.Context, in *wire.RunInstancesRequest) (*wire.Reservation, error) {
	l, err := s.newLaunch(region(ctx), in)
	if err != nil {
		return nil, err
	}
	var out *wire.Reservation
	err = s.update(ctx, func(tx *store.Tx) error {
		made, err := launchedBefore(tx, &l.template)
		if err != nil {
			return err
		}
		if len(made) == 0 {
			if made, err = s.launch(tx, l); err != nil {
				return err
			}
		}
		if core.Val(in.DryRun) {
			return errDryRun()
		}
		out = s.reservation(tx, made)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) newLaunch(region string, in *wire.RunInstancesRequest) (*launch, error) {
	if err := refuseLaunch(in); err != nil {
		return nil, err
	}
	l := &launch{minimum: *in.MinCount, maximum: *in.MaxCount}
	if l.minimum < 1 {
		return nil, errInvalid("Value (%d) for parameter minCount is invalid. Value must be greater than 0.", l.minimum)
	}
	if l.maximum < l.minimum {
		return nil, errInvalid("Value (%d) for parameter maxCount is invalid. Value must not be less than minCount.", l.maximum)
	}
	if l.maximum > maxInstances {
		return nil, errInstanceLimit(l.maximum)
	}
	if err := checkImage(in.ImageId); err != nil {
		return nil, err
	}
	size := core.Val(in.InstanceType)
	if _, ok := findInstanceType(size); !ok && size != "" {
		return nil, errInstanceType(size)
	} else if size == "" {
		size = defaultType
	}
	if err := l.place(in); err != nil {
		return nil, err
	}
	if err := s.refuseClassicLaunch(l, in); err != nil {
		return nil, err
	}
	now := s.clock.Now()
	l.template = resource.Instance{Region: region, Spec: resource.InstanceSpec{
		Power: resource.PowerRunning, Boots: 1, ReservationID: s.fresh("r"), ClientToken: core.Val(in.ClientToken), RequestDigest: digestOf(in),
		ImageID: imageID, Type: size, Created: now, Launched: now,
		KeepRunning: core.Val(in.DisableApiStop), KeepExisting: core.Val(in.DisableApiTermination),
	}}
	if len(in.NetworkInterfaces) > 0 {
		l.template.Spec.Interface.Description = core.Val(in.NetworkInterfaces[0].Description)
	}
	var err error
	if l.template.Tags, err = launchTags(in.TagSpecifications, "instance"); err != nil {
		return nil, err
	}
	if l.template.Spec.Interface.Tags, err = launchTags(in.TagSpecifications, "network-interface"); err != nil {
		return nil, err
	}
	for n := range l.maximum {
		i := l.template
		i.ID, i.Spec.LaunchIndex = s.fresh("i"), n
		i.Spec.Interface.ID, i.Spec.Interface.AttachmentID = s.fresh("eni"), s.fresh("eni-attach")
		l.instances = append(l.instances, i)
	}
	return l, nil
}

// launchTags are the tags of a launch for one type of resource.
func launchTags(specifications []*wire.TagSpecification, resourceType string) (map[string]string, error) {
	var mine []*wire.TagSpecification
	for _, t := range specifications {
		switch core.Val(t.ResourceType) {
		case resourceType:
			mine = append(mine, t)
		case "instance", "network-interface":
		default:
			return nil, errTagResourceType(core.Val(t.ResourceType))
		}
	}
	return tagSpecification(mine, resourceType)
}

// digestOf tells a request from others with its token.
func digestOf(in *wire.RunInstancesRequest) string {
	asked := *in
	asked.ClientToken, asked.DryRun = nil, nil
	text, err := json.Marshal(asked)
	if err != nil {
		return "" // wire types always have a form in JSON
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// place reads where the instances shall be, which a request says in one of two
// ways.
func (l *launch) place(in *wire.RunInstancesRequest) error {
	l.subnetID, l.address, l.groupIDs, l.groupNames = core.Val(in.SubnetId), core.Val(in.PrivateIpAddress), in.SecurityGroupIds, in.SecurityGroups
	if in.Placement != nil {
		l.zone = core.Val(in.Placement.AvailabilityZone)
	}
	if len(in.NetworkInterfaces) > 0 {
		switch {
		case l.subnetID != "":
			return errWithInterface("subnet ID")
		case len(l.groupIDs)+len(l.groupNames) > 0:
			return errWithInterface("security groups")
		case l.address != "":
			return errWithInterface("private IP address")
		}
		i := in.NetworkInterfaces[0]
		l.subnetID, l.address, l.groupIDs = core.Val(i.SubnetId), core.Val(i.PrivateIpAddress), i.Groups
		for _, a := range i.PrivateIpAddresses {
			l.address = core.Val(a.PrivateIpAddress)
		}
	}
	// Clients send a list that is empty as one empty text.
	l.groupIDs = slices.DeleteFunc(slices.Clone(l.groupIDs), func(id string) bool { return id == "" })
	l.groupNames = slices.DeleteFunc(slices.Clone(l.groupNames), func(name string) bool { return name == "" })
	switch {
	case l.subnetID != "" && len(l.groupNames) > 0:
		return core.Errorf("InvalidParameterCombination", "The parameter groupName cannot be used with the parameter subnet")
	case l.address != "" && l.maximum > 1:
		return errCombination("privateIpAddress", "maxCount")
	}
	return nil
}

// launchedBefore are the instances that a request with the same token launched.
func launchedBefore(r store.Reader, asked *resource.Instance) ([]*resource.Instance, error) {
	if asked.Spec.ClientToken == "" {
		return nil, nil
	}
	made := slices.DeleteFunc(resource.Instances.List(r, key(asked.Region, "")), func(i *resource.Instance) bool {
		return i.Spec.ClientToken != asked.Spec.ClientToken
	})
	if len(made) > 0 && made[0].Spec.RequestDigest != asked.Spec.RequestDigest {
		return nil, errIdempotence()
	}
	return made, nil
}

func (s *Service) launch(tx *store.Tx, l *launch) ([]*resource.Instance, error) {
	vpc, subnets, err := s.landing(tx, l)
	if err != nil {
		return nil, err
	}
	groups, err := s.launchGroups(tx, vpc, subnets[0], l)
	if err != nil {
		return nil, err
	}
	if len(resource.Instances.Keys(tx, key(vpc.Region, "")))+l.minimum > maxInstances {
		return nil, errInstanceLimit(l.minimum)
	}
	var made []*resource.Instance
	for n := range l.instances {
		i := l.instances[n]
		i.Spec.VPCID, i.Spec.SecurityGroupIDs = vpc.ID, groups
		if err := settle(tx, vpc, subnets, l.address, &i); err != nil {
			return nil, err
		}
		if i.Spec.Address == "" {
			break
		}
		resource.Instances.Put(tx, i.Key(), &i)
		made = append(made, &i)
	}
	if len(made) < l.minimum {
		return nil, errAddresses(subnets[0].ID)
	}
	return made, nil
}

// landing are the VPC and the subnets of it in which instances may be: the one
// that the request names, or the default ones, if need be of one zone; or what
// EC2-Classic has for them.
func (s *Service) landing(tx *store.Tx, l *launch) (*resource.VPC, []resource.Subnet, error) {
	region := l.template.Region
	if l.subnetID != "" {
		vpc, at := findSubnet(tx, region, l.subnetID)
		if vpc == nil {
			return nil, nil, errSubnetNotFound(l.subnetID)
		}
		if l.zone != "" && l.zone != vpc.Subnets[at].Zone {
			return nil, nil, errInvalid("The availability zone %s is not that of subnet %s", l.zone, l.subnetID)
		}
		return vpc, vpc.Subnets[at : at+1], nil
	}
	if _, err := subnetZone(region, some(l.zone), nil); err != nil {
		return nil, nil, errZones("availability zone", []string{l.zone})
	}
	if s.classic {
		return s.classicLanding(tx, region, l.zone)
	}
	vpc, err := s.DefaultVPC(tx, region)
	if err != nil {
		return nil, nil, err
	}
	subnets := slices.DeleteFunc(slices.Clone(vpc.Subnets), func(n resource.Subnet) bool {
		return !n.DefaultForAZ || l.zone != "" && n.Zone != l.zone
	})
	if len(subnets) == 0 {
		return nil, nil, errNoDefaultSubnet(vpc.ID)
	}
	return vpc, subnets, nil
}

// launchGroups are the ids of the groups that instances of a launch are in.
func (s *Service) launchGroups(r store.Reader, vpc *resource.VPC, subnet resource.Subnet, l *launch) ([]string, error) {
	ids := slices.Clone(l.groupIDs)
	for _, name := range l.groupNames {
		g, err := s.findGroup(r, vpc.Region, nil, &name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, g.ID)
	}
	if len(ids) == 0 {
		return []string{vpc.DefaultSecurityGroup}, nil
	}
	return s.interfaceGroups(r, vpc, subnet.ID, ids)
}

// interfaceGroups checks the groups that an interface of a subnet shall be in.
func (s *Service) interfaceGroups(r store.Reader, vpc *resource.VPC, subnetID string, ids []string) ([]string, error) {
	var out []string
	for _, id := range ids {
		g, err := s.findGroup(r, vpc.Region, &id, nil)
		if err != nil {
			return nil, err
		}
		if g.VPCID != vpc.ID && resource.IsClassic(vpc.ID) {
			return nil, errGroupNetworks()
		}
		if g.VPCID != vpc.ID {
			return nil, errGroupOfAnotherNetwork(id, subnetID)
		}
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	if len(out) > maxInterfaceGroups && !resource.IsClassic(vpc.ID) {
		return nil, errInterfaceGroupLimit()
	}
	return out, nil
}

// settle gives an instance an address of the first subnet that has one, or the
// one address that it shall have. Without any the instance has none after that.
func settle(tx *store.Tx, vpc *resource.VPC, subnets []resource.Subnet, address string, i *resource.Instance) error {
	owner := "instance " + i.Key()
	for _, n := range subnets {
		if address == "" {
			ip, err := topology.TakeAddress(tx, vpc, n, owner)
			if err != nil {
				return err
			}
			if ip.IsValid() {
				i.Spec.Address, i.Spec.SubnetID, i.Spec.Zone = ip.String(), n.ID, n.Zone
				return nil
			}
			continue
		}
		ip, err := netip.ParseAddr(address)
		if err != nil || !ip.Is4() {
			return errInvalid("Value (%s) for parameter privateIpAddress is invalid. Invalid IPv4 address", address)
		}
		cidr, err := netip.ParsePrefix(n.CIDR)
		if err != nil {
			return fmt.Errorf("range of subnet %s: %w", n.ID, err)
		}
		if !cidr.Contains(ip) {
			continue
		}
		if !topology.Usable(cidr, ip) {
			return errInvalid("Address %s is in subnet's reserved address range", address)
		}
		if !topology.ClaimAddress(tx, vpc, ip, owner) {
			return core.Errorf("InvalidIPAddress.InUse", "Address %s is in use.", address)
		}
		i.Spec.Address, i.Spec.SubnetID, i.Spec.Zone = address, n.ID, n.Zone
		return nil
	}
	if address != "" {
		return errInvalid("Address %s does not fall within the subnet's address range", address)
	}
	return nil
}

// changedAt is a time in the words of a reason.
func changedAt(t time.Time) string { return "(" + t.UTC().Format("2006-01-02 15:04:05") + " GMT)" }

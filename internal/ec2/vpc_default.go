package ec2

import (
	"context"
	"encoding/binary"
	"net/netip"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// defaultCIDR is the range of every default VPC of AWS.
const defaultCIDR = "172.31.0.0/16"

// defaultSubnetBits is how much longer the prefix of a default subnet is than that of
// its VPC.
const defaultSubnetBits = 4

// PeekDefaultVPC is the region's default VPC if it has been made.
func (s *Service) PeekDefaultVPC(r store.Reader, region string) (*resource.VPC, bool) {
	for _, vpc := range vpcsOf(r, region) {
		if vpc.IsDefault {
			return vpc, true
		}
	}
	return nil, false
}

// DefaultVPC returns the region's default VPC, made in tx when nothing has needed
// it yet. It fails with VPCIdNotSpecified if the user deleted it, or the account has
// EC2-Classic instead.
func (s *Service) DefaultVPC(tx *store.Tx, region string) (*resource.VPC, error) {
	if vpc, ok := s.PeekDefaultVPC(tx, region); ok {
		return vpc, nil
	}
	if s.classic || resource.DefaultVPCDeleted(tx, region) {
		return nil, errNoDefaultVPC()
	}
	return s.makeDefaultVPC(tx, region)
}

func (s *Service) makeDefaultVPC(tx *store.Tx, region string) (*resource.VPC, error) {
	vpc := &resource.VPC{
		Region: region, ID: s.id("vpc", region, "default"), IsDefault: true,
		DefaultSecurityGroup: s.id("sg", region, "default"),
	}
	s.layOut(vpc)
	return vpc, s.addVPC(tx, vpc)
}

// layOut gives a default VPC its range, with a subnet in each zone.
func (s *Service) layOut(vpc *resource.VPC) {
	vpc.CIDR, vpc.Subnets = s.defaultCIDR.String(), nil
	for i, z := range zones(vpc.Region) {
		vpc.Subnets = append(vpc.Subnets, resource.Subnet{
			ID: s.id("subnet", vpc.Region, z.name), CIDR: part(s.defaultCIDR, defaultSubnetBits, i).String(),
			Zone: z.name, ZoneID: z.id, DefaultForAZ: true,
		})
	}
}

// part is the nth of the equal parts of a range, bits smaller than it.
func part(whole netip.Prefix, bits, n int) netip.Prefix {
	b := whole.Masked().Addr().As4()
	base := binary.BigEndian.Uint32(b[:]) + uint32(n)<<(32-whole.Bits()-bits)
	binary.BigEndian.PutUint32(b[:], base)
	return netip.PrefixFrom(netip.AddrFrom4(b), whole.Bits()+bits)
}

// CreateDefaultVpc brings the default VPC back after it was deleted.
func (s *Service) CreateDefaultVpc(ctx context.Context, in *wire.CreateDefaultVpcRequest) (*wire.CreateDefaultVpcResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	if s.classic {
		return nil, errDefaultVPCClassic()
	}
	var vpc *resource.VPC
	err := s.update(ctx, func(tx *store.Tx) error {
		if _, ok := s.PeekDefaultVPC(tx, region(ctx)); ok {
			return errDefaultVPCExists(region(ctx))
		}
		resource.NetworkRegions.Delete(tx, region(ctx))
		var err error
		vpc, err = s.makeDefaultVPC(tx, region(ctx))
		return err
	})
	if err != nil {
		return nil, err
	}
	return &wire.CreateDefaultVpcResult{Vpc: s.wireVPC(vpc)}, nil
}

// prepared reports whether a region has the network that to a user was always
// there: the default VPC unless it was deleted, or that of EC2-Classic.
func (s *Service) prepared(r store.Reader, region string) bool {
	if s.classic {
		_, ok := resource.ClassicNetwork(r, region)
		return ok
	}
	_, ok := s.PeekDefaultVPC(r, region)
	return ok || resource.DefaultVPCDeleted(r, region)
}

// prepare makes what a region that is not prepared lacks.
func (s *Service) prepare(tx *store.Tx, region string) error {
	if s.prepared(tx, region) {
		return nil
	}
	network := s.DefaultVPC
	if s.classic {
		network = s.ClassicNetwork
	}
	_, err := network(tx, region)
	return err
}

// view calls fn with what is stored, after the region was prepared if it is looked
// at for the first time.
func (s *Service) view(ctx context.Context, fn func(r store.Reader) error) error {
	for {
		ready := false
		err := s.store.View(ctx, func(r store.Reader) error {
			if !s.prepared(r, region(ctx)) {
				return nil
			}
			ready = true
			return fn(r)
		})
		if ready || err != nil {
			return err
		}
		if err := s.update(ctx, func(*store.Tx) error { return nil }); err != nil {
			return err
		}
	}
}

// update is a transaction in which the region is prepared.
func (s *Service) update(ctx context.Context, fn func(tx *store.Tx) error) error {
	return s.store.Update(ctx, func(tx *store.Tx) error {
		if err := s.prepare(tx, region(ctx)); err != nil {
			return err
		}
		return fn(tx)
	})
}

// Prepare makes what VPCs of earlier versions lack: their default security group
// as a record of its own. It removes the networks of EC2-Classic where the account
// no longer has that, see topology.InClassic. It puts VPCs where this configuration
// has them.
func (s *Service) Prepare(ctx context.Context) error {
	return s.store.Update(ctx, func(tx *store.Tx) error {
		if !s.classic {
			removeClassic(tx)
		}
		for _, vpc := range resource.VPCs.List(tx, "") {
			if _, ok := resource.SecurityGroups.Get(tx, key(vpc.Region, vpc.DefaultSecurityGroup)); !ok {
				s.addDefaultGroup(tx, vpc)
			}
			if err := s.place(tx, vpc); err != nil {
				return err
			}
		}
		return nil
	})
}

package ec2

import (
	"fmt"
	"slices"

	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// hostOwner owns the address of the host in a VPC.
const hostOwner = "host"

// DefaultRange is the range that the default VPC of a region has, or will have.
func (s *Service) DefaultRange(r store.Reader, region string) string {
	if vpc, ok := s.PeekDefaultVPC(r, region); ok && !s.movable(r, vpc) {
		return vpc.CIDR
	}
	return s.defaultCIDR.String()
}

// place gives VPCs of an earlier configuration their place in this one: a window where
// they are mapped to one, and the range of default VPCs to those that nobody uses.
func (s *Service) place(tx *store.Tx, vpc *resource.VPC) error {
	mapped := s.windows != [2]int{}
	move := s.movable(tx, vpc) && vpc.CIDR != s.defaultCIDR.String()
	if mapped == (vpc.Window != 0) && !move {
		return nil
	}
	if mapped != (vpc.Window != 0) {
		window, err := s.freeWindow(tx)
		if err != nil {
			return fmt.Errorf("a window for %s: %w", vpc.ID, err)
		}
		vpc.Window = window
	}
	if move {
		s.layOut(vpc)
		for _, key := range resource.Addresses.Keys(tx, vpcKey(vpc)+"/") {
			resource.Addresses.Delete(tx, key)
		}
		if a, ok := resource.Attachments.Get(tx, vpcKey(vpc)); ok && !a.Detached {
			// The host finds another address as it found the one it had.
			resource.Attachments.Delete(tx, vpcKey(vpc))
		}
	}
	resource.VPCs.Put(tx, vpcKey(vpc), vpc)
	return nil
}

// movable reports whether a VPC is as it was made: a default one in which nothing has
// an address but the host, which is in it as it is by itself.
func (s *Service) movable(r store.Reader, vpc *resource.VPC) bool {
	if !vpc.IsDefault || len(vpc.Subnets) != len(zones(vpc.Region)) {
		return false
	}
	for _, a := range resource.Addresses.List(r, vpcKey(vpc)+"/") {
		if a.Owner != hostOwner {
			return false
		}
	}
	a, ok := resource.Attachments.Get(r, vpcKey(vpc))
	if ok && !a.Detached && !slices.Equal(a.SecurityGroupIDs, []string{vpc.DefaultSecurityGroup}) {
		return false
	}
	for i, z := range zones(vpc.Region) {
		if vpc.Subnets[i].ID != s.id("subnet", vpc.Region, z.name) || len(vpc.Subnets[i].Tags) > 0 {
			return false
		}
	}
	return len(vpc.Tags) == 0
}

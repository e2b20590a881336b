package topology

import (
	"slices"
	"strings"

	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// Publish gives a publication an address in its VPC, in the subnet that it names if
// there is one free, and keeps it. The error says that there is none in any.
func Publish(tx *store.Tx, vpc *resource.VPC, p *resource.Publication) error {
	subnets := slices.Clone(vpc.Subnets)
	slices.SortStableFunc(subnets, func(a, b resource.Subnet) int {
		switch p.SubnetID {
		case a.ID:
			return -1
		case b.ID:
			return 1
		}
		return 0
	})
	for _, subnet := range subnets {
		ip, err := TakeAddress(tx, vpc, subnet, "publication "+p.Key())
		if err != nil {
			return err
		}
		if ip.IsValid() {
			p.VPCID, p.SubnetID, p.Zone, p.Address = vpc.ID, subnet.ID, subnet.Zone, ip.String()
			resource.Publications.Put(tx, p.Key(), p)
			return nil
		}
	}
	return errNoAddress(vpc.ID)
}

// Unpublish removes a publication and frees its address.
func Unpublish(tx *store.Tx, p *resource.Publication) {
	resource.Addresses.Delete(tx, addressKey(p.Region, p.VPCID, p.Address))
	resource.Publications.Delete(tx, p.Key())
}

// Published reports whether that which a publication leads to still exists.
func Published(r store.Reader, p *resource.Publication) bool {
	kind, key, _ := strings.Cut(p.Endpoint, " ")
	if kind != "node" {
		g, ok := resource.ReplicationGroups.Get(r, key)
		return ok && g.UID == p.OwnerUID && !g.Spec.Deleting
	}
	at := strings.LastIndexByte(key, '/')
	if at < 0 {
		return false
	}
	c, ok := resource.CacheClusters.Get(r, key[:at])
	return ok && c.UID == p.OwnerUID && !c.Spec.Deleting &&
		slices.ContainsFunc(c.Spec.Nodes, func(n resource.NodeSlot) bool { return n.ID == key[at+1:] })
}

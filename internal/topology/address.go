package topology

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"

	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// reservedAddresses is how many addresses at the start of a subnet the network
// itself uses, as in every VPC; the last one, the broadcast address, is the
// network's too.
const reservedAddresses = 4

// TakeAddress gives owner a free address of a subnet; the zero address if there is
// none. The search begins at a place that depends on the owner, so that creations
// at the same time rarely want the same one.
func TakeAddress(tx *store.Tx, vpc *resource.VPC, subnet resource.Subnet, owner string) (netip.Addr, error) {
	prefix, err := netip.ParsePrefix(subnet.CIDR)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("range of subnet %s: %w", subnet.ID, err)
	}
	base := prefix.Masked().Addr().As4()
	first := binary.BigEndian.Uint32(base[:])
	usable := uint32(1)<<(32-prefix.Bits()) - reservedAddresses - 1
	start := hashOf(owner) % usable
	for i := range usable {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], first+reservedAddresses+(start+i)%usable)
		ip := netip.AddrFrom4(b)
		if _, taken := resource.Addresses.Get(tx, addressKey(vpc.Region, vpc.ID, ip.String())); taken {
			continue
		}
		resource.Addresses.Put(tx, addressKey(vpc.Region, vpc.ID, ip.String()), &resource.Address{Owner: owner})
		return ip, nil
	}
	return netip.Addr{}, nil
}

// ClaimAddress gives owner one certain address of a subnet; false if something
// has it.
func ClaimAddress(tx *store.Tx, vpc *resource.VPC, ip netip.Addr, owner string) bool {
	k := addressKey(vpc.Region, vpc.ID, ip.String())
	if _, taken := resource.Addresses.Get(tx, k); taken {
		return false
	}
	resource.Addresses.Put(tx, k, &resource.Address{Owner: owner})
	return true
}

// Usable reports whether something may be given an address of a subnet: the first
// four and the last one are the network's own.
func Usable(subnet netip.Prefix, ip netip.Addr) bool {
	if !subnet.Contains(ip) || !ip.Is4() {
		return false
	}
	base, at := subnet.Masked().Addr().As4(), ip.As4()
	offset := binary.BigEndian.Uint32(at[:]) - binary.BigEndian.Uint32(base[:])
	return offset >= reservedAddresses && offset < uint32(1)<<(32-subnet.Bits())-1
}

func addressKey(region, vpcID, ip string) string { return region + "/" + vpcID + "/" + ip }

func hashOf(s string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(s))
	return h.Sum32()
}

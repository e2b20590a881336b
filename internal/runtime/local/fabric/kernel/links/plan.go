package links

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// smallest network that has room for a router and somebody else.
const longestPrefix = 30

// router is the address that instances send to: the first of the CIDR, as in a VPC
// of AWS. No neighbour is asked for it, see cable.lay, so it need not be Local.
func (n Network) router() netip.Addr { return n.CIDR.Masked().Addr().Next() }

// equal ignores no difference; both have been through check.
func (n Network) equal(o Network) bool {
	return n.ID == o.ID && n.CIDR == o.CIDR && n.Host == o.Host &&
		slices.Equal(n.Local, o.Local) && slices.Equal(n.Instances, o.Instances)
}

// check leaves out what cannot be made and says why, by id. Addresses are sorted,
// once each.
func (p Plan) check() ([]Network, map[string]error) {
	failed := map[string]error{}
	ids := map[string]bool{}
	claim := func(id string) bool {
		if ids[id] {
			fail(failed, id, errors.New("the id is not unique"))
			return false
		}
		ids[id] = true
		if !validID.MatchString(id) {
			fail(failed, id, fmt.Errorf("%q cannot be part of a name", id))
			return false
		}
		return true
	}
	var networks []Network
	for _, n := range p.Networks {
		if !claim(n.ID) {
			continue
		}
		if !n.CIDR.IsValid() || !n.CIDR.Addr().Is4() || n.CIDR.Bits() > longestPrefix || n.CIDR.Bits() == 0 {
			fail(failed, n.ID, fmt.Errorf("%s is no range of IPv4 addresses for a network", n.CIDR))
			continue
		}
		n.CIDR = n.CIDR.Masked()
		networks = append(networks, n.check(claim, failed))
	}
	return networks, failed
}

// check of one network: each address is in the CIDR and belongs to one party.
func (n Network) check(claim func(id string) bool, failed map[string]error) Network {
	taken := map[netip.Addr]bool{}
	fits := func(a netip.Addr) error {
		switch {
		case !n.CIDR.Contains(a):
			return fmt.Errorf("%s is not in %s", a, n.CIDR)
		case taken[a]:
			return fmt.Errorf("%s is taken in %s", a, n.ID)
		}
		return nil
	}
	local := map[netip.Addr]bool{}
	for _, a := range n.Local {
		if err := fits(a); err != nil {
			fail(failed, n.ID, err)
			continue
		}
		local[a] = true
	}
	maps.Copy(taken, local)
	n.Local = slices.SortedFunc(maps.Keys(local), netip.Addr.Compare)
	if n.Host.IsValid() {
		if err := fits(n.Host); err != nil {
			fail(failed, n.ID, err)
			n.Host = netip.Addr{}
		}
		taken[n.Host] = true
	}
	instances := n.Instances
	n.Instances = nil
	for _, i := range instances {
		if !claim(i.ID) {
			continue
		}
		if err := fits(i.Address); err != nil {
			fail(failed, i.ID, err)
			continue
		}
		taken[i.Address] = true
		n.Instances = append(n.Instances, i)
	}
	return n
}

// fail adds to what has failed of an id.
func fail(failed map[string]error, id string, err error) {
	failed[id] = errors.Join(failed[id], err)
}

package rules

import (
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"

	"github.com/larder-cache/larder/internal/network"
)

// membership is what follows from the interfaces alone. It does not change once
// it is computed; the next one is made from it where few interfaces differ.
type membership struct {
	interfaces []network.Interface
	groups     []string // the ids of the VPC's groups, sorted
	cidr       netip.Prefix
	// members are the addresses of each group that has any.
	members map[string]*set
	// combinations are the sets of groups that interfaces are in, by number.
	combinations map[uint32]combination
	// egress and ingress are the numbers of the addresses' combinations.
	egress, ingress *set
	// odd: two interfaces claim an address, or two combinations a number, so that
	// what one of them does depends on the other.
	odd bool
	// own are the members that are not shared with an earlier membership.
	own map[string]bool
}

// combination is a set of groups and how many addresses are in it.
type combination struct {
	ids  []string
	uses int
}

// membersOf computes what follows from the interfaces, unless they are as before.
func (c *Compiler) membersOf(w network.World, vpc string, cidr netip.Prefix) {
	groups := slices.Sorted(maps.Keys(c.groups))
	old := c.members
	comparable := old != nil && old.cidr == cidr && slices.Equal(old.groups, groups)
	if comparable && old.sameInterfaces(w, vpc) {
		return
	}
	m := &membership{cidr: cidr, groups: groups, interfaces: make([]network.Interface, 0, len(w.Interfaces)), own: map[string]bool{}}
	for _, i := range w.Interfaces {
		if i.VPC == vpc {
			m.interfaces = append(m.interfaces, i)
		}
	}
	if !comparable || !m.patch(old) {
		m.compute()
	}
	c.members = m
}

func (m *membership) sameInterfaces(w network.World, vpc string) bool {
	n := 0
	for k := range w.Interfaces {
		i := &w.Interfaces[k]
		if i.VPC != vpc {
			continue
		}
		if n == len(m.interfaces) || !equalInterfaces(&m.interfaces[n], i) {
			return false
		}
		n++
	}
	return n == len(m.interfaces)
}

func equalInterfaces(a, b *network.Interface) bool {
	return a.ID == b.ID && a.Passive == b.Passive && slices.Equal(a.Addresses, b.Addresses) && slices.Equal(a.Groups, b.Groups)
}

// compute begins with nothing.
func (m *membership) compute() {
	addressed, number := datatype{fieldAddr}, datatype{fieldMark}
	m.egress = &set{name: mapEgress, key: addressed, data: number, elements: make(map[string]string, len(m.interfaces))}
	m.ingress = &set{name: mapIngress, key: addressed, data: number, elements: make(map[string]string, len(m.interfaces))}
	m.members = map[string]*set{}
	m.combinations = map[uint32]combination{}
	m.odd = false
	// An address that two interfaces claim is the last one's, as in a policy.
	for _, i := range slices.Backward(m.interfaces) {
		m.add(i)
	}
}

// fewInterfaces is up to how many are worth a patch.
const fewInterfaces = 256

// patch begins with an earlier membership. It reports whether that could be done.
func (m *membership) patch(old *membership) bool {
	before, after := old.interfaces, m.interfaces
	for len(before) > 0 && len(after) > 0 && equalInterfaces(&before[0], &after[0]) {
		before, after = before[1:], after[1:]
	}
	for len(before) > 0 && len(after) > 0 && equalInterfaces(&before[len(before)-1], &after[len(after)-1]) {
		before, after = before[:len(before)-1], after[:len(after)-1]
	}
	if old.odd || len(before) > fewInterfaces || len(after) > fewInterfaces {
		return false
	}
	m.egress, m.ingress = old.egress.clone(), old.ingress.clone()
	m.members, m.combinations = maps.Clone(old.members), maps.Clone(old.combinations)
	for _, i := range before {
		m.remove(i)
	}
	for _, i := range after {
		m.add(i)
	}
	return !m.odd
}

func (m *membership) add(i network.Interface) {
	ids := m.effective(i.Groups)
	number := m.number(ids)
	of := m.combinations[number]
	for key := range m.keys(i) {
		if _, taken := m.ingress.elements[key]; taken {
			m.odd = true
			continue
		}
		m.ingress.elements[key] = markKey(number)
		if !i.Passive {
			m.egress.elements[key] = markKey(number)
		}
		for _, id := range ids {
			m.change(id)[key] = ""
		}
		of.uses++
	}
	if of.uses > 0 {
		m.combinations[number] = combination{ids, of.uses}
	}
}

func (m *membership) remove(i network.Interface) {
	ids := m.effective(i.Groups)
	number := m.number(ids)
	of := m.combinations[number]
	for key := range m.keys(i) {
		delete(m.ingress.elements, key)
		delete(m.egress.elements, key)
		for _, id := range ids {
			delete(m.change(id), key)
		}
		of.uses--
	}
	if m.combinations[number] = of; of.uses == 0 {
		delete(m.combinations, number)
	}
}

// keys are the keys of an interface's addresses.
func (m *membership) keys(i network.Interface) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, a := range i.Addresses {
			if a.Is4() && m.cidr.IsValid() && m.cidr.Contains(a) && !yield(addrKey(a)) {
				return
			}
		}
	}
}

// effective are the groups of an interface that its VPC has, sorted.
func (m *membership) effective(ids []string) []string {
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		if _, ok := slices.BinarySearch(m.groups, id); ok {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// number names a combination of groups. It depends on the combination, so that
// new ones do not rename others, except where two want the same number.
func (m *membership) number(ids []string) uint32 {
	h := fnv.New32a()
	for _, id := range ids {
		h.Write([]byte(id))
		h.Write([]byte{'\n'})
	}
	n := h.Sum32()
	for {
		other, taken := m.combinations[n]
		if !taken || slices.Equal(other.ids, ids) {
			return n
		}
		m.odd = true
		n++
	}
}

// of is the set of the members of a group.
func (m *membership) of(group string) *set {
	s := m.members[group]
	if s == nil {
		s = &set{name: chainName("members-", group), key: datatype{fieldAddr}, elements: map[string]string{}}
		m.members[group] = s
	}
	return s
}

// change gives the members of a group to be changed: a copy, if they are shared.
func (m *membership) change(group string) map[string]string {
	s := m.of(group)
	if !m.own[group] {
		s = s.clone()
		m.members[group], m.own[group] = s, true
	}
	return s.elements
}

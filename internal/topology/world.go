package topology

import (
	"net/netip"
	"strconv"

	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// World is everything that a policy depends on, in an order that does not change by
// itself, and the interface of each node in it by the node's key.
func World(r store.Reader) (network.World, map[string]network.Interface) {
	var w network.World
	nodes := map[string]network.Interface{}
	var regions []string // sorted as the VPCs are, by their keys
	for _, v := range resource.VPCs.List(r, "") {
		if n := len(regions); n == 0 || regions[n-1] != v.Region {
			regions = append(regions, v.Region)
		}
		if cidr, err := netip.ParsePrefix(v.CIDR); err == nil {
			w.VPCs = append(w.VPCs, network.VPC{ID: v.ID, CIDR: cidr})
		}
	}
	caches := cacheGroups{reader: r, known: map[string]bool{}}
	for _, g := range resource.SecurityGroups.List(r, "") {
		w.Groups = append(w.Groups, network.Group{ID: g.ID, VPC: g.VPCID, Rules: rules(g)})
	}
	for _, a := range resource.Attachments.List(r, "") {
		if address, err := netip.ParseAddr(a.Address); err == nil {
			w.Interfaces = append(w.Interfaces, network.Interface{
				ID: "host", VPC: a.VPCID, Addresses: []netip.Addr{address}, Groups: a.SecurityGroupIDs,
			})
		}
	}
	for _, p := range resource.Publications.List(r, "") {
		if address, err := netip.ParseAddr(p.Address); err == nil {
			w.Interfaces = append(w.Interfaces, network.Interface{
				ID: p.ID, VPC: p.VPCID, Addresses: []netip.Addr{address}, Groups: p.SecurityGroupIDs,
			})
		}
	}
	for _, i := range resource.Instances.List(r, "") {
		address, err := netip.ParseAddr(i.Spec.Address)
		if err != nil || !i.Exists() {
			continue
		}
		// One that does not run is in no group, so nothing that has its address is let
		// in or out anywhere.
		w.Interfaces = append(w.Interfaces, network.Interface{
			ID: i.Spec.Interface.ID, VPC: i.Spec.VPCID, Addresses: []netip.Addr{address}, Groups: i.Groups(),
		})
	}
	for _, region := range regions {
		for _, n := range resource.NetworkInterfaces(r, region) {
			address, err := netip.ParseAddr(n.Address)
			if err != nil {
				continue
			}
			i := network.Interface{ID: n.ID, VPC: n.VPCID, Addresses: []netip.Addr{address}, Groups: n.SecurityGroupIDs, Passive: true}
			if resource.IsClassic(n.VPCID) {
				i.Groups = caches.of(n)
			}
			nodes[region+"/"+n.ClusterID+"/"+n.NodeID] = i
			w.Interfaces = append(w.Interfaces, i)
		}
	}
	w.Groups = append(w.Groups, caches.all...)
	return w, nodes
}

// Windows say where clients of each VPC come from on this host, by VPC id.
func Windows(r store.Reader) map[string]network.Window {
	windows := map[string]network.Window{}
	for _, v := range resource.VPCs.List(r, "") {
		cidr, err := netip.ParsePrefix(v.CIDR)
		if err != nil {
			continue
		}
		w := network.Window{CIDR: cidr.Masked()}
		if v.Window != 0 {
			w.Loopback = netip.PrefixFrom(netip.AddrFrom4([4]byte{127, byte(v.Window)}), 16)
		}
		if a, ok := resource.Attachments.Get(r, v.Region+"/"+v.ID); ok {
			w.Host, _ = netip.ParseAddr(a.Address) // none if it is detached
		}
		windows[v.ID] = w
	}
	return windows
}

// protocols that rules have a name for; all others are numbers.
var protocols = map[string]network.Protocol{
	"tcp": network.TCP, "udp": network.UDP, "icmp": network.ICMP, "icmpv6": network.ICMPv6,
}

// rules are those of a group as a policy reads them. One that it could not read
// would admit nobody, as rules only allow.
func rules(g *resource.SecurityGroup) []network.Rule {
	var all []network.Rule
	for _, r := range g.Rules {
		out := network.Rule{ID: r.ID, Egress: r.Egress, From: r.FromPort, To: r.ToPort, Group: r.GroupID}
		named, ok := protocols[r.Protocol]
		if !ok {
			n, err := strconv.Atoi(r.Protocol)
			if err != nil {
				continue
			}
			named = network.Protocol(n)
		}
		out.Protocol = named
		if r.GroupID == "" {
			cidr, err := netip.ParsePrefix(r.CIDR)
			if err != nil {
				continue
			}
			out.CIDR = cidr
		}
		all = append(all, out)
	}
	if resource.IsClassic(g.VPCID) {
		all = append(all, classicEgress(g.ID))
	}
	return all
}

package topology

import (
	"net/netip"

	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// World is everything that a policy depends on, and the interface of each node in
// it by the node's key. Nodes that are to be gone have none.
func World(r store.Reader) (network.World, map[string]network.Interface) {
	var w network.World
	for _, v := range resource.VPCs.List(r, "") {
		cidr, err := netip.ParsePrefix(v.CIDR)
		if err != nil {
			continue // without a range nothing is in it
		}
		w.VPCs = append(w.VPCs, network.VPC{ID: v.ID, CIDR: cidr})
		w.Groups = append(w.Groups, defaultGroup(v))
	}
	for _, a := range resource.Attachments.List(r, "") {
		if i, ok := hostInterface(a); ok {
			w.Interfaces = append(w.Interfaces, i)
		}
	}
	nodes := nodeInterfaces(r)
	for _, i := range nodes {
		w.Interfaces = append(w.Interfaces, i)
	}
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
		w := network.Window{Loopback: netip.PrefixFrom(netip.AddrFrom4([4]byte{127, byte(v.Window)}), 16), CIDR: cidr.Masked()}
		if a, ok := resource.Attachments.Get(r, v.Region+"/"+v.ID); ok {
			w.Host, _ = netip.ParseAddr(a.Address) // none if it is detached
		}
		windows[v.ID] = w
	}
	return windows
}

// VPCOf is the id of the VPC that a cache cluster is in; empty if there is none. The
// subnet group over the default VPC is not stored.
func VPCOf(r store.Reader, c *resource.CacheCluster) string {
	if g, ok := resource.SubnetGroups.Get(r, c.Region+"/"+c.Spec.SubnetGroup); ok {
		return g.VPCID
	}
	for _, v := range resource.VPCs.List(r, c.Region+"/") {
		if v.IsDefault {
			return v.ID
		}
	}
	return ""
}

func nodeInterfaces(r store.Reader) map[string]network.Interface {
	clusters, vpcs := map[string]*resource.CacheCluster{}, map[string]string{}
	for _, c := range resource.CacheClusters.List(r, "") {
		key := c.Region + "/" + c.ID
		clusters[key], vpcs[key] = c, VPCOf(r, c)
	}
	all := map[string]network.Interface{}
	for _, n := range resource.Nodes.List(r, "") {
		key := n.Region + "/" + n.ClusterID
		address, err := netip.ParseAddr(n.Spec.Endpoint.VPC.Address)
		if err != nil || n.Spec.Deleted || clusters[key] == nil {
			continue
		}
		all[n.Key()] = network.Interface{
			ID: n.Key(), VPC: vpcs[key], Addresses: []netip.Addr{address}, Groups: clusters[key].Spec.SecurityGroupIDs, Passive: true,
		}
	}
	return all
}

func hostInterface(a *resource.Attachment) (network.Interface, bool) {
	address, err := netip.ParseAddr(a.Address)
	if err != nil {
		return network.Interface{}, false
	}
	return network.Interface{ID: "host " + a.Key(), VPC: a.VPCID, Addresses: []netip.Addr{address}, Groups: a.SecurityGroupIDs}, true
}

// defaultGroup is the group of a VPC that every interface is in when none is named:
// its members reach each other, and everything else.
func defaultGroup(v *resource.VPC) network.Group {
	return network.Group{ID: v.DefaultSecurityGroup, VPC: v.ID, Rules: []network.Rule{
		{ID: v.DefaultSecurityGroup + " ingress", Protocol: network.AnyProtocol, Group: v.DefaultSecurityGroup},
		{ID: v.DefaultSecurityGroup + " egress", Egress: true, Protocol: network.AnyProtocol, CIDR: netip.MustParsePrefix("0.0.0.0/0")},
	}}
}

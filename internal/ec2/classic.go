package ec2

import (
	"fmt"
	"slices"
	"strings"

	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// classicGroupDescription is that of a region's group "default" in EC2-Classic.
const classicGroupDescription = "default group"

// Quotas of EC2-Classic: groups of a region, rules of a group.
const (
	maxClassicGroups = 500
	maxClassicRules  = 100
)

// ClassicNetwork returns the region's EC2-Classic network, made in tx when nothing
// has needed it yet: 10.N.0.0/16 in window N, with a pool of addresses for each
// zone.
func (s *Service) ClassicNetwork(tx *store.Tx, region string) (*resource.VPC, error) {
	if v, ok := resource.ClassicNetwork(tx, region); ok {
		return v, nil
	}
	window, err := s.freeWindow(tx)
	if err != nil {
		return nil, err
	}
	v := &resource.VPC{
		Region: region, ID: resource.ClassicID(strings.TrimPrefix(s.id("net", region, "classic"), "net-")),
		CIDR: fmt.Sprintf("10.%d.0.0/16", window), Window: window, DefaultSecurityGroup: s.id("sg", region, "classic"),
	}
	for i, z := range zones(region) {
		v.Subnets = append(v.Subnets, resource.Subnet{
			ID: s.id("pool", region, z.name), CIDR: fmt.Sprintf("10.%d.%d.0/20", window, i*16), Zone: z.name, ZoneID: z.id,
		})
	}
	resource.VPCs.Put(tx, vpcKey(v), v)
	s.addClassicDefaultGroup(tx, v)
	return v, nil
}

// addClassicDefaultGroup makes the group that instances are in when none is named.
// Its members reach each other on all ports of the three protocols.
func (s *Service) addClassicDefaultGroup(tx *store.Tx, v *resource.VPC) {
	g := &resource.SecurityGroup{
		Region: v.Region, ID: v.DefaultSecurityGroup, VPCID: v.ID, Name: defaultGroupName, Description: classicGroupDescription,
	}
	for _, p := range []struct {
		protocol string
		from, to int
	}{{"tcp", 0, maxPort}, {"udp", 0, maxPort}, {"icmp", -1, -1}} {
		g.Rules = append(g.Rules, resource.SecurityGroupRule{
			ID: s.id("sgr", g.Region, g.ID+"/"+p.protocol), Protocol: p.protocol, FromPort: p.from, ToPort: p.to, GroupID: g.ID,
		})
	}
	resource.SecurityGroups.Put(tx, groupKey(g), g)
}

// removeClassic takes away the networks that were made for EC2-Classic, in which
// nothing may be left.
func removeClassic(tx *store.Tx) {
	for _, v := range resource.VPCs.List(tx, "") {
		if resource.IsClassic(v.ID) {
			resource.VPCs.Delete(tx, vpcKey(v))
			resource.SecurityGroups.Delete(tx, key(v.Region, v.DefaultSecurityGroup))
		}
	}
}

// vpcsOf are the VPCs of a region, without what EC2-Classic has for one.
func vpcsOf(r store.Reader, region string) []*resource.VPC {
	return slices.DeleteFunc(slices.Clone(resource.VPCs.List(r, key(region, ""))), func(v *resource.VPC) bool { return resource.IsClassic(v.ID) })
}

// getVPC is the VPC with an id.
func getVPC(r store.Reader, region, id string) (*resource.VPC, bool) {
	if resource.IsClassic(id) {
		return nil, false
	}
	return resource.VPCs.Get(r, key(region, id))
}

// classicGroup reports whether a group is one of EC2-Classic.
func classicGroup(g *resource.SecurityGroup) bool { return resource.IsClassic(g.VPCID) }

// shownVPC is the VPC of a group as answers name it: none in EC2-Classic.
func shownVPC(g *resource.SecurityGroup) *string {
	if classicGroup(g) {
		return nil
	}
	return &g.VPCID
}

// checkClassicRule refuses a rule that groups of EC2-Classic cannot have: they say
// what comes in, on three protocols and over IPv4.
func checkClassicRule(r resource.SecurityGroupRule) error {
	switch {
	case r.Egress:
		return errGroupNotVPC()
	case r.Protocol != "tcp" && r.Protocol != "udp" && r.Protocol != "icmp":
		return errClassicProtocol(r.Protocol)
	case ipv6(r):
		return errRuleCIDR(r.CIDR)
	}
	return nil
}

// classicRuleText is a rule in the words of EC2-Classic's errors: its protocols
// are numbered in their own way.
func classicRuleText(r resource.SecurityGroupRule) string {
	number := map[string]int{"tcp": 1, "udp": 2, "icmp": 3}[r.Protocol]
	return fmt.Sprintf("%s%s-%d-%d-%d", r.CIDR, r.GroupID, number, r.FromPort, r.ToPort)
}

// cacheGroupsAdmitting are the names of the cache security groups that let in the
// members of a group of EC2-Classic.
func cacheGroupsAdmitting(r store.Reader, g *resource.SecurityGroup) []string {
	var names []string
	if !classicGroup(g) {
		return nil
	}
	for _, c := range resource.CacheSecurityGroups.List(r, key(g.Region, "")) {
		if c.Admits(g.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

package topology

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// classicEgress is what groups of EC2-Classic have in common: they say nothing of
// what goes out.
func classicEgress(groupID string) network.Rule {
	return network.Rule{
		ID: groupID + "-out", Egress: true, Protocol: network.AnyProtocol, CIDR: netip.PrefixFrom(netip.IPv4Unspecified(), 0),
	}
}

// cacheGroups are cache security groups as a policy knows them: one group for each
// of them and each port that clusters in it have, which lets in the members of
// EC2 security groups to that port.
type cacheGroups struct {
	reader store.Reader
	known  map[string]bool
	all    []network.Group
}

// of are the ids of the groups that the interface of a node is in.
func (c *cacheGroups) of(n resource.NetworkInterface) []string {
	var ids []string
	for _, name := range n.CacheSecurityGroups {
		id := cacheGroupID(n.Region, name, n.Port)
		ids = append(ids, id)
		if !c.known[id] {
			c.known[id] = true
			c.all = append(c.all, network.Group{ID: id, VPC: n.VPCID, Rules: c.rules(id, n, name)})
		}
	}
	return ids
}

func (c *cacheGroups) rules(id string, n resource.NetworkInterface, name string) []network.Rule {
	g, ok := resource.CacheSecurityGroups.Get(c.reader, n.Region+"/"+name)
	if !ok {
		return nil
	}
	var rules []network.Rule
	for _, from := range resource.SecurityGroups.List(c.reader, n.Region+"/") {
		if from.VPCID == n.VPCID && g.Admits(from.Name) {
			rules = append(rules, network.Rule{ID: id + "-" + from.ID, Protocol: network.TCP, From: n.Port, To: n.Port, Group: from.ID})
		}
	}
	return rules
}

// cacheGroupID is short, as the ids of EC2 security groups are.
func cacheGroupID(region, name string, port int) string {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%s/%s/%d", region, name, port)))
	return "csg-" + hex.EncodeToString(sum[:])[:17]
}

// InClassic names everything in EC2-Classic that a user has made there, one phrase
// for each kind and region. An account cannot do without EC2-Classic as long as
// there is any.
func InClassic(r store.Reader) []string {
	var found []string
	for _, v := range resource.VPCs.List(r, "") {
		if !resource.IsClassic(v.ID) {
			continue
		}
		add := func(kind string, names []string) {
			if len(names) > 0 {
				found = append(found, fmt.Sprintf("the %s %s in %s", kind, strings.Join(names, ", "), v.Region))
			}
		}
		var instances, clusters, caches, groups []string
		for _, i := range resource.Instances.List(r, v.Region+"/") {
			if i.Spec.VPCID == v.ID && i.Exists() {
				instances = append(instances, i.ID)
			}
		}
		for _, c := range resource.CacheClusters.List(r, v.Region+"/") {
			if c.Spec.Classic() {
				clusters = append(clusters, c.ID)
			}
		}
		for _, g := range resource.CacheSecurityGroups.List(r, v.Region+"/") {
			if g.Name != resource.DefaultCacheSecurityGroup {
				caches = append(caches, g.Name)
			} else if len(g.Current()) > 0 {
				caches = append(caches, g.Name+" (which cannot be deleted: its ingress is to be revoked)")
			}
		}
		for _, g := range resource.SecurityGroups.List(r, v.Region+"/") {
			if g.VPCID == v.ID && g.ID != v.DefaultSecurityGroup {
				groups = append(groups, g.Name)
			}
		}
		add("instances", instances)
		add("cache clusters", clusters)
		add("cache security groups", caches)
		add("EC2 security groups", groups)
	}
	return found
}

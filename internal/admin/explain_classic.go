package admin

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// networkName is what people call a network: EC2-Classic has no id of its own.
func networkName(id string) string {
	if resource.IsClassic(id) {
		return "EC2-Classic"
	}
	return id
}

// classicIngress is the last word about a client of a cluster in EC2-Classic, in
// terms of the cluster's cache security groups. from are the EC2 security groups
// that the client is in, which there alone decide.
func classicIngress(c *resource.CacheCluster, source netip.Addr, from []string, pass bool) Gate {
	caches := "the cache security groups " + strings.Join(c.Spec.CacheSecurityGroups, ", ")
	switch {
	case pass:
		return Gate{Name: "ingress", Pass: true, Text: fmt.Sprintf("%s let in one of its EC2 security groups: %s", caches, strings.Join(from, ", "))}
	case len(from) == 0:
		return Gate{Name: "ingress", Text: fmt.Sprintf("%s is no instance of EC2-Classic, and %s let in nothing else", source, caches)}
	}
	return Gate{Name: "ingress", Text: fmt.Sprintf("%s let in none of its EC2 security groups: %s", caches, strings.Join(from, ", "))}
}

// classicCommand lets in the first EC2 security group of a client.
func classicCommand(c *resource.CacheCluster, account string, from []string) string {
	if len(from) == 0 {
		return ""
	}
	return fmt.Sprintf("aws elasticache authorize-cache-security-group-ingress --region %s --cache-security-group-name %s"+
		" --ec2-security-group-name '%s' --ec2-security-group-owner-id %s", c.Region, c.Spec.CacheSecurityGroups[0], from[0], account)
}

// groupsAt are the names of the security groups that an address is in.
func groupsAt(r store.Reader, w network.World, region, vpc string, address netip.Addr) []string {
	var names []string
	for _, i := range w.Interfaces {
		if i.VPC != vpc || !slices.Contains(i.Addresses, address) {
			continue
		}
		for _, id := range i.Groups {
			if g, ok := resource.SecurityGroups.Get(r, region+"/"+id); ok {
				names = append(names, g.Name)
			}
		}
	}
	return names
}

package nodespec

import (
	"slices"

	"github.com/larder-cache/larder/internal/resource"
)

// CertificateNames are the addresses and DNS names that a server certificate
// for some endpoints names, sorted.
func CertificateNames(endpoints []resource.Endpoint) []string {
	var names []string
	for _, e := range endpoints {
		names = append(names, e.VPC.Address, e.Bound.Address, e.Advertised.Address)
		names = append(names, e.Names...)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == "" })
	slices.Sort(names)
	return slices.Compact(names)
}

// ClusterEndpoints are all endpoints of a cluster; those it has not are zero.
func ClusterEndpoints(c *resource.CacheCluster) []resource.Endpoint {
	endpoints := []resource.Endpoint{c.Spec.ConfigurationEndpoint}
	for _, slot := range c.Spec.Nodes {
		endpoints = append(endpoints, slot.Endpoint)
	}
	return endpoints
}

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
		if e.IsZero() {
			continue
		}
		names = append(names, e.VPC.Address, e.Bound.Address, e.Advertised.Address)
		names = append(names, e.Names...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(n string) bool { return n == "" })
}

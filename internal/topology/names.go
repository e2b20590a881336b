package topology

import (
	"net/netip"

	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// Names are the addresses that clients are told of endpoints, by the endpoints' names.
// A name whose address is not IPv4 is left out.
func Names(r store.Reader) map[string]netip.Addr {
	all := map[string]netip.Addr{}
	add := func(e resource.Endpoint) {
		address, err := netip.ParseAddr(e.Advertised.Address)
		if err != nil || !address.Is4() {
			return
		}
		for _, name := range e.Names {
			all[name] = address
		}
	}
	for _, c := range resource.CacheClusters.List(r, "") {
		if c.Spec.Deleting {
			continue
		}
		add(c.Spec.ConfigurationEndpoint)
		for _, n := range c.Spec.Nodes {
			add(n.Endpoint)
		}
	}
	for _, g := range resource.ReplicationGroups.List(r, "") {
		if !g.Spec.Deleting {
			for _, e := range g.Spec.Endpoints() {
				add(e)
			}
		}
	}
	return all
}

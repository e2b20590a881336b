package userspace

import (
	"net/netip"
	"reflect"

	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/runtime/local"
)

// rules are the policy of a world, kept while the world is the same.
type rules struct {
	world  network.World
	policy *network.Policy
}

// guard is who may connect to each engine that is behind an endpoint.
func (r *rules) guard(n local.Network) network.Guard {
	if r.policy == nil || !reflect.DeepEqual(r.world, n.World) {
		r.world, r.policy = n.World, network.Compile(n.World)
	}
	var targets []network.Target
	for _, ep := range n.Endpoints {
		for _, b := range ep.Backends {
			// An address that is none is no interface's, and so nobody may connect.
			address, _ := netip.ParseAddr(b.VPC.Address)
			targets = append(targets, network.Target{Node: b.Node, VPC: ep.Network, Address: address, Port: b.VPC.Port})
		}
	}
	return r.policy.Guard(n.Windows, targets)
}

package relays

import (
	"net/netip"
	"reflect"

	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/runtime/local"
)

// Rules make the guard of a relay. They keep a world's policy while the world is the
// same, and are for one goroutine at a time. The zero value is ready.
type Rules struct {
	world  network.World
	policy *network.Policy
}

// Policy is that of a world.
func (r *Rules) Policy(w network.World) *network.Policy {
	if r.policy == nil || !reflect.DeepEqual(r.world, w) {
		r.world, r.policy = w, network.Compile(w)
	}
	return r.policy
}

// Guard is who may connect to each engine that is behind an endpoint.
func (r *Rules) Guard(n local.Network) network.Guard {
	var targets []network.Target
	for _, ep := range n.Endpoints {
		for _, b := range ep.Backends {
			// An address that is none is no interface's, and so nobody may connect.
			address, _ := netip.ParseAddr(b.VPC.Address)
			targets = append(targets, network.Target{Node: b.Node, VPC: ep.Network, Address: address, Port: b.VPC.Port})
		}
	}
	return r.Policy(n.World).Guard(n.Windows, targets)
}

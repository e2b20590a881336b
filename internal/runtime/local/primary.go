package local

import (
	"maps"
	"slices"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
)

// What the nodes know of each other as primaries and replicas.

// hasten makes the node that replicates from this endpoint eager: a replica waits
// for it.
func (r *Runtime) hasten(network string, ep core.Endpoint) {
	if n := r.byReplication(network, ep); n != nil {
		n.hasten()
		n.poke()
	}
}

// byReplication is the wanted node with this replication endpoint, or nil. The same
// address may be in several networks.
func (r *Runtime) byReplication(network string, ep core.Endpoint) *node {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.nodes {
		if want := n.wanted(); want != nil && want.Network == network && want.Replication == ep {
			return n
		}
	}
	return nil
}

// primaryReady reports whether the node that replicates from this endpoint can be
// followed: it runs as a primary, or it is not ours to know.
func (r *Runtime) primaryReady(network string, ep core.Endpoint) bool {
	n := r.byReplication(network, ep)
	if n == nil {
		return true
	}
	rep, ok := r.reports.get(n.id())
	return ok && rep.Role == "master" && rep.PID != 0
}

// noteLag tells the replicas of the primary whose replication listener is at ep what
// it says of them.
func (r *Runtime) noteLag(ep core.Endpoint, primary engine.State) {
	if primary.Role != "master" || primary.Replicas == 0 {
		return
	}
	r.mu.Lock()
	nodes := slices.Collect(maps.Values(r.nodes))
	r.mu.Unlock()
	for _, n := range nodes {
		want := n.wanted()
		if want == nil || want.Primary == nil || *want.Primary != ep {
			continue
		}
		lags := slices.Contains(primary.Lagging, want.Advertised)
		if n.lagging.Swap(lags) != lags {
			n.poke()
		}
	}
}

// followed reports whether a replica says that it is in sync with the primary whose
// replication listener is at ep.
func (r *Runtime) followed(ep core.Endpoint) bool {
	r.mu.Lock()
	nodes := slices.Collect(maps.Values(r.nodes))
	r.mu.Unlock()
	return slices.ContainsFunc(nodes, func(n *node) bool {
		want := n.wanted()
		rep, ok := r.reports.get(n.id())
		return ok && rep.LinkUp && want != nil && want.Primary != nil && *want.Primary == ep
	})
}

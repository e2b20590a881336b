package local

import (
	"slices"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

// What the nodes know of each other as primaries and replicas.

// relations are who replicates from whom, as the latest document has it.
type relations struct {
	// listening are the nodes by their listeners for replicas, following those that
	// shall replicate from such a place.
	listening map[place]*node
	following map[place][]*node
}

// relate takes over what the nodes are to each other; r.mu is held.
func (r *Runtime) relate() {
	all := relations{make(map[place]*node, len(r.nodes)), make(map[place][]*node, len(r.nodes))}
	for _, n := range r.nodes {
		want := n.wanted()
		if want == nil {
			continue
		}
		if !want.Replication.IsZero() {
			all.listening[place{want.Network, want.Replication}] = n
		}
		if want.Primary != nil {
			from := place{want.Network, *want.Primary}
			all.following[from] = append(all.following[from], n)
		}
	}
	r.relations = all
}

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
	return r.relations.listening[place{network, ep}]
}

// replicasOf are the wanted nodes that shall replicate from this endpoint.
func (r *Runtime) replicasOf(network string, ep core.Endpoint) []*node {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.relations.following[place{network, ep}]
}

// wakeRelated wakes those that may wait for a node to be something else than it is: its
// replicas, and the one that it is to follow, by the spec that it has come to and by the
// one that it is yet to look at.
func (r *Runtime) wakeRelated(n *node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, spec := range []*runtime.Node{n.seen, n.wanted()} {
		if spec != nil {
			r.relations.wake(spec)
		}
	}
}

func (a relations) wake(spec *runtime.Node) {
	for _, n := range a.following[place{spec.Network, spec.Replication}] {
		n.poke()
	}
	if spec.Primary == nil {
		return
	}
	if n := a.listening[place{spec.Network, *spec.Primary}]; n != nil {
		n.poke()
	}
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

// noteLag tells the replicas of a primary what it says of them.
func (r *Runtime) noteLag(want *runtime.Node, primary engine.State) {
	if primary.Role != "master" || primary.Replicas == 0 {
		return
	}
	for _, n := range r.replicasOf(want.Network, want.Replication) {
		spec := n.wanted()
		if spec == nil {
			continue
		}
		lags := slices.Contains(primary.Lagging, spec.Announced())
		if n.lagging.Swap(lags) != lags {
			n.poke()
		}
	}
}

// followed reports whether a replica of a primary says that it is in sync.
func (r *Runtime) followed(want *runtime.Node) bool {
	return slices.ContainsFunc(r.replicasOf(want.Network, want.Replication), func(n *node) bool {
		rep, ok := r.reports.get(n.id())
		return ok && rep.LinkUp
	})
}

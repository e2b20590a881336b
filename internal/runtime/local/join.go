package local

import (
	"context"
	"maps"
	"time"

	"github.com/larder-cache/larder/internal/runtime"
)

const (
	// joinPause is the wait before an engine looks again for its place in its
	// cluster, joinPatience how long clients are kept from one that has not found
	// it: what such an engine tells them is wrong.
	joinPause    = 5 * time.Millisecond
	joinPatience = 3 * time.Second
	// introPause is the wait before others are asked again to introduce themselves.
	introPause = 200 * time.Millisecond
)

// joining reports whether a new process shall not be in service yet.
func (n *node) joining() bool {
	if !n.state.Unsettled || n.rec.Ready {
		return false
	}
	now := n.rt.cfg.Clock.Now()
	if n.joinFrom.IsZero() {
		n.joinFrom = now
	}
	return now.Sub(n.joinFrom) < joinPatience
}

// askAround has those nodes introduce themselves that the engine does not know.
func (n *node) askAround(want *runtime.Node) {
	now := n.rt.cfg.Clock.Now()
	if len(n.state.Strangers) == 0 || now.Sub(n.introAt) < introPause {
		return
	}
	n.introAt = now
	n.rt.introduce(want, n.state.Strangers)
}

// introduce tells the nodes with these names in the cluster of a node of that node.
func (r *Runtime) introduce(to *runtime.Node, names []string) {
	wanted := make(map[string]bool, len(names))
	for _, name := range names {
		wanted[name] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.nodes {
		if want := n.wanted(); want != nil && want.Cluster != nil && wanted[want.Cluster.Self.ID] {
			n.shallMeet(to.Cluster.Self)
		}
	}
}

// shallMeet has the node introduce itself to another.
func (n *node) shallMeet(other runtime.ClusterNode) {
	n.mu.Lock()
	if n.meet == nil {
		n.meet = make(map[string]runtime.ClusterNode)
	}
	n.meet[other.ID] = other
	n.mu.Unlock()
	n.poke()
}

// meetOthers introduces the engine to those that asked for it.
func (n *node) meetOthers(ctx context.Context) error {
	n.mu.Lock()
	others := maps.Clone(n.meet)
	clear(n.meet)
	n.mu.Unlock()
	for _, o := range others {
		if err := n.session.Meet(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

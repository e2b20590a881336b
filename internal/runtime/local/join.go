package local

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/runtime"
)

const (
	// joinPause is the wait before an engine looks again for its place in its
	// cluster, joinPatience how long clients are kept from one that has not found
	// it: what such an engine tells them is wrong.
	joinPause    = 5 * time.Millisecond
	joinPatience = 3 * time.Second
	// vouchPatience is how long a replica-to-be waits for others before it says so.
	vouchPatience = 3 * time.Second
	// introPause is the wait before others are asked again to introduce themselves.
	introPause = 200 * time.Millisecond
	// deposedPause is the wait before it is seen again whether a primary has heard that
	// another has its slots. Its clients wait for that.
	deposedPause = time.Millisecond
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
	for _, stranger := range n.rt.members(n.state.Strangers) {
		stranger.shallMeet(want.Cluster.Self)
	}
}

// members are the nodes with these ids in their cluster.
func (r *Runtime) members(ids []string) (nodes []*node) {
	wanted := make(map[string]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.nodes {
		if want := n.wanted(); want != nil && want.Cluster != nil && wanted[want.Cluster.Self.ID] {
			nodes = append(nodes, n)
		}
	}
	return nodes
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

// A replica tells every engine of its cluster whom it follows. One that has not heard
// yet that this is a primary now, and takes it for a replica of the very one that
// speaks, would have the two follow each other; a Valkey runs in circles then and never
// answers again. So nobody follows a primary before all know it for one:
//
//	new primary --serves--> others hear of it --vouch--> replicas follow it

// awaitVouchers gives how long a replica-to-be shall wait before it looks again whether the
// engines of its cluster know its primary for one. Each that does wakes it.
func (n *node) awaitVouchers(want *runtime.Node) time.Duration {
	primary := want.Cluster.Primary
	peers := make([]string, 0, len(want.Cluster.Peers))
	for _, p := range want.Cluster.Peers {
		peers = append(peers, p.ID)
	}
	now := n.rt.cfg.Clock.Now()
	// To ask is to wake, and nodes that wait for the same primary ask each other.
	pause := joinPause - now.Sub(n.vouchAt)
	ask := pause <= 0 || pause > joinPause // longer if the clock was set back
	if ask {
		n.vouchAt, pause = now, joinPause
	}
	var open []string
	for _, other := range n.rt.members(peers) {
		if !other.running.Load() || n.vouched(other, primary) {
			continue
		}
		open = append(open, other.id())
		if ask {
			other.shallVouch(n, primary)
		}
	}
	if len(open) == 0 {
		n.waitFrom = time.Time{}
		return 0
	}
	if n.waited() > vouchPatience {
		// One that is busy with a long script keeps all others of its cluster waiting.
		if trouble := "waits for an answer of " + slices.Min(open); n.trouble != trouble {
			n.trouble = trouble
			n.report(n.phase())
		}
	}
	if n.state.Role == "master" && n.rt.primaryReady(want.Network, *want.Primary) {
		return deposedPause
	}
	return pause
}

func (n *node) vouched(other *node, primary string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.vouchers[other] == primary
}

// forgetVouchers has all be asked again.
func (n *node) forgetVouchers() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.vouchers)
	n.vouchAt = time.Time{}
}

// shallVouch asks the node whether its engine knows a primary for one, on behalf of
// one that is to follow it.
func (n *node) shallVouch(to *node, primary string) {
	n.mu.Lock()
	if n.vouch == nil {
		n.vouch = make(map[*node]string)
	}
	n.vouch[to] = primary
	n.mu.Unlock()
	n.poke()
}

// vouchToOthers answers those who asked, if it can vouch; else they ask again.
func (n *node) vouchToOthers(ctx context.Context) error {
	n.mu.Lock()
	asked := maps.Clone(n.vouch)
	clear(n.vouch)
	n.mu.Unlock()
	for to, primary := range asked {
		wrong, err := n.session.Misjudges(ctx, primary)
		if err != nil {
			return err
		}
		if wrong {
			continue
		}
		to.mu.Lock()
		if to.vouchers == nil {
			to.vouchers = make(map[*node]string)
		}
		to.vouchers[n] = primary
		to.mu.Unlock()
		to.poke()
	}
	return nil
}

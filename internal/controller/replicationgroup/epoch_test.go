package replicationgroup

import (
	"testing"

	"github.com/larder-cache/larder/internal/controller/step"
	"github.com/larder-cache/larder/internal/resource"
)

// TestNewEpochs: no node begins with an epoch that another one may have come to.
func TestNewEpochs(t *testing.T) {
	t.Parallel()
	epoch := func(e int) map[string]*resource.Node {
		return map[string]*resource.Node{firstNode: {Spec: resource.NodeSpec{Cluster: &resource.NodeCluster{Epoch: e}}}}
	}
	named := func(id string) *step.Cluster { return &step.Cluster{Record: &resource.CacheCluster{ID: id}} }
	w := World{Members: []*step.Cluster{named("a"), named("b"), named("c")}}
	if got := w.newEpochs(); got["a"] < epochStride || got["b"]-got["a"] < epochStride || got["c"]-got["b"] < epochStride {
		t.Errorf("at first %v", got)
	}
	w.Members[1].Nodes, w.Members[2].Successors = epoch(3), epoch(7*epochStride)
	left := named("d")
	left.Nodes = epoch(9 * epochStride)
	w.Leaving = []*step.Cluster{left}
	got := w.newEpochs()
	if got["a"] < 10*epochStride || got["b"]-got["a"] < epochStride {
		t.Errorf("beside older nodes %v", got)
	}
	for id, e := range got { // successors of nodes beside new ones
		p := pass{}
		p.epochs = got
		if next := p.nextEpoch(&member{cluster: named(id)}); next-e < epochStride || next <= got["c"] {
			t.Errorf("the successor of %s begins with %d", id, next)
		}
	}
}

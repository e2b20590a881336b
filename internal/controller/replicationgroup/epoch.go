package replicationgroup

import (
	"slices"

	"github.com/larder-cache/larder/internal/resource"
)

// epochStride is how far apart the epochs are that nodes begin with. Engines count up from
// the highest one when primaries change, which are fewer changes than this. Where two
// primaries of one epoch meet, one of them counts up once more: if that has slots which
// just now move to another, it takes them back, without their keys.
const epochStride = 1 << 20

// newEpochs are those for new nodes of members: higher than all that nodes of the group
// began with.
func (w World) newEpochs() map[string]int {
	highest := 0
	for _, c := range slices.Concat(w.Members, w.Leaving) {
		for _, nodes := range []map[string]*resource.Node{c.Nodes, c.Successors} {
			for _, n := range nodes {
				if n.Spec.Cluster != nil {
					highest = max(highest, n.Spec.Cluster.Epoch)
				}
			}
		}
	}
	epochs := map[string]int{}
	for i, c := range w.Members {
		epochs[c.Record.ID] = highest + (i+1)*epochStride
	}
	return epochs
}

// nextEpoch is the one for a new successor of a member.
func (p *pass) nextEpoch(m *member) int { return len(p.epochs)*epochStride + p.epochs[m.id()] }

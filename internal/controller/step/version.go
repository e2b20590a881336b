package step

import (
	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/resource"
)

// Outdated reports whether the node of a slot needs another process for the
// version that is wanted of the cluster.
func (c *Cluster) Outdated(slot resource.NodeSlot) bool {
	n := c.Nodes[slot.ID]
	return n != nil && nodespec.Outdated(n, c.Want(slot, resource.NodeAuth{}, resource.TLSOff, true))
}

// superseded reports whether a node that runs shall have a newer program, which a
// new process of it would be.
func (c *Cluster) superseded(n *resource.Node) bool {
	runs := n.Status.BinaryVersion
	return c.Record.Spec.Program != "" && runs != "" && nodespec.Alive(n) &&
		catalog.Compare(runs, c.Record.Spec.Program) < 0 && catalog.Compare(runs, c.Program.Version) < 0
}

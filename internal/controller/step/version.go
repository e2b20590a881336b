package step

import (
	"fmt"

	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
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

// Stranded takes back a change of the version of a cluster whose only node would lose
// its data with its process.
func (c *Cluster) Stranded() []Step {
	for _, slot := range c.Record.Spec.Nodes {
		if c.Outdated(slot) && nodespec.Alive(c.Nodes[slot.ID]) && c.Record.Status.EngineVersion != "" {
			runs := c.Nodes[slot.ID].Spec
			return []Step{RefuseVersion{Key: c.Key(), Engine: runs.Engine, Version: runs.Version}, c.Event(fmt.Sprintf(
				"Failed to upgrade the engine to %s %s. The data of the only node would be lost", c.Record.Spec.Engine, c.Record.Spec.EngineVersion))}
		}
	}
	return nil
}

// RefuseVersion makes the engine, version and parameter group that a cluster runs with the
// wanted ones again.
type RefuseVersion struct{ Key, Engine, Version string }

func (s RefuseVersion) String() string {
	return "cluster " + s.Key + ": stays " + s.Engine + " " + s.Version
}

func (s RefuseVersion) apply(tx *store.Tx, _ *commit) {
	c, ok := resource.CacheClusters.Get(tx, s.Key)
	if !ok {
		return
	}
	c.Spec.Engine, c.Spec.EngineVersion, c.Spec.ParameterGroup = s.Engine, s.Version, c.Status.ParameterGroup
	c.Spec.Program = ""
	resource.CacheClusters.Put(tx, s.Key, c)
	if g, ok := resource.ReplicationGroups.Get(tx, c.Region+"/"+c.Spec.ReplicationGroupID); ok {
		g.Spec.Engine = c.Spec.Engine
		resource.ReplicationGroups.Put(tx, g.Region+"/"+g.ID, g)
	}
}

package resource

import (
	"cmp"
	"slices"
)

// ChangeModifying is Spec.Change while a modification is carried out.
const ChangeModifying = "modifying"

// Pending are changes that were asked for and wait for the maintenance window of
// their cluster or group. Of an attribute that was asked for twice the later
// request stands. The zero value waits for nothing; a nil field is no change.
type Pending struct {
	NodeType *string
	// Engine and EngineVersion (in full) change together, and ParameterGroup with
	// them where the family changes.
	Engine, EngineVersion, ParameterGroup *string
	// AddNodes join a Memcached cluster; their addresses are taken already.
	// RemoveNodes are the ids of nodes that leave one. At most one of them is set.
	AddNodes    []NodeSlot
	RemoveNodes []string
}

// IsZero reports whether nothing waits.
func (p Pending) IsZero() bool {
	return p.NodeType == nil && p.Engine == nil && p.EngineVersion == nil && p.ParameterGroup == nil &&
		len(p.AddNodes) == 0 && len(p.RemoveNodes) == 0
}

// applyTo makes what waits wanted.
func (p Pending) applyTo(s *CacheClusterSpec) {
	set := func(to, from *string) {
		if from != nil {
			*to = *from
		}
	}
	set(&s.NodeType, p.NodeType)
	set(&s.Engine, p.Engine)
	set(&s.EngineVersion, p.EngineVersion)
	set(&s.ParameterGroup, p.ParameterGroup)
	if len(p.AddNodes)+len(p.RemoveNodes) == 0 {
		return
	}
	nodes := slices.DeleteFunc(slices.Clone(s.Nodes), func(n NodeSlot) bool { return slices.Contains(p.RemoveNodes, n.ID) })
	for _, id := range p.RemoveNodes {
		delete(s.Reboot, id)
	}
	s.Nodes = append(nodes, p.AddNodes...)
	slices.SortFunc(s.Nodes, func(a, b NodeSlot) int { return cmp.Compare(a.ID, b.ID) })
}

// ApplyPending makes what waits for the window of a cluster of its own wanted
// now, and asks the controllers for the work.
func (c *CacheCluster) ApplyPending() {
	c.Spec.Pending.applyTo(&c.Spec)
	c.Spec.Pending = Pending{}
	c.Generation++
	c.Spec.Change = ChangeModifying
}

// ApplyPending makes what waits for the window of a group wanted of the group and
// of all its members now, and asks the controllers for the work.
func (g *ReplicationGroup) ApplyPending(members []*CacheCluster) {
	for _, c := range members {
		g.Spec.Pending.applyTo(&c.Spec)
		c.Generation++
		c.Spec.Change = ChangeModifying
	}
	if engine := g.Spec.Pending.Engine; engine != nil {
		g.Spec.Engine = *engine
	}
	g.Spec.Pending = Pending{}
	g.Generation++
	g.Spec.Change = ChangeModifying
}

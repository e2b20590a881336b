package step

import (
	"fmt"

	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/parameter"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// A change of the node type is a change of limits that engines take over while
// they run. One to less memory is made only after the engines have said that
// their data fits: a limit below what is used would evict it.

// Shrinking are the keys of nodes that have more memory now than the cluster's
// new node type allows, and that can be asked how much they use.
func (c *Cluster) Shrinking() (keys []string) {
	if c.Record.Status.NodeType == "" || c.Record.Status.NodeType == c.Record.Spec.NodeType {
		return nil
	}
	limit, limited := parameter.MemoryLimit(c.Directives.Live)
	for _, slot := range c.Record.Spec.Nodes {
		n := c.Nodes[slot.ID]
		if n == nil || !nodespec.Alive(n) || !limited {
			continue
		}
		if has, ok := parameter.MemoryLimit(n.Spec.Settings); ok && limit < has {
			keys = append(keys, n.Key())
		}
	}
	return keys
}

// Shrink decides about a change to a smaller node type of clusters that have one
// type in common, from what their shrinking nodes use. Where the data does not fit, the steps
// take the change back; wait means that a node has not answered. In both cases
// the clusters' limits stay as they are in this pass.
func Shrink(clusters []*Cluster, used map[string]int64) (refusal []Step, wait bool) {
	var why string
	for _, c := range clusters {
		limit, _ := parameter.MemoryLimit(c.Directives.Live)
		for _, key := range c.Shrinking() {
			bytes, answered := used[key]
			wait = wait || !answered
			if answered && bytes > limit && why == "" {
				why = fmt.Sprintf("node %s uses %d bytes of memory, and the type allows %d", key, bytes, limit)
			}
		}
	}
	if why == "" && !wait {
		return nil, false
	}
	for _, c := range clusters {
		c.held = true
		for _, n := range c.Nodes {
			c.Directives.Live = n.Spec.Settings
		}
		if why != "" {
			refusal = append(refusal, RefuseNodeType{Key: c.Key(), NodeType: c.Record.Status.NodeType},
				c.Event(fmt.Sprintf("Failed applying modification to cache node type to %s. %s", c.Record.Spec.NodeType, why)))
		}
	}
	return refusal, why == ""
}

// RefuseNodeType makes the node type that a cluster has the wanted one again.
type RefuseNodeType struct{ Key, NodeType string }

func (s RefuseNodeType) String() string {
	return "cluster " + s.Key + ": node type stays " + s.NodeType
}

func (s RefuseNodeType) apply(tx *store.Tx, _ *commit) {
	if c, ok := resource.CacheClusters.Get(tx, s.Key); ok {
		c.Spec.NodeType = s.NodeType
		resource.CacheClusters.Put(tx, s.Key, c)
	}
}

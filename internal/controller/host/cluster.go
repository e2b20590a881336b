package host

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/controller/step"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/runtime"
)

// place is a node's in the cluster of its group.
func (c *composer) place(n *resource.Node) *runtime.Cluster {
	own := c.clusters[step.ClusterOfNode(n.Key())]
	if own == nil {
		return nil
	}
	g, ok := resource.ReplicationGroups.Get(c.reader, n.Region+"/"+own.Spec.ReplicationGroupID)
	if !ok {
		c.fail(fmt.Errorf("node %s: its group is not known", n.Key()))
		return nil
	}
	out := &runtime.Cluster{Epoch: n.Spec.Cluster.Epoch}
	shard := g.Spec.ShardOf(own.ID)
	if shard != nil {
		out.Slots = shard.Slots
	}
	if e := n.Spec.Endpoint; e.Advertised.Address != e.Bound.Address {
		out.Hostname = e.Advertised.Address
	}
	for _, sh := range g.Spec.Shards {
		for _, id := range sh.Members {
			member := c.clusters[g.Region+"/"+id]
			if member == nil || len(member.Spec.Nodes) == 0 {
				continue
			}
			slot := member.Spec.Nodes[0]
			node := clusterNode(member, slot)
			node.SameShard = shard != nil && sh.ID == shard.ID
			switch key := g.Region + "/" + id + "/" + slot.ID; {
			case key == n.Key():
				out.Self = node
				continue
			case key == n.Spec.ReplicaOf:
				out.Primary = node.ID
			}
			out.Peers = append(out.Peers, node)
		}
	}
	if out.Self.ID == "" {
		// It was taken out of the group, and only goes on until it is stopped.
		out.Self = clusterNode(own, own.Spec.Nodes[0])
	}
	slices.SortFunc(out.Peers, func(a, b runtime.ClusterNode) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func clusterNode(c *resource.CacheCluster, slot resource.NodeSlot) runtime.ClusterNode {
	e := slot.Endpoint
	return runtime.ClusterNode{
		ID: resource.EngineID(c, slot.ID), Address: e.Bound.Address, Port: e.Advertised.Port,
		Replication: runtime.HiddenPort(runtime.ReplicationPort, e.VPC.Port),
		Bus:         runtime.HiddenPort(runtime.BusPort, e.VPC.Port),
	}
}

// shards adds the endpoint of a group in cluster mode, which leads to any node that
// has its place: it tells clients of all others.
func (c *composer) shards(g *resource.ReplicationGroup) {
	var some *resource.Node
	var settled, alive []string
	for _, id := range g.Spec.Members {
		cluster := c.clusters[g.Region+"/"+id]
		if cluster == nil || len(cluster.Spec.Nodes) == 0 {
			continue
		}
		n := c.nodes[g.Region+"/"+id+"/"+cluster.Spec.Nodes[0].ID]
		if n == nil || n.Spec.Deleted {
			continue
		}
		some = n
		if nodespec.Alive(n) {
			alive = append(alive, n.Key())
			if n.Status.LinkUp {
				settled = append(settled, n.Key())
			}
		}
	}
	if some == nil {
		return
	}
	if len(settled) == 0 {
		settled = alive
	}
	c.endpoint("cluster "+g.Region+"/"+g.ID, g.Spec.ConfigurationEndpoint, some, settled...)
}

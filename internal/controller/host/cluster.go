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

// cluster is a node's place in that of its group.
func (c *composer) cluster(n *resource.Node) *runtime.Cluster {
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
	for _, sh := range g.Spec.AllShards() {
		for _, id := range sh.Members {
			member := c.clusters[g.Region+"/"+id]
			if member == nil || len(member.Spec.Nodes) == 0 {
				continue
			}
			for key, node := range c.clusterNodes(member) {
				node.SameShard = shard != nil && sh.ID == shard.ID
				if key == n.Key() {
					out.Self = node
					continue
				}
				if key == n.Spec.ReplicaOf {
					out.Primary = node.ID
				}
				if other := c.nodes[key]; other == nil || other.Spec.Cluster != nil {
					out.Peers = append(out.Peers, node)
					continue
				}
				out.Absent = append(out.Absent, node.ID)
				if other := c.nodes[key]; key == n.Spec.ReplicaOf {
					at := c.replication(other)
					node.Address, node.Replication = at.Address, at.Port
					out.Outside = &node
				}
			}
		}
	}
	if out.Self.ID == "" {
		// It was taken out of the group, and only goes on as what it is until it is stopped:
		// a replica that took over now would take slots back that have moved.
		out.Self = clusterNode(own, n)
		if primary, ok := c.nodes[n.Spec.ReplicaOf]; ok && out.Primary == "" {
			if of := c.clusters[step.ClusterOfNode(primary.Key())]; of != nil {
				out.Primary = clusterNode(of, primary).ID
			}
		}
	}
	slices.SortFunc(out.Peers, func(a, b runtime.ClusterNode) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// clusterNodes are the node of a member, which others are told of before it is there,
// and its successor, by their keys.
func (c *composer) clusterNodes(member *resource.CacheCluster) map[string]runtime.ClusterNode {
	slot := member.Spec.Nodes[0]
	key := member.Region + "/" + member.ID + "/" + slot.ID
	n, ok := c.nodes[key]
	if !ok {
		n = &resource.Node{ID: slot.ID}
	}
	out := map[string]runtime.ClusterNode{key: clusterNode(member, n)}
	if next := c.nodes[resource.SuccessorID(key)]; next != nil && !next.Spec.Deleted {
		out[next.Key()] = clusterNode(member, next)
	}
	return out
}

func clusterNode(c *resource.CacheCluster, n *resource.Node) runtime.ClusterNode {
	slot := c.Spec.Nodes[0]
	out := runtime.ClusterNode{
		ID: resource.EngineID(c, slot.ID, n.Spec.Turn), Address: slot.Endpoint.Bound.Address, Port: slot.Endpoint.Advertised.Port,
	}
	out.Replication, out.Bus = hiddenPorts(n.Spec.Turn, slot.Endpoint)
	return out
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
		if n == nil || n.Spec.Deleted || !c.inCluster(n) {
			continue
		}
		n = c.served(n)
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

// inCluster reports whether a node and the primary that it follows, if any, are in
// cluster mode: clients are told of no other.
func (c *composer) inCluster(n *resource.Node) bool {
	primary := c.nodes[n.Spec.ReplicaOf]
	return n.Spec.Cluster != nil && (primary == nil || primary.Spec.Cluster != nil)
}

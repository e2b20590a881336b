package replicationgroup

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/larder-cache/larder/internal/resource"
)

// shards are the worlds of the shards of a group: each as if it were a group of
// its own without cluster mode. A group without cluster mode is one as it is.
func (w World) shards() []World {
	if !w.Group.Spec.ClusterMode() {
		return []World{w}
	}
	var uids []string
	for _, c := range w.Members {
		uid := c.Record.UID
		if n := c.Nodes[firstNode]; n != nil && n.Spec.Cluster == nil {
			uid += " outside"
		}
		uids = append(append(uids, uid), c.Turns()...)
	}
	nodes, epochs := fingerprint(uids), w.newEpochs()
	var out []World
	for i := range w.Group.Spec.Shards {
		sh := &w.Group.Spec.Shards[i]
		status := w.Group.Status.Shard(sh.ID)
		g := *w.Group
		g.Spec.Members, g.Spec.Handover = sh.Members, sh.Handover
		g.Spec.AutomaticFailover = g.Spec.AutomaticFailover && len(sh.Members) > 1
		g.Status.Primary, g.Status.FailoverFrom, g.Status.HandoverSince = status.Primary, status.FailoverFrom, status.HandoverSince
		part := World{Group: &g, Certified: w.Certified, Now: w.Now, shard: sh, nodes: nodes, epochs: epochs, Answers: w.Answers}
		for _, c := range w.Members {
			if slices.Contains(sh.Members, c.Record.ID) {
				part.Members = append(part.Members, c)
				if slices.Contains(w.Asked, c.NodeKey(firstNode)) {
					part.Offsets = w.Offsets
				}
			}
		}
		out = append(out, part)
	}
	return out
}

// firstNode is the id of the one node of a member.
const firstNode = "0001"

// fingerprint is another one for other members.
func fingerprint(uids []string) string {
	slices.Sort(uids)
	h := sha256.New()
	for _, uid := range uids {
		h.Write([]byte(uid + "\n"))
	}
	return hex.EncodeToString(h.Sum(nil)[:4])
}

// place is a member's in the group's cluster; nil without cluster mode.
func (p *pass) place(m *member) *resource.NodeCluster {
	if p.shard == nil {
		return nil
	}
	c := &resource.NodeCluster{Nodes: p.nodes, Epoch: p.epochs[m.id()]}
	if m.node != nil && m.node.Spec.Cluster != nil {
		c.Epoch = m.node.Spec.Cluster.Epoch
	}
	return c
}

// shardID is the shard's id; empty without cluster mode.
func (p *pass) shardID() string {
	if p.shard == nil {
		return ""
	}
	return p.shard.ID
}

// name is what events call the group, or its shard.
func (p *pass) name() string {
	if p.shard == nil {
		return "replication group " + p.Group.ID
	}
	return "node group " + p.shard.ID + " of replication group " + p.Group.ID
}

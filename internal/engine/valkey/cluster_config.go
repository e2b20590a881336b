package valkey

import (
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

const (
	// nodesFile is where an engine keeps what it knows of its cluster. It ends if it
	// cannot write that, as on a disk that is full.
	nodesFile = "nodes.conf"
	// A node that does not answer for as long as this, in milliseconds, is suspected. It
	// decides nothing here, as Larder replaces primaries, but an engine also waits for so
	// long before it serves in a cluster that it has just come to know; so it has the
	// shorter time until it serves, and then the longer one, which a busy host does
	// not exceed.
	joiningTimeout = 500
	servingTimeout = 15000
	// smallCluster is up to how many nodes the shorter time will do. All of them keep
	// connections with each other, ask each other twice in that time, and connect anew with
	// those that do not answer, so that what they cost their host grows with
	// the square of their number: 90 with the shorter time are busy with nothing else.
	smallCluster = 8
	// followingTimeout, a day, is that of a replica whose primary is outside of the
	// cluster: such a primary never answers on the bus, and the replica would have to
	// wait after it has taken over from one that it suspects.
	followingTimeout = 86400000
)

// clusterConfig is what a node of a cluster of shards has beyond others. The engine
// tells clients the plain port, whatever they connect with: they all come by the
// unix socket. Peers use the port for TLS.
func clusterConfig(c *config, n *runtime.Node, p engine.Place) {
	self := n.Cluster.Self
	c.set("cluster-enabled", "yes")
	c.set("cluster-config-file", filepath.Join(p.Scratch, nodesFile))
	c.set("cluster-port", strconv.Itoa(self.Bus))
	c.set("cluster-announce-ip", self.Address)
	c.set("cluster-announce-port", strconv.Itoa(self.Port))
	c.set("cluster-announce-tls-port", strconv.Itoa(self.Replication))
	c.set("cluster-announce-bus-port", strconv.Itoa(self.Bus))
	if n.Cluster.Hostname != "" {
		c.set("cluster-announce-hostname", n.Cluster.Hostname)
		c.set("cluster-preferred-endpoint-type", "hostname")
	}
	c.set("cluster-node-timeout", strconv.Itoa(nodeTimeout(n.Cluster, false)))
	// Who is primary, and where replicas belong, is for Larder to say.
	c.set("cluster-replica-no-failover", "yes")
	c.set("cluster-allow-replica-migration", "no")
}

// nodeTimeout is how long a node shall wait for others, in milliseconds.
func nodeTimeout(c *runtime.Cluster, serves bool) int {
	switch {
	case c.Outside != nil:
		return followingTimeout
	case serves:
		return servingTimeout
	}
	nodes := len(c.Peers) + 1
	return min(max(joiningTimeout, joiningTimeout*nodes*nodes/(smallCluster*smallCluster)), servingTimeout)
}

// firstNodes is what an engine knows of its cluster when it starts: its own name.
// All else it is told, since what it knew before it ended may be out of date.
//
// A primary outside of the cluster cannot be told: no engine in cluster mode takes
// REPLICAOF. But one that finds itself the replica of a node with an address follows
// what is there, which need not know of any cluster, and takes over its slots like
// those of any other primary.
func firstNodes(b engine.Binary, c *runtime.Cluster) []byte {
	var out []byte
	flags, primary, shard := "master", "-", c.Self.ID
	if o := c.Outside; o != nil {
		flags, primary, shard = "slave", o.ID, o.ID
		out = fmt.Appendf(out, "%s %s:%d@%d%s master - 0 0 0 connected 0-%d\n", o.ID, o.Address, o.Replication, o.Bus, shardID(b, shard), core.SlotCount-1)
	}
	return fmt.Appendf(out, "%s :0@0%s myself,%s %s 0 0 %d connected\nvars currentEpoch %d lastVoteEpoch 0\n",
		c.Self.ID, shardID(b, shard), flags, primary, c.Epoch, c.Epoch)
}

// shardID is what a node's line says of its shard, after the hostname that is not there.
// An engine that knows shards leaves a node out of CLUSTER SHARDS that has none.
func shardID(b engine.Binary, id string) string {
	var major, minor int
	if _, err := fmt.Sscanf(b.Version, "%d.%d", &major, &minor); err != nil || b.Engine == engine.Redis && (major < 7 || major == 7 && minor < 2) {
		return "" // it would take that for the hostname
	}
	return ",,shard-id=" + id
}

package runtime

import "github.com/larder-cache/larder/internal/core"

// Cluster is a node's place in a cluster of shards. Its role is Node.Primary's to
// say, as elsewhere: a primary serves its shard's slots.
type Cluster struct {
	// Self is the node as the others know it.
	Self ClusterNode
	// Hostname is what clients are told instead of Self.Address, if anything.
	Hostname string
	// Epoch is the configuration epoch that a process begins with, another one for
	// each node.
	Epoch int
	// Slots are those of the node's shard. An engine takes those that nobody has.
	Slots core.Slots
	// Peers are all other nodes of the cluster, sorted by ID.
	Peers []ClusterNode
	// Primary is the ID of the node to replicate from; empty for a primary.
	Primary string
	// Outside is the primary if it runs without cluster mode, for the time in which
	// the nodes of a group move to it; it is none of the Peers. An engine follows
	// such a primary from its start, or never.
	Outside *ClusterNode
	// Absent are the ids of members of the group that are not in cluster mode yet, or
	// not any more: nobody has to know them, but nobody shall forget them.
	Absent []string
}

// SlotMove asks one primary of a cluster of shards to hand slots on to another, with
// all their keys, while clients go on using them.
type SlotMove struct {
	// From and To are ids of nodes.
	From, To string
	// Slots are to be moved; those that To has already count as moved.
	Slots core.Slots
}

// ClusterNode is a node as the engines of a cluster know each other.
type ClusterNode struct {
	// ID is 40 hexadecimal digits and stays when the process is replaced.
	ID string
	// Address is where clients and peers find the node: Port is the clients',
	// Replication and Bus are the peers'.
	Address                string
	Port, Replication, Bus int
	// SameShard: the node is of the same shard as the one whose peer it is.
	SameShard bool
}

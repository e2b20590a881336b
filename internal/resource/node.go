package resource

import (
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/core"
)

// Node is one engine process. Key: REGION/CLUSTERID/NODEID. Its Spec is written
// by the controller of the cluster or group it belongs to, its Status by the
// host controller from the runtime's reports.
type Node struct {
	Region, ClusterID, ID string
	// UID is unique over time and names the node's directory.
	UID    string
	Spec   NodeSpec
	Status NodeStatus
	// HeldSince is of a successor: since when writes at the node before it wait for
	// it to take over; nil while nobody has to.
	HeldSince *time.Time
}

// Key is the node's key in the store and its id in the runtime.
func (n *Node) Key() string { return n.Region + "/" + n.ClusterID + "/" + n.ID }

// successorSuffix makes the id of a successor.
const successorSuffix = "-next"

// SuccessorID is the id of the node that is to take the place of the one with an
// id: another process at the same address, which customers do not see until it has. Then it
// has the id of the other, whose record it replaces. Of a key it makes a key.
func SuccessorID(id string) string { return id + successorSuffix }

// SucceededID is the id, or the key, of the node whose place another is to take;
// ok is false for one that succeeds nobody.
func SucceededID(id string) (succeeded string, ok bool) {
	return strings.CutSuffix(id, successorSuffix)
}

// NodeSpec is how the process shall be.
type NodeSpec struct {
	// Generation grows with every change of this spec.
	Generation int64
	// Incarnation numbers the process: a higher one than that which runs means
	// stop and start anew. An exited process stays away until its controller
	// raises the number, because only the controller knows which role the next
	// one may have.
	Incarnation int
	// Turn counts the nodes that had this place before; what cannot be the same for a
	// node and its successor follows from it.
	Turn int
	// Engine is "redis", "valkey" or "memcached", Version the API's version.
	Engine, Version string
	Endpoint        Endpoint
	// TLS is the mode of every endpoint that leads to this node.
	TLS TLSMode
	// ReplicaOf is the key of the primary's node; empty for a primary.
	ReplicaOf string
	// HoldWrites makes clients that write to a primary wait, for a few seconds at
	// most, until it is a replica or the hold ends.
	HoldWrites bool
	// Watched has the process of a primary ended if it hangs, because a replica
	// can take over.
	Watched bool
	// Cluster is the node's place in a group in cluster mode; nil elsewhere.
	Cluster *NodeCluster
	// Settings are engine directives that can change while it runs;
	// StartSettings only change together with Incarnation.
	Settings, StartSettings map[string]string
	// MaxClients and memory limits are among the settings.
	Auth NodeAuth
	// Reboots is how many of the reboots asked for (CacheClusterSpec.Reboot) this
	// incarnation has honoured.
	Reboots int
	// QuickExits is how many incarnations in a row, up to this one, were needed
	// because the one before ended within seconds; it spaces out the next one.
	QuickExits int
	// Deleted means: stop the process, remove its directory, then report gone.
	Deleted bool
}

// NodeCluster is a node's place in a group in cluster mode. Which other nodes there
// are, and who has which slots, is the group's to say.
type NodeCluster struct {
	// Epoch is the configuration epoch that the node begins with, another one for
	// each node of the group.
	Epoch int
	// Nodes changes whenever a node joins or leaves the group.
	Nodes string
}

// NodeAuth is who may use the engine. The hidden users (admin, replication)
// always exist beside it; their passwords are derived from GroupUID.
type NodeAuth struct {
	// NoPassword lets clients in without authentication.
	NoPassword bool
	// Digests are sealed hexadecimal SHA-256 digests of the valid tokens.
	Digests []core.Sealed
	// Login makes the relay log in with a hidden password for every new client
	// connection (AUTH optional). The engine accepts the hidden password
	// exactly while Login is set.
	Login bool
	// SecretsFrom is the UID that hidden passwords are derived from: the
	// group's, or the cluster's own.
	SecretsFrom string
}

// Phases of a node's process.
const (
	NodePending  = ""         // not started yet
	NodeStarting = "starting" // process exists, does not answer yet
	NodeRunning  = "running"  // answers
	NodeExited   = "exited"   // the process of this incarnation has ended
	NodeFailed   = "failed"   // could not be started; Message says why
	NodeGone     = "gone"     // deleted: no process, no directory, no address
)

// Values of NodeStatus.Mute.
const (
	NodeBusy  = "busy"  // works at something that keeps it from all else
	NodeStill = "still" // shows no sign of life
)

// NodeStatus is the runtime's last report. Only what changes rarely is kept
// here; offsets are asked for when they are needed.
type NodeStatus struct {
	Phase       string
	Incarnation int
	// Generation is the highest Spec.Generation that is fully applied to the
	// running process and its endpoint.
	Generation int64
	PID        int
	Started    *time.Time
	// Ended is when the exit of this incarnation was noticed.
	Ended *time.Time
	// Binary is the path and BinaryVersion the version that really runs.
	Binary, BinaryVersion string
	// Role is "master" or "slave" as the engine says; LinkUp: a replica is
	// connected to its primary and in sync; a primary in cluster mode finds the
	// cluster in order.
	Role   string
	LinkUp bool
	// Lagging: a replica in sync that is so far behind that it is not to be read from.
	Lagging bool
	// Mute says why a process in service has long given no answer but that it is busy;
	// empty for one that answers.
	Mute string
	// Filled: the process of this incarnation holds, or has held, the data of its
	// group: it was a primary, or a replica in sync.
	Filled bool
	// LoginServed: the relay logs in for new connections of this node.
	LoginServed bool
	// MaxClients is the real limit of client connections.
	MaxClients int
	// Message says why the node failed or exited.
	Message string
}

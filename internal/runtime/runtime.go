// Package runtime is the boundary between what the controllers decide and the
// machine that carries it out: the whole desired Document goes in, Reports come
// out. Package local carries it out with processes of this host. The package
// imports neither the services nor the store.
package runtime

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/network"
)

// Runtime makes the world match a Document.
//
// Apply returns once the document is taken over, not once it is reached; it may
// be called at any time with an equal document. A document with a Revision not
// above the last one taken is refused with ErrStale. Nodes that are not in the
// document are stopped and their directories removed: a document is always the
// whole truth.
//
// Reports carries a report for a node or an instance each time something in it
// changes, the latest one winning when the reader is slow; after the start one for
// every node found. The channel is closed by Close.
//
// Enforced is the revision of the latest document whose World is known to be in
// force: who connects from then on is let in or refused as it says. It is 0 until
// there is one.
//
// Replication asks the engine itself, at once. Listening says what is known of an
// endpoint of the document by its ID, or of the resolver by ResolverID.
type Runtime interface {
	Apply(ctx context.Context, doc *Document) error
	Reports() <-chan []Report
	Enforced() int64
	Replication(ctx context.Context, node string) (Replication, error)
	// MoveSlots returns once slots were moved, or with an error; moved are those
	// that were moved in any case. It may be repeated after it was cut short at any
	// point, and then goes on where it was.
	MoveSlots(ctx context.Context, m SlotMove) (moved core.Slots, err error)
	Listening(endpoint string) Listening
}

// ResolverID names what answers for the endpoints' names on this host.
const ResolverID = "resolver"

// Listening is what is known of an endpoint. It is zero until the endpoint has been
// tried.
type Listening struct {
	// Open: clients are awaited.
	Open bool
	// Trouble says why not.
	Trouble string
}

// Document is everything that shall exist on the host.
type Document struct {
	Revision int64
	// Nodes are sorted by ID, Endpoints too.
	Nodes     []Node
	Endpoints []Endpoint
	// Removed are ids of nodes that are deleted and whose end is still to be
	// reported: a report with PhaseGone comes for each, also for one that never
	// ran here.
	Removed []string
	// World is what decides who may connect. An endpoint or node whose VPC address
	// is no interface in it is reached by nobody.
	World network.World
	// Windows say where the clients of each VPC come from, by Endpoint.Network.
	Windows map[string]network.Window
	// Instances are sorted by ID.
	Instances []Instance
}

// Instance is a place of a network from which programs of this host can connect.
type Instance struct {
	// ID is the store key of the instance: REGION/INSTANCEID.
	ID string
	// Network is the id of the VPC that it is in, Address its own there.
	Network string
	Address netip.Addr
	// Running: it can send. The address of one that does not run is nobody's.
	Running bool
	// Boots is echoed in the report. With a higher number what ran in the instance
	// ends, where it has a namespace of its own.
	Boots int
}

// InstanceReport is the ID of the report of an instance, which is no node's. Its
// Phase is PhaseRunning, PhaseGone for one that does not run, or PhaseFailed; its
// Incarnation is Boots.
func InstanceReport(id string) string { return instancePrefix + id }

// ReportedInstance is the id of the instance that a report is about, if it is about
// one.
func ReportedInstance(report string) (id string, ok bool) {
	return strings.CutPrefix(report, instancePrefix)
}

// instancePrefix has a character that ids of nodes have not.
const instancePrefix = "instance "

// Node is one engine process that shall run.
type Node struct {
	// ID is the store key of the node: REGION/CLUSTERID/NODEID.
	ID string
	// UID names the node's directories; it is never used again. A node with the UID of
	// one before is that one, though its ID may be another.
	UID         string
	Incarnation int
	// Generation is echoed in the report once all of this is applied.
	Generation int64
	// Engine is "redis", "valkey" or "memcached"; Version is the API's.
	Engine, Version string
	// Network is the id of the VPC that the node is in.
	Network string
	// VPC is the private address and port, Bound where the node's clients
	// connect on this host, Advertised what clients are told.
	VPC, Bound, Advertised core.Endpoint
	// Direct is where the engine itself may listen for clients, in plaintext; zero
	// if only the relay may lead to it. An engine that has no such listener beside
	// its unix socket is led to by the relay all the same.
	Direct core.Endpoint
	// Replication is where the engine's own mTLS listener is bound; zero for
	// Memcached.
	Replication core.Endpoint
	// Primary is the node to replicate from: its Replication endpoint. nil for a
	// primary.
	Primary *core.Endpoint
	// HoldWrites makes clients of a primary that write wait, until it is a replica or
	// HoldWrites is off again, but for HoldLimit at most.
	HoldWrites bool
	// Cluster is the node's place in a cluster of shards; nil elsewhere.
	Cluster *Cluster
	// Successor: the address is another node's, whose place this one is to take. In a
	// later document it has that node's ID, and the other one is not there any more.
	Successor bool
	// Watched: a primary that a replica can take over from. If it hangs, its process is
	// ended.
	Watched bool
	// Settings can be changed while the engine runs, StartSettings are only read
	// when it starts. Names and values as in the engine's configuration file
	// (Memcached: long option names of package engine/memcached).
	Settings, StartSettings map[string]string
	Auth                    Auth
}

// Announced is what a replica calls itself to its primary, which tells its replicas
// apart by that: the address that clients are told, or for a successor, which shares that
// one, its own hidden port there.
func (n *Node) Announced() core.Endpoint {
	if n.Successor {
		return core.Endpoint{Address: n.Advertised.Address, Port: n.Replication.Port}
	}
	return n.Advertised
}

// HiddenPort is the port of a node for what customers may not reach, on the address
// that has also the customers' port. Distinct even bases give distinct ports; those
// from 61000 on are not taken by connections that the node begins.
func HiddenPort(base, customers int) int {
	if base == customers {
		return base + 1
	}
	return base
}

// The bases of hidden ports: of the engine's listener for replication, of the
// relay in front of the engine, and of the bus of a cluster of shards. A node and
// its successor, which have one address, take turns with the first and the second
// ones.
const (
	ReplicationPort       = 61002
	RelayPort             = 61004
	BusPort               = 61006
	SecondReplicationPort = 61008
	SecondBusPort         = 61010
)

// HoldLimit is how long an engine makes writes wait from when it was told to:
// longer than anybody who asks for it may take, since a hold that ends unnoticed would
// let in writes that are then lost. It ends by itself for when Larder ends.
const HoldLimit = 10 * time.Second

// Auth is who may use an engine.
type Auth struct {
	// NoPassword lets the default user in without authentication.
	NoPassword bool
	// Digests are the hexadecimal SHA-256 digests of the tokens.
	Digests []string
	// Login, if set, is the hidden second password of the default user with
	// which the relay logs in for each new client connection.
	Login core.Secret
	// Admin and Replication are the passwords of the hidden users.
	Admin, Replication core.Secret
}

// TLS of an endpoint.
type TLS struct {
	// Mode is "" (plaintext only), "preferred" (both on one port) or "required".
	Mode string
	// ChainPEM and KeyPEM are the server certificate; unused for mode "".
	ChainPEM string
	KeyPEM   core.Secret
}

// Endpoint is an address where clients connect, and the nodes behind it.
type Endpoint struct {
	// ID is "node REGION/CLUSTER/NODE", "primary REGION/GROUP",
	// "reader REGION/GROUP", "configuration REGION/CLUSTER",
	// "publication REGION/ID", or of a group in cluster mode "cluster REGION/GROUP".
	ID string
	// Network is the id of the VPC that the endpoint is in.
	Network    string
	VPC, Bound core.Endpoint
	// Advertised is also listened on when it differs from Bound (--advertise).
	Advertised core.Endpoint
	// Names are the DNS names that lead here.
	Names []string
	// Source, if valid, makes the endpoint a publication: Bound is an address of the
	// host outside of all VPCs, there is no VPC address, and whoever connects counts as
	// this address of the Network.
	Source netip.Addr
	// Nodes are the node ids that new connections are spread over; none means
	// that a client is reset at once.
	Nodes []string
	// Primary: of its nodes the endpoint leads only to those that are no replicas, and
	// connections to one that becomes a replica or leaves Nodes are closed.
	Primary bool
	TLS     TLS
}

// Phases of a node's process; they are those of resource.NodeStatus.
const (
	PhaseStarting = "starting" // process exists, does not answer yet
	PhaseRunning  = "running"  // answers
	PhaseExited   = "exited"   // the process of this incarnation has ended
	PhaseFailed   = "failed"   // could not be started; Message says why
	PhaseGone     = "gone"     // deleted: no process, no directory, no address
)

// Values of Report.Mute; they are those of resource.NodeStatus.
const (
	MuteBusy  = "busy"  // works at something that keeps it from all else, as a long script does
	MuteStill = "still" // shows no sign of life
)

// Report is what is true of one node.
type Report struct {
	ID          string
	Incarnation int
	// Generation is the highest Node.Generation that is fully applied: to the
	// process, its users and settings, and to its endpoints in the relay.
	Generation int64
	// Phase is one of the phases above.
	Phase   string
	PID     int
	Started time.Time
	// Binary and BinaryVersion say what really runs.
	Binary, BinaryVersion string
	// Role is "master" or "slave"; LinkUp: connected to the primary, in sync; of a
	// primary in a cluster of shards: the cluster is in order.
	Role   string
	LinkUp bool
	// Lagging: the primary says that the replica is far behind; see engine.State.
	Lagging bool
	// Mute says why a process in service has long given no answer but that it is busy;
	// empty for one that answers.
	Mute string
	// LoginServed: new connections are logged in by the relay.
	LoginServed bool
	MaxClients  int
	Message     string
}

// Replication is what an engine says of its replication.
type Replication struct {
	Role   string
	LinkUp bool
	// Offset is master_repl_offset, or slave_repl_offset on a replica.
	Offset int64
	// UsedMemory in bytes.
	UsedMemory int64
	Clients    int
	// OtherDatabases: there are keys in databases other than 0.
	OtherDatabases bool
	// Diverged: a replica in cluster mode could not do everything that a primary without
	// it did, so that the two may differ.
	Diverged bool
}

// ErrStale refuses a document that is not newer than the last one.
var ErrStale = staleError{}

type staleError struct{}

func (staleError) Error() string { return "runtime: document is older than the one in force" }

// Package engine is what Larder knows of cache servers as programs: which are
// installed, how each is started, and how it is talked to. The packages below
// it know one protocol each; nothing above it asks for an engine's name.
package engine

import (
	"context"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/runtime"
)

// Names of engines, as in the API.
const (
	Redis     = "redis"
	Valkey    = "valkey"
	Memcached = "memcached"
)

// Binary is an engine found on this host.
type Binary struct {
	// Engine is one of the names above.
	Engine string
	// Version is what the binary says, e.g. "7.0.15".
	Version string
	// Path is where it was found. It is not resolved: distributions make one
	// program of several names and look at the name it is called by.
	Path string
	// Capabilities differ between builds of one version.
	Capabilities Capabilities
}

// Capabilities are what a build of an engine can do.
type Capabilities struct {
	// TLS: built with TLS, which replication here needs.
	TLS bool
}

// Place is where one process runs.
type Place struct {
	// Socket is the path of the unix socket to listen on.
	Socket string
	// Scratch is a directory for Launch.Local, made anew for each process. It is not
	// on the disk that data and logs fill.
	Scratch string
	// Descriptors is the hard limit of open files.
	Descriptors int
	// Certificate is for the replication listener; zero where there is none.
	Certificate Certificate
}

// Certificate is an identity of the internal authority.
type Certificate struct {
	ChainPEM string
	KeyPEM   core.Secret
	CAPEM    string
}

// FirstFile is the descriptor under which a process finds the first of
// Launch.Files; the others follow it.
const FirstFile = 4

// Launch is how to start a process. What is secret is in Stdin and Files, never
// in Args.
type Launch struct {
	// Args are the arguments without the program's name.
	Args []string
	// Stdin is the whole standard input.
	Stdin []byte
	// Files are contents of files that exist in memory only.
	Files [][]byte
	// Local are files to be written to Place.Scratch, by name. Nothing in them is
	// secret.
	Local map[string][]byte
}

// Driver starts and opens the processes of one kind of engine. It is stateless.
type Driver interface {
	// Launch renders how b is started as n, with its users and its role in force
	// from the first moment. An error means that n cannot be served by b.
	Launch(b Binary, n *runtime.Node, p Place) (Launch, error)
	// Open connects to a running process as n's administrator and returns once
	// it has answered. It does not wait for a process that is not listening yet.
	Open(ctx context.Context, socket string, n *runtime.Node) (Session, error)
	// MoveSlots has a primary of a cluster of shards hand slots on to another, see
	// runtime.Runtime.
	MoveSlots(ctx context.Context, from, to Process, slots core.Slots) (moved core.Slots, err error)
}

// Process is where a running node can be talked to.
type Process struct {
	Socket string
	Node   *runtime.Node
}

// ForGood is a limit of Session.Hold that does not end while anybody waits.
const ForGood = 10 * 365 * 24 * time.Hour

// Session is a connection to one process, used by one goroutine at a time. After
// an error from Converge, Observe or Replicas that is not ErrBusy it must be closed.
type Session interface {
	// Converge makes role, users, settings and the listener for clients those of n
	// and reads them back. It may be repeated at will. refused says in sentences what
	// the engine would not take, which does not keep the rest from being done.
	Converge(ctx context.Context, n *runtime.Node) (s State, refused []string, err error)
	// Observe asks how the engine is.
	Observe(ctx context.Context) (State, error)
	// Replicas is of Observe only how many are connected: a sign of life that costs
	// little, for who asks many engines many times a second.
	Replicas(ctx context.Context) (int, error)
	// SetPace says how eagerly the engine shall do its chores.
	SetPace(ctx context.Context, p Pace) error
	// Hold makes writing clients of a primary wait, for so long from now if nobody lets
	// them go on before, and gives the state after that.
	Hold(ctx context.Context, limit time.Duration) (State, error)
	// Meet introduces the engine to a node that does not know its cluster yet. Such a
	// node learns from it where clients find the engine, which it would not from one
	// that it looks for itself.
	Meet(ctx context.Context, n runtime.ClusterNode) error
	// Misjudges reports whether the engine takes the node with this id in its cluster
	// for a replica. It misjudges nobody whom it does not know.
	Misjudges(ctx context.Context, primary string) (bool, error)
	// Acknowledge has a replica tell its primary now that it has the dataset. A
	// primary sends its writes only from then on; by itself a replica says so
	// up to a second later.
	Acknowledge(ctx context.Context) error
	// Shutdown asks the process to end without keeping anything. An error means
	// that it has to be killed.
	Shutdown(ctx context.Context) error
	Close() error
}

// Pace is how eagerly an engine does its chores.
type Pace int

// The paces: with nobody there, with clients or replicas, and while somebody waits
// for the engine to start or to sync.
const (
	Idle Pace = iota
	Serving
	Hurried
)

// State is what an engine says of itself.
type State struct {
	// Role is "master" or "slave"; empty where there is no replication.
	Role string
	// Primary is what a replica replicates from, LinkUp whether it is connected
	// to it and in sync. LinkUp of a primary in a cluster of shards says that the
	// cluster serves.
	Primary core.Endpoint
	LinkUp  bool
	// Unsettled: the node does not have its place in its cluster of shards yet. It
	// gets it by Converge, again and again.
	Unsettled bool
	// Stranded: it has lost its slots and kept their keys, with which it can follow
	// nobody. Only a new process can.
	Stranded bool
	// Strangers are the ids of nodes of its cluster that it does not know, or may not
	// know for what they are: they have to be made to Meet it.
	Strangers []string
	// Offset is the position in the stream of writes.
	Offset int64
	// UsedMemory in bytes.
	UsedMemory int64
	// OtherDatabases: there are keys in databases other than 0.
	OtherDatabases bool
	// Diverged: it has refused commands of a primary outside of its cluster.
	Diverged bool
	// Clients are the connections of clients.
	Clients int
	// Replicas are those connected.
	Replicas int
	// Online are the addresses, as advertised, of those replicas to which the
	// whole dataset was sent.
	Online []core.Endpoint
	// Lagging are those of them that are far behind, or have long not said how far
	// they are.
	Lagging []core.Endpoint
	// MaxClients is the most connections of clients that it takes.
	MaxClients int
	// Direct is where it listens for clients beside its unix socket; zero: nowhere.
	Direct core.Endpoint
}

// ErrBusy says that a process lives but answers nothing else for now: it loads a
// dataset or runs a script.
var ErrBusy = busyError{}

type busyError struct{}

func (busyError) Error() string { return "engine: busy" }

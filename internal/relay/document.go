package relay

import (
	"net/netip"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/dns"
	"github.com/larder-cache/larder/internal/relay/splice"
)

// Document is everything a relay shall do: a document is always the whole truth.
type Document struct {
	// Revision orders documents; an older one than that in force is refused.
	Revision  int64
	Listeners []Listener
	// Access is who may connect; it changes more often than the rest, and can be
	// replaced alone.
	Access Access
	// Resolvers answer for the names of endpoints.
	Resolvers []Resolver
}

// Resolver answers for a zone on some addresses.
type Resolver struct {
	// ID names the resolver; it is no listener's.
	ID string
	// Addresses name its sockets, UDP and TCP ones. None is a listener's.
	Addresses []string
	Zone      dns.Zone
}

// Access is who may connect, by Listener.VPC and Backend.Node.
type Access = splice.Access

// Listener is what clients of one endpoint get.
type Listener struct {
	// ID names the endpoint; unique in the document.
	ID string
	// Addresses are the IP:PORT pairs where clients connect. An address belongs
	// to one listener.
	Addresses []string
	// VPC is the network in which the listener's clients have addresses.
	VPC string
	// Source, if valid, is the address that every client of the listener has in
	// the VPC, wherever it comes from.
	Source netip.Addr
	// Backends are the engines that new connections are spread over; none means
	// that a client is reset at once.
	Backends []Backend
	// CutRemoved resets the connections to a backend that leaves Backends.
	CutRemoved bool
	TLS        TLS
	// MaxConns bounds the connections of one node, those that came through other
	// listeners included; 0 means no bound.
	MaxConns int
}

// Backend is one engine.
type Backend struct {
	// Node identifies the engine's node; a backend is the same one as long as
	// Node and Socket are.
	Node string
	// Socket is the path of the engine's unix socket.
	Socket string
	// Login, if set, is the password of the default user with which each new
	// connection is logged in before the client is let through.
	Login core.Secret
}

// TLS says what a listener speaks.
type TLS struct {
	// Mode is "" (plaintext), "preferred" (either, told by the first byte) or
	// "required".
	Mode string
	// ChainPEM and KeyPEM are the server's certificate; unused for mode "".
	ChainPEM string
	KeyPEM   core.Secret
}

// Hello is what a relay says of itself.
type Hello struct {
	PID int
	// Version identifies the executable, see BuildID.
	Version string
	// Revision is that of the document in force; 0 if there is none.
	Revision int64
	// Draining: the relay accepts no new connections and exits after the last.
	Draining bool
	// Addresses are the listening sockets that the relay holds, sorted.
	Addresses []string
	// Limit is how many connections the process can have at once, after its
	// limit of open files.
	Limit int
	// Connections is how many there are.
	Connections int
}

// ListenerStats counts what went through one listener since the relay started.
type ListenerStats struct {
	ID string
	// Open is the number of connections now; the others only grow. A client that
	// the policy does not admit is refused as soon as it is held.
	Open, Accepted, Refused int64
	// BytesIn went to the engines, BytesOut to the clients.
	BytesIn, BytesOut int64
}

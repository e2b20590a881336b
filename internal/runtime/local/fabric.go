package local

import (
	"context"
	"net/netip"

	"github.com/larder-cache/larder/internal/core"
	policy "github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/runtime"
)

// Fabric is the network in front of the engines: it listens on the endpoints'
// addresses and carries clients to the engines' unix sockets.
//
// What Apply is given is always the whole network, so that an endpoint left out is
// taken away. Apply may be repeated with what is in force, and is called by one
// goroutine at a time.
type Fabric interface {
	// Apply returns when the network is in force: a connection accepted later is
	// treated as it says. failed names the endpoints and instances (by ID) which could
	// not be brought about, with the reason, for example that the address is taken; the
	// others are in force all the same. err means that nothing is known to be in
	// force. The network must not be changed any more.
	Apply(ctx context.Context, n Network) (failed map[string]error, err error)
	// Namespace is the path of the network namespace in which the engines of a network
	// run: one that is in force, see Apply. "" is the namespace of this process, and
	// then an engine may be started before its endpoint is in force.
	Namespace(network string) string
	// Shutdown takes every endpoint away and ends whatever serves them.
	Shutdown(ctx context.Context) error
	// Close lets go of the fabric and leaves the endpoints served.
	Close() error
}

// Network is all that clients can reach, and who may.
type Network struct {
	Endpoints []Endpoint
	// World and Windows are those of runtime.Document.
	World   policy.World
	Windows map[string]policy.Window
	// Instances are those of runtime.Document.
	Instances []runtime.Instance
}

// VPCNames are the addresses of the endpoints' names inside the VPCs.
func (n Network) VPCNames() map[string][]netip.Addr {
	return n.names(func(e Endpoint) string { return e.VPC.Address })
}

// AdvertisedNames are the addresses of the endpoints' names as clients are told
// them. A name whose address is not IPv4 has none.
func (n Network) AdvertisedNames() map[string][]netip.Addr {
	return n.names(func(e Endpoint) string { return e.Advertised.Address })
}

func (n Network) names(address func(Endpoint) string) map[string][]netip.Addr {
	all := map[string][]netip.Addr{}
	for _, e := range n.Endpoints {
		var to []netip.Addr
		if a, err := netip.ParseAddr(address(e)); err == nil && a.Unmap().Is4() {
			to = []netip.Addr{a.Unmap()}
		}
		for _, name := range e.Names {
			all[name] = to
		}
	}
	return all
}

// Endpoint is one thing that clients connect to.
type Endpoint struct {
	// ID is runtime.Endpoint's.
	ID string
	// Network is the id of the VPC that the endpoint and its clients are in.
	Network string
	// VPC is the endpoint's address there.
	VPC core.Endpoint
	// Node is the node whose own address this is; empty for an endpoint that stands
	// for others.
	Node string
	// Listen are the addresses to listen on: the bound one, and the advertised
	// one where it differs.
	Listen []core.Endpoint
	// Advertised is where clients are told to connect, Names are DNS names for it.
	Advertised core.Endpoint
	Names      []string
	// Source is runtime.Endpoint's: the endpoint is a publication, which is listened
	// for on the host itself, and nowhere but at the address given.
	Source netip.Addr
	// Backends are what new connections are spread over. With none, a client is
	// reset at once.
	Backends []Backend
	// CutRemoved resets the connections to a backend that leaves Backends.
	CutRemoved bool
	TLS        runtime.TLS
	// MaxConns is the most client connections a backend takes; 0 means no limit.
	MaxConns int
}

// Backend is an engine that answers. Who may connect to its address in the VPC may
// connect to it, through whatever endpoint.
type Backend struct {
	// Node is the runtime.Node's ID, VPC its address and port in Endpoint.Network.
	Node string
	VPC  core.Endpoint
	// Socket is the path of the engine's unix socket.
	Socket string
	// Direct is where the engine listens for clients itself; zero: nowhere, and then
	// only the relay leads to it.
	Direct core.Endpoint
	// PID is the engine's process.
	PID int
	// Login, if set, is the password with which each new connection is logged in
	// as the default user before the client's bytes pass.
	Login core.Secret
}

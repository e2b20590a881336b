// Package rules makes the kernel of a VPC's namespace enforce a network policy:
// Compile turns a network.World into one nftables table, a value that can be
// printed and compared, Conn.Apply makes the namespace's table that value in one
// atomic batch, and Conn's cuts end flows that exist.
//
// The namespace holds the addresses of nodes and endpoints on its loopback
// interface; instances and the host come in over routed links, one interface
// each, so that every packet of theirs passes here. A packet meets, in this order:
//
//	arrive   segments of connections that exist go to their sockets
//	legal    what does not come from the address of its link is dropped
//	local    to the namespace itself: only what is declared
//	lead     what begins a connection to an endpoint, or to a node behind a relay, is
//	         handed to the listener of its target
//	ingress  the rules of the target's groups
//	egress   the rules of the sender's groups, unless nothing binds it
//	forward  to other instances: flows that are known, then the same rules
//
// Rules judge the port that the client dialled, and the node behind it. What
// nothing admits is dropped in silence. The whole is exact for each protocol and
// port: for a flow of a legal source it decides as network.Policy.Allows does.
//
// Of connections that begin or end here the kernel keeps no account but their sockets,
// and no packet is changed: what is known of one is its mark, see mark. The namespace
// needs the settings of package links for that.
package rules

import (
	"net/netip"

	"github.com/larder-cache/larder/internal/network"
)

// Inputs are what the rules of a VPC depend on beside the policy's World.
type Inputs struct {
	// Links are the interfaces of the namespace, by name, with the only address
	// that packets from there may come from.
	Links map[string]netip.Addr
	// Nodes is what may be dialled at all on the addresses of nodes. Other ports
	// stay closed there even if a group opens them.
	Nodes []Service
	// Endpoints are addresses of the namespace that stand for nodes.
	Endpoints []Endpoint
	// Inserted are the relays in front of nodes.
	Inserted []Insertion
	// Resolver is the address of the VPC's DNS server, which no group filters;
	// zero if it has none.
	Resolver netip.Addr
}

// Service is a port of a node. Protocol is TCP or UDP.
type Service struct {
	Protocol network.Protocol
	At       netip.AddrPort
}

// Endpoint is a TCP port whose new flows are carried by its targets in turn; they
// are nodes with their own ports. With no target, clients are reset at once.
type Endpoint struct {
	At      netip.AddrPort
	Targets []netip.AddrPort
}

// Insertion puts a relay in front of a node: TCP flows to Node, whether dialled
// there or carried by an endpoint, go to Relay, a port that nobody can dial.
type Insertion struct {
	Node, Relay netip.AddrPort
}

// Compile makes the table of a VPC. It is a function of its arguments alone; the
// order of anything in them has no meaning.
func Compile(w network.World, vpc string, in Inputs) *Table {
	var c Compiler
	return c.Compile(w, vpc, in)
}

// Package rules makes the kernel of a VPC's namespace enforce a network policy:
// Compile turns a network.World into one nftables table, a value that can be
// printed and compared, Conn.Apply makes the namespace's table that value in one
// atomic batch, and Conn.Cut ends flows that exist.
//
// The namespace holds the addresses of nodes and endpoints on its loopback
// interface; instances and the host come in over routed links, one interface
// each, so that every packet of theirs passes here. A packet meets, in this order:
//
//	sources    what does not come from the address of its link is dropped
//	translate  endpoints and inserted relays become the address behind them
//	egress     the rules of the sender's groups, unless nothing binds it
//	input      to nodes: only what is declared, then the ingress rules
//	forward    to other instances: the ingress rules
//
// Rules judge the port that the client dialled, and the node behind it. What
// nothing admits is dropped in silence. The whole is exact for each protocol and
// port: for a flow of a legal source it decides as network.Policy.Allows does.
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

// Package network decides who may connect to whom: VPCs, security groups and
// network interfaces are compiled into a Policy, which answers whether a flow is
// allowed and which rules say so. It is pure: it knows no store, no socket and
// no clock, and what enforces a decision is elsewhere.
//
// A flow passes four gates: there is a way from the source to the destination
// (both are addresses of one VPC), an interface has the destination, a rule of
// the source's groups lets it out, and a rule of the destination's groups lets it
// in. Rules only allow; replies to an allowed flow need no rule.
package network

import "net/netip"

// Protocol is an IP protocol number, or AnyProtocol.
type Protocol int

// The protocols that rules treat in their own way: TCP and UDP have ports, ICMP
// types and codes. All others match by number alone.
const (
	AnyProtocol Protocol = -1
	ICMP        Protocol = 1
	TCP         Protocol = 6
	UDP         Protocol = 17
	ICMPv6      Protocol = 58
)

// World is all that a policy depends on. Its order has no meaning.
type World struct {
	VPCs       []VPC
	Groups     []Group
	Interfaces []Interface
}

// VPC is a network. Its addresses mean nothing in another one.
type VPC struct {
	ID   string
	CIDR netip.Prefix
}

// Group is a security group of one VPC.
type Group struct {
	ID, VPC string
	Rules   []Rule
}

// Rule lets flows in, or out where Egress is set. The other end is either CIDR or
// the interfaces that are in Group.
type Rule struct {
	ID       string
	Egress   bool
	Protocol Protocol
	// From and To are the first and the last port. For ICMP they are type and
	// code, -1 for all. Other protocols ignore them.
	From, To int
	CIDR     netip.Prefix
	// Group is the id of a group of the same VPC; empty where CIDR counts.
	Group string
}

// Interface is one or more addresses of a VPC that share security groups.
type Interface struct {
	ID, VPC   string
	Addresses []netip.Addr
	Groups    []string
	// Passive interfaces begin no flows that rules are about, as those of nodes:
	// what a node connects to is its own cluster, which needs no rule. Rules for
	// egress do not bind them.
	Passive bool
}

// Flow is an attempt to connect.
type Flow struct {
	Protocol Protocol
	// SourceVPC and VPC are the networks of the two addresses.
	SourceVPC string
	Source    netip.Addr
	VPC       string
	// Destination is an address of an interface.
	Destination netip.Addr
	// Port is the destination port; of ICMP the type, with Code beside it.
	Port, Code int
}

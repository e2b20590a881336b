package network

import (
	"fmt"
	"strings"
)

// Gate is a place where a flow can be refused.
type Gate string

// The gates in the order in which a flow passes them. The zero value means that
// none refused.
const (
	GateRoute       Gate = "route"
	GateDestination Gate = "destination"
	GateEgress      Gate = "egress"
	GateIngress     Gate = "ingress"
)

// Reason says why a flow is allowed or refused.
type Reason struct {
	Flow Flow
	// Gate is where it was refused; empty if it was not.
	Gate Gate
	// Groups are those whose rules were searched in vain at the gate.
	Groups []string
	// Egress and Ingress are the ids of all rules that let the flow out of its
	// source and into its destination, sorted. Egress is empty where the source
	// is bound by no rules.
	Egress, Ingress []string
	// Tracked flows go on until they end by themselves when the rules that let
	// them in are removed; others are cut. It counts for allowed flows only.
	Tracked bool
}

// String is one sentence for people.
func (r Reason) String() string {
	f := r.Flow
	switch r.Gate {
	case GateRoute:
		return fmt.Sprintf("there is no way from %s in %s into %s", f.Source, orNone(f.SourceVPC), orNone(f.VPC))
	case GateDestination:
		return fmt.Sprintf("no interface of %s has the address %s", f.VPC, f.Destination)
	case GateEgress:
		return fmt.Sprintf("no outbound rule of %s admits %s to %s", list(r.Groups), f.what(), f.Destination)
	case GateIngress:
		return fmt.Sprintf("no inbound rule of %s admits %s from %s", list(r.Groups), f.what(), f.Source)
	}
	in := "let in by " + list(r.Ingress)
	if len(r.Egress) == 0 {
		return in
	}
	return "let out by " + list(r.Egress) + ", " + in
}

func (f Flow) what() string {
	switch f.Protocol {
	case TCP:
		return fmt.Sprintf("tcp port %d", f.Port)
	case UDP:
		return fmt.Sprintf("udp port %d", f.Port)
	case ICMP, ICMPv6:
		return fmt.Sprintf("icmp type %d code %d", f.Port, f.Code)
	}
	return fmt.Sprintf("protocol %d", f.Protocol)
}

func list(ids []string) string {
	if len(ids) == 0 {
		return "no group"
	}
	return strings.Join(ids, ", ")
}

func orNone(vpc string) string {
	if vpc == "" {
		return "no VPC"
	}
	return vpc
}

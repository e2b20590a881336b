package resource

import (
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/store"
)

// VPC is a virtual network of one region. Key: REGION/VPCID.
type VPC struct {
	Region, ID string
	// CIDR is the address range, e.g. "172.31.0.0/16".
	CIDR      string
	IsDefault bool
	// Window is N of the userspace fabric's 127.N.0.0/16, where clients connect;
	// 127.(N+1).0.0/16 is where the engines' replication listeners are. Windows
	// are even, 10 to 252, and unique over all regions of a deployment. 0 in the
	// kernel fabric, where things are bound to their addresses in the VPC.
	Window  int
	Subnets []Subnet
	Tags    map[string]string
	// DefaultSecurityGroup is the id of the group that every network interface
	// is in when none is named.
	DefaultSecurityGroup string
	// DNSHostnames is the attribute of that name; nil is true for a default VPC and
	// false for others.
	DNSHostnames *bool
}

// NetworkRegion is what is known of the network of a region as a whole. There is
// none before something out of the ordinary happened. Key: REGION.
type NetworkRegion struct {
	// NoDefaultVPC is set while the default VPC is deleted, so that it is not made
	// again by itself.
	NoDefaultVPC bool
}

// DefaultVPCDeleted reports whether the user deleted the default VPC of a region.
func DefaultVPCDeleted(r store.Reader, region string) bool {
	n, ok := NetworkRegions.Get(r, region)
	return ok && n.NoDefaultVPC
}

// Subnet is a part of a VPC in one zone.
type Subnet struct {
	ID, CIDR string
	// Zone is the zone's name, e.g. "us-east-1a"; ZoneID e.g. "use1-az1".
	Zone, ZoneID string
	DefaultForAZ bool
	Tags         map[string]string
}

// Address says who uses an address of a VPC, or an advertised port. It exists
// so that two creations cannot take the same one. Key: REGION/VPCID/IP, or
// ports/PORT.
type Address struct {
	// Owner is what the address was given to, e.g. "node us-east-1/rg-001/0001".
	Owner string
}

// Endpoint is one place where clients connect, with its three addresses. They
// may all be the same (kernel fabric) or all differ.
type Endpoint struct {
	// VPC is the private address in the subnet, which rules see; VPC.Port is the
	// engine's port that the user chose.
	VPC core.Endpoint
	// Bound is where something listens.
	Bound core.Endpoint
	// Advertised is what the API answers, and what certificates name.
	Advertised core.Endpoint
	// Names are DNS names of the endpoint that certificates name as well.
	Names []string
}

// IsZero reports whether there is no endpoint.
func (e Endpoint) IsZero() bool { return e.VPC.IsZero() && e.Advertised.IsZero() }

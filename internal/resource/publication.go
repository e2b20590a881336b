package resource

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Publication lets clients outside of a VPC reach a cache in it: an address of the host
// where whoever connects counts as one interface in the VPC, whose security groups the
// cache's have to let in. Key: REGION/ID.
type Publication struct {
	Region, ID string
	Created    time.Time
	// Endpoint is where it leads: "primary REGION/GROUP", "reader REGION/GROUP" or
	// "node REGION/CLUSTER/NODE". OwnerUID is that of the group or cluster, so that it
	// does not lead to a later one of the same name.
	Endpoint, OwnerUID string
	// Listen is IP:PORT on the host; the unspecified address is each of the host's.
	Listen string
	// Plaintext ends TLS here: clients outside speak none, whatever the cache wants.
	Plaintext bool
	// The interface in the VPC.
	VPCID, SubnetID, Zone string
	Address               string
	SecurityGroupIDs      []string
}

// Key is the publication's key in the store.
func (p *Publication) Key() string { return p.Region + "/" + p.ID }

// RuntimeID is the id of the publication's endpoint in the runtime.
func (p *Publication) RuntimeID() string { return "publication " + p.Key() }

// Interface is the publication's in the VPC.
func (p *Publication) Interface() NetworkInterface {
	sum := sha256.Sum256([]byte(p.Key()))
	return NetworkInterface{
		ID: "eni-" + hex.EncodeToString(sum[:])[:17], Region: p.Region, VPCID: p.VPCID, SubnetID: p.SubnetID, Zone: p.Zone,
		Address: p.Address, SecurityGroupIDs: p.SecurityGroupIDs, Created: p.Created,
	}
}

package resource

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/larder-cache/larder/internal/store"
)

// NetworkInterface is what connects a node to its subnet. It is not stored: it
// follows from the node's place in its cluster.
type NetworkInterface struct {
	// ID is the same for as long as the node exists.
	ID, Region, VPCID, SubnetID, Zone string
	// Address is the private address, which rules see.
	Address string
	// ClusterID and NodeID name the node.
	ClusterID, NodeID string
	SecurityGroupIDs  []string
	// CacheSecurityGroups are names; the interface has those instead in EC2-Classic.
	CacheSecurityGroups []string
	// Port is the one that the node listens on.
	Port    int
	Created time.Time
}

// NetworkInterfaces are the interfaces of all nodes of a region, in the order of
// their clusters and nodes.
func NetworkInterfaces(r store.Reader, region string) []NetworkInterface {
	home := map[string]string{}
	for _, v := range VPCs.List(r, region+"/") {
		for _, s := range v.Subnets {
			home[s.ID] = v.ID
		}
	}
	var out []NetworkInterface
	for _, c := range CacheClusters.List(r, region+"/") {
		for _, n := range c.Spec.Nodes {
			out = append(out, NetworkInterface{
				ID: interfaceID(c, n), Region: region, VPCID: home[n.SubnetID], SubnetID: n.SubnetID, Zone: n.Zone,
				Address: n.Endpoint.VPC.Address, ClusterID: c.ID, NodeID: n.ID,
				SecurityGroupIDs: c.Spec.SecurityGroupIDs, CacheSecurityGroups: c.Spec.CacheSecurityGroups,
				Port: c.Spec.Port, Created: n.Created,
			})
		}
	}
	return out
}

// interfaceID tells a node from one that has its name later.
func interfaceID(c *CacheCluster, n NodeSlot) string {
	sum := sha256.Sum256([]byte(c.UID + "/" + n.ID + "/" + n.Created.UTC().Format(time.RFC3339Nano)))
	return "eni-" + hex.EncodeToString(sum[:])[:17]
}

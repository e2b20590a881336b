package resource

import "time"

// TLSMode says whether clients must, may or cannot use TLS.
type TLSMode string

// The modes. The zero value is plaintext only.
const (
	TLSOff       TLSMode = ""
	TLSPreferred TLSMode = "preferred"
	TLSRequired  TLSMode = "required"
)

// CacheCluster is the API's view of a Redis or Valkey node, or of all nodes of
// a Memcached cluster. Members of a replication group are cache clusters too.
// Key: REGION/ID.
type CacheCluster struct {
	Region, ID string
	// UID is unique over time: a cluster made again under an old id has another.
	UID     string
	Created time.Time
	// Generation counts the operations that asked for work.
	Generation int64
	Spec       CacheClusterSpec
	Status     CacheClusterStatus
	Tags       map[string]string
}

// CacheClusterSpec is what is wanted. For a member of a replication group its
// shared fields are written by the operations of the group.
type CacheClusterSpec struct {
	// Engine is "redis", "valkey" or "memcached"; EngineVersion is the full
	// version as the API shows it, e.g. "7.0.7" or "1.6.17".
	Engine, EngineVersion string
	NodeType              string
	// ParameterGroup is the name of the group whose values are wanted.
	ParameterGroup string
	// SubnetGroup is empty in EC2-Classic.
	SubnetGroup      string
	SecurityGroupIDs []string
	// CacheSecurityGroups are names, at least one in EC2-Classic and none in a VPC.
	CacheSecurityGroups []string
	Port                int
	TLS                 TLSMode
	// ReplicationGroupID is empty for a cluster of its own.
	ReplicationGroupID string
	// Nodes are the nodes wanted, sorted by ID ("0001", ...).
	Nodes []NodeSlot
	// ConfigurationEndpoint is Memcached's.
	ConfigurationEndpoint Endpoint
	// MaintenanceWindow is "ddd:hh:mm-ddd:hh:mm", SnapshotWindow "hh:mm-hh:mm".
	MaintenanceWindow, SnapshotWindow string
	AutoMinorVersionUpgrade           bool
	// Program is the lowest version of the program that nodes shall run; empty for
	// whichever they were started with.
	Program string
	// Pending waits for the maintenance window, for a cluster of its own. What
	// waits for a member's is the group's.
	Pending Pending
	// Reboot maps node id to the number of reboots asked for so far.
	Reboot map[string]int
	// Change is what the latest operation began, which the derived status names
	// until the controller has observed it: "", "modifying" or "rebooting".
	Change string
	// Deleting is set once and never taken back.
	Deleting bool
}

// Classic reports whether the cluster is in EC2-Classic, not in a VPC.
func (s *CacheClusterSpec) Classic() bool { return len(s.CacheSecurityGroups) > 0 }

// NodeSlot is a place for a node of a cluster.
type NodeSlot struct {
	// ID is "0001" and up.
	ID       string
	Zone     string
	SubnetID string
	Endpoint Endpoint
	Created  time.Time
}

// CacheClusterStatus is what the controller has seen.
type CacheClusterStatus struct {
	// ObservedGeneration is the generation that is fully carried out.
	ObservedGeneration int64
	// Available is set when the cluster was available for the first time.
	Available *time.Time
	// Engine, EngineVersion and NodeType are those that all nodes ran with when the
	// cluster was last as it was wanted; empty before it was available.
	Engine, EngineVersion, NodeType string
	// NodeStatus maps node id to "creating", "available", "rebooting", "deleting".
	NodeStatus map[string]string
	// Recovering are the ids of nodes that are being brought back after their
	// process ended by itself, sorted.
	Recovering []string
	// Mute are the ids of nodes of which an event has told that they do not answer,
	// sorted.
	Mute []string
	// ParameterGroup is the group whose values the nodes run with, and
	// ParameterValues are those that the user had changed in it;
	// ParameterApplyStatus is "in-sync", "applying" or "pending-reboot".
	ParameterGroup       string
	ParameterValues      map[string]string
	ParameterApplyStatus string
	// NodesToReboot are the ids of nodes whose static parameters differ.
	NodesToReboot []string
	// Failure says in one sentence why the cluster cannot be made as wanted.
	Failure string
}

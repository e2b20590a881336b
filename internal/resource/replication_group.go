package resource

import (
	"time"

	"github.com/larder-cache/larder/internal/core"
)

// ReplicationGroup is a primary and its replicas under one id. What its members
// have in common (engine, node type, parameters, ports, TLS) is written to each
// member's CacheCluster record in the same transaction. Key: REGION/ID.
type ReplicationGroup struct {
	Region, ID string
	// UID is unique over time; hidden passwords are derived from it.
	UID        string
	Created    time.Time
	Generation int64
	Spec       ReplicationGroupSpec
	Status     ReplicationGroupStatus
	Tags       map[string]string
}

// ReplicationGroupSpec is what is wanted.
type ReplicationGroupSpec struct {
	Description string
	Engine      string
	// Members are cache cluster ids in order of creation; Members[0] is the
	// first primary.
	Members []string
	// Shards is how a group in cluster mode divides its members and the slots; it
	// is empty for a group without cluster mode, which is one shard as a whole.
	Shards []Shard
	// Compatible: a group in cluster mode, of one shard, has the endpoints of one
	// without it as well.
	Compatible bool
	// ModeChange is nil but while the group moves to another cluster mode.
	ModeChange *ModeChange
	// Resharding is nil but while slots move from shard to shard.
	Resharding        *Resharding
	AutomaticFailover bool
	MultiAZ           bool
	TLS               TLSMode
	// TLSBefore was the mode before the latest change of TLS, which is carried
	// out when the generation TLSGeneration is observed.
	TLSBefore     TLSMode
	TLSGeneration int64
	Auth          Auth
	// PrimaryEndpoint follows the writer, ReaderEndpoint spreads over replicas.
	PrimaryEndpoint, ReaderEndpoint Endpoint
	// ConfigurationEndpoint leads to any node of a group in cluster mode, which has
	// neither of the other two unless it is Compatible.
	ConfigurationEndpoint Endpoint
	// Handover asks for another primary; nil once there is one, or the attempt
	// was given up.
	Handover *Handover
	// TestFailovers are the times of the TestFailover calls of the last day.
	TestFailovers []time.Time
	// Pending waits for the maintenance window.
	Pending Pending
	// Change: see CacheClusterSpec.Change.
	Change string
	// Deleting is set once. RetainPrimary keeps the primary as a cluster of its
	// own.
	Deleting, RetainPrimary bool
}

// ReplicationGroupStatus is what the controller has seen and decided.
type ReplicationGroupStatus struct {
	ObservedGeneration int64
	Available          *time.Time
	// Primary is the cache cluster id of the member that is, or shall become,
	// the one that takes writes; empty in cluster mode unless Compatible. The primary endpoint leads there as soon as
	// the node itself reports that role.
	Primary string
	// FailoverFrom is the member that Primary takes over from, until Primary
	// reports its role.
	FailoverFrom string
	// HandoverSince is when writes began to be held for the primary to change
	// over without losing any; nil while nobody has to wait.
	HandoverSince *time.Time
	// Shards has the three fields above for each shard of a group in cluster mode,
	// in the order of their ids.
	Shards []ShardStatus
	// AutomaticFailover is what has been announced last.
	AutomaticFailover bool
	// Failure says why the group cannot be made; it makes "create-failed" of a
	// group that was never available.
	Failure string
}

// Handover is a planned change of the primary.
type Handover struct {
	// From is the primary that was found, To the one to come: empty for whichever
	// replica is ready.
	From, To string
	// Test marks a call of TestFailover: the old primary is told of as recovered.
	Test bool
}

// Endpoints are the endpoints of the group as a whole; those it has not are zero.
func (s *ReplicationGroupSpec) Endpoints() []Endpoint {
	return []Endpoint{s.PrimaryEndpoint, s.ReaderEndpoint, s.ConfigurationEndpoint}
}

// Auth is the state machine of AUTH tokens: at most two credentials, newest
// last.
type Auth struct {
	Credentials []Credential
	// Change is "ROTATING" or "SETTING" until the engines have it; then "".
	Change string
	// Modified is when the credentials last changed; nil if never.
	Modified *time.Time
}

// Credential is one way to be let in.
type Credential struct {
	// None means: without authentication. Digest is empty then.
	None bool
	// Digest is the sealed hexadecimal SHA-256 of the token, which is all an
	// engine needs; the token itself is not kept.
	Digest core.Sealed
}

// Enabled reports whether any token is valid: AuthTokenEnabled of the API.
func (a Auth) Enabled() bool {
	for _, c := range a.Credentials {
		if !c.None {
			return true
		}
	}
	return false
}

// Optional reports the state [NONE, A]: a token works, and so does none.
func (a Auth) Optional() bool {
	none := len(a.Credentials) == 0
	for _, c := range a.Credentials {
		none = none || c.None
	}
	return none && a.Enabled()
}

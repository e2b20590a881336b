// Package step holds the small changes that the plans of the cluster and group
// controllers are made of. A plan is a list of steps: it can be printed and
// compared, and is carried out in one transaction or not at all.
package step

import (
	"fmt"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// Step is one change of the store.
type Step interface {
	// String says what changes, on one line and without secrets.
	String() string
	apply(tx *store.Tx, c *commit)
}

// commit is what the steps of one transaction share.
type commit struct {
	now  time.Time
	uid  string
	made int
}

// nextUID is unique over time. It is a function of what was made outside the
// transaction, which may be run again.
func (c *commit) nextUID() string {
	c.made++
	return fmt.Sprintf("%s%02d", c.uid, c.made)
}

// Apply makes all changes of a plan. now and uid come from outside the
// transaction; uid is unique over time and begins the ids of what is made.
func Apply(tx *store.Tx, now time.Time, uid string, plan []Step) {
	c := &commit{now: now, uid: uid}
	for _, s := range plan {
		s.apply(tx, c)
	}
}

// Print is the plan, one step a line.
func Print(plan []Step) string {
	var b strings.Builder
	for _, s := range plan {
		b.WriteString(s.String() + "\n")
	}
	return b.String()
}

// CreateNode makes the record of a node.
type CreateNode struct {
	Region, ClusterID, ID string
	Spec                  resource.NodeSpec
}

func (s CreateNode) String() string {
	role := "primary"
	if s.Spec.ReplicaOf != "" {
		role = "replica of " + s.Spec.ReplicaOf
	}
	return fmt.Sprintf("create node %s/%s/%s: %s", s.Region, s.ClusterID, s.ID, role)
}

func (s CreateNode) apply(tx *store.Tx, c *commit) {
	n := &resource.Node{Region: s.Region, ClusterID: s.ClusterID, ID: s.ID, UID: c.nextUID(), Spec: s.Spec}
	resource.Nodes.Put(tx, n.Key(), n)
}

// ChangeNode gives a node another spec. Changes say what differs.
type ChangeNode struct {
	Key     string
	Spec    resource.NodeSpec
	Changes []string
}

func (s ChangeNode) String() string { return "node " + s.Key + ": " + strings.Join(s.Changes, ", ") }

func (s ChangeNode) apply(tx *store.Tx, _ *commit) {
	if n, ok := resource.Nodes.Get(tx, s.Key); ok {
		n.Spec = s.Spec
		resource.Nodes.Put(tx, s.Key, n)
	}
}

// RemoveNode removes the record of a node that is gone.
type RemoveNode struct{ Key string }

func (s RemoveNode) String() string { return "remove node " + s.Key }

func (s RemoveNode) apply(tx *store.Tx, _ *commit) { resource.Nodes.Delete(tx, s.Key) }

// ReleaseAddress frees an address of a VPC or an advertised port.
type ReleaseAddress struct{ Key string }

func (s ReleaseAddress) String() string { return "release " + s.Key }

func (s ReleaseAddress) apply(tx *store.Tx, _ *commit) { resource.Addresses.Delete(tx, s.Key) }

// Release are the steps that free an endpoint of a VPC.
func Release(region, vpcID string, e resource.Endpoint) []Step {
	if e.IsZero() {
		return nil
	}
	steps := []Step{ReleaseAddress{Key: region + "/" + vpcID + "/" + e.VPC.Address}}
	if e.Advertised != e.Bound {
		steps = append(steps, ReleaseAddress{Key: fmt.Sprintf("ports/%d", e.Advertised.Port)})
	}
	return steps
}

// ChangeClusterStatus replaces the status of a cluster.
type ChangeClusterStatus struct {
	Key     string
	Status  resource.CacheClusterStatus
	Changes []string
}

func (s ChangeClusterStatus) String() string {
	return "cluster " + s.Key + ": " + strings.Join(s.Changes, ", ")
}

func (s ChangeClusterStatus) apply(tx *store.Tx, _ *commit) {
	if c, ok := resource.CacheClusters.Get(tx, s.Key); ok {
		c.Status = s.Status
		resource.CacheClusters.Put(tx, s.Key, c)
	}
}

// DetachCluster makes a cluster of its own of a member of a group.
type DetachCluster struct{ Key string }

func (s DetachCluster) String() string { return "detach cluster " + s.Key }

func (s DetachCluster) apply(tx *store.Tx, _ *commit) {
	if c, ok := resource.CacheClusters.Get(tx, s.Key); ok {
		c.Spec.ReplicationGroupID = ""
		resource.CacheClusters.Put(tx, s.Key, c)
	}
}

// RemoveCluster removes the record of a cluster without nodes.
type RemoveCluster struct{ Key string }

func (s RemoveCluster) String() string { return "remove cluster " + s.Key }

func (s RemoveCluster) apply(tx *store.Tx, _ *commit) { resource.CacheClusters.Delete(tx, s.Key) }

// ChangeGroupStatus replaces the status of a replication group.
type ChangeGroupStatus struct {
	Key     string
	Status  resource.ReplicationGroupStatus
	Changes []string
}

func (s ChangeGroupStatus) String() string {
	return "group " + s.Key + ": " + strings.Join(s.Changes, ", ")
}

func (s ChangeGroupStatus) apply(tx *store.Tx, _ *commit) {
	if g, ok := resource.ReplicationGroups.Get(tx, s.Key); ok {
		g.Status = s.Status
		resource.ReplicationGroups.Put(tx, s.Key, g)
	}
}

// FinishAuth records that every node has the group's tokens.
type FinishAuth struct{ Key string }

func (s FinishAuth) String() string { return "group " + s.Key + ": tokens are in force" }

func (s FinishAuth) apply(tx *store.Tx, c *commit) {
	if g, ok := resource.ReplicationGroups.Get(tx, s.Key); ok {
		g.Spec.Auth.Change = ""
		g.Spec.Auth.Modified = core.Ptr(c.now)
		resource.ReplicationGroups.Put(tx, s.Key, g)
	}
}

// FinishHandover records that there is nothing left to do of a planned change of
// the primary: that of a shard, or of a group without cluster mode.
type FinishHandover struct{ Key, Shard string }

func (s FinishHandover) String() string {
	if s.Shard != "" {
		return "group " + s.Key + ": handover of shard " + s.Shard + " is over"
	}
	return "group " + s.Key + ": handover is over"
}

func (s FinishHandover) apply(tx *store.Tx, _ *commit) {
	g, ok := resource.ReplicationGroups.Get(tx, s.Key)
	if !ok {
		return
	}
	if sh := g.Spec.Shard(s.Shard); sh != nil {
		sh.Handover = nil
	} else {
		g.Spec.Handover = nil
	}
	resource.ReplicationGroups.Put(tx, s.Key, g)
}

// RemoveGroup removes the record of a replication group.
type RemoveGroup struct{ Key string }

func (s RemoveGroup) String() string { return "remove group " + s.Key }

func (s RemoveGroup) apply(tx *store.Tx, _ *commit) { resource.ReplicationGroups.Delete(tx, s.Key) }

// RemoveCertificate removes a server certificate and its key.
type RemoveCertificate struct{ Key string }

func (s RemoveCertificate) String() string { return "remove certificate " + s.Key }

func (s RemoveCertificate) apply(tx *store.Tx, _ *commit) { resource.Certificates.Delete(tx, s.Key) }

// RecordEvent tells users of the API what happened.
type RecordEvent struct {
	Region, SourceType, SourceID string
	Message                      string
}

func (s RecordEvent) String() string {
	return fmt.Sprintf("event %s %s: %s", s.SourceType, s.SourceID, s.Message)
}

func (s RecordEvent) apply(tx *store.Tx, c *commit) {
	resource.RecordEvent(tx, resource.Event{
		Region: s.Region, UID: c.nextUID(), Time: c.now,
		SourceType: s.SourceType, SourceID: s.SourceID, Message: s.Message,
	})
}

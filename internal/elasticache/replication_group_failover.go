package elasticache

import (
	"context"
	"slices"
	"strings"
	"time"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// How many node groups of a region TestFailover may be called for in any day.
const (
	maxTestFailovers   = 15
	testFailoverPeriod = 24 * time.Hour
)

// TestFailover makes a replica the primary, as if the primary were lost.
func (s *Service) TestFailover(ctx context.Context, in *wire.TestFailoverMessage) (*wire.TestFailoverResult, error) {
	id, err := replicationGroupID(in.ReplicationGroupId)
	if err != nil {
		return nil, err
	}
	now, uid := s.clock.Now(), s.newID()
	var out *wire.ReplicationGroup
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		g, _, err := loadGroup(tx, region(ctx), id)
		if err != nil {
			return err
		}
		shard := core.Val(in.NodeGroupId)
		sh := shardNamed(g, shard)
		switch {
		case sh == nil:
			return errNodeGroupNotFound(shard, id)
		case groupStatus(g) != statusAvailable:
			return errReplicationGroupState("Replication group %s is not in available state.", id)
		case !g.Spec.AutomaticFailover || len(sh.Members) < 2:
			return errTestFailoverNotAvailable(id)
		case testFailovers(tx, g.Region, now) >= maxTestFailovers:
			return errTestFailoverRate()
		}
		g.Spec.TestFailovers = append(recent(g.Spec.TestFailovers, now), now)
		if handover := (&resource.Handover{From: shardPrimary(g, sh), Test: true}); g.Spec.ClusterMode() {
			sh.Handover = handover
		} else {
			g.Spec.Handover = handover
		}
		beginGroupChange(g)
		resource.ReplicationGroups.Put(tx, key(g.Region, g.ID), g)
		resource.RecordEvent(tx, resource.Event{
			Region: g.Region, UID: uid, Time: now, SourceType: resource.SourceReplicationGroup, SourceID: g.ID,
			Message: "Test Failover API called for node group " + shard,
		})
		out = s.wireGroup(tx, g)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &wire.TestFailoverResult{ReplicationGroup: out}, nil
}

// testFailovers counts the calls of the day before now.
func testFailovers(r store.Reader, region string, now time.Time) (n int) {
	for _, g := range resource.ReplicationGroups.List(r, region+"/") {
		n += len(recent(g.Spec.TestFailovers, now))
	}
	return n
}

// recent are those of a day before now. One after now is of a clock that was set back
// since, and nobody knows when it was.
func recent(times []time.Time, now time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(times), func(t time.Time) bool { return t.After(now) || now.Sub(t) >= testFailoverPeriod })
}

// promotion makes the replica that was named the primary. Which one it is, is the
// user's to say only where nobody else decides it.
func (e *groupEdit) promotion() error {
	if !not(e.in.PrimaryClusterId, groupPrimary(e.g)) {
		return nil
	}
	to := strings.ToLower(*e.in.PrimaryClusterId)
	switch {
	case e.g.Spec.ClusterMode():
		return errInvalidCombination("The parameter PrimaryClusterId cannot be used for a replication group with cluster mode enabled.")
	case e.g.Spec.AutomaticFailover:
		return errReplicationGroupState("Cannot manually promote a new master cache cluster while autofailover is enabled")
	case !slices.Contains(e.g.Spec.Members, to):
		return errInvalidValue("The parameter PrimaryClusterId names %s, which is not a member of replication group %s.", to, e.g.ID)
	}
	e.g.Spec.Handover = &resource.Handover{From: groupPrimary(e.g), To: to}
	e.needsWork(true)
	return nil
}

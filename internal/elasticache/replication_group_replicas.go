package elasticache

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// IncreaseReplicaCount adds replicas to a group.
func (s *Service) IncreaseReplicaCount(ctx context.Context, in *wire.IncreaseReplicaCountMessage) (*wire.IncreaseReplicaCountResult, error) {
	want, err := wantedReplicas(in.NewReplicaCount, in.ReplicaConfiguration, in.ApplyImmediately)
	if err != nil {
		return nil, err
	}
	if len(want) == 0 {
		return nil, errReplicaCountMissing("NewReplicaCount or ReplicaConfiguration")
	}
	now := s.clock.Now()
	var uids []string
	for range s.groupNodes {
		uids = append(uids, s.newID())
	}
	g, err := s.changeReplicas(ctx, in.ReplicationGroupId, func(e *replicaEdit) error {
		left := uids
		return e.each(want, func(s *shardEdit, t replicaTarget) error {
			more, err := s.increase(t, now, left)
			left = left[more:]
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return &wire.IncreaseReplicaCountResult{ReplicationGroup: g}, nil
}

// DecreaseReplicaCount removes replicas from a group: those that are named, or as
// many as are too many.
func (s *Service) DecreaseReplicaCount(ctx context.Context, in *wire.DecreaseReplicaCountMessage) (*wire.DecreaseReplicaCountResult, error) {
	want, err := wantedReplicas(in.NewReplicaCount, in.ReplicaConfiguration, in.ApplyImmediately)
	if err != nil {
		return nil, err
	}
	if (len(want) == 0) == (len(in.ReplicasToRemove) == 0) {
		return nil, errReplicaCountMissing("NewReplicaCount, ReplicaConfiguration or ReplicasToRemove")
	}
	g, err := s.changeReplicas(ctx, in.ReplicationGroupId, func(e *replicaEdit) error {
		if len(want) == 0 {
			return e.removeNamed(in.ReplicasToRemove)
		}
		return e.each(want, (*shardEdit).decrease)
	})
	if err != nil {
		return nil, err
	}
	return &wire.DecreaseReplicaCountResult{ReplicationGroup: g}, nil
}

// replicaTarget is how many replicas a shard shall have and, if zones were given, in
// which zones all its nodes are then, the primary included. No shard means each.
type replicaTarget struct {
	shard string
	count int
	zones []string
}

// wantedReplicas reads the two ways to say how many replicas there shall be; none
// if neither was used.
func wantedReplicas(count *int, shards []*wire.ConfigureShard, immediately *bool) ([]replicaTarget, error) {
	var want []replicaTarget
	switch {
	case !core.Val(immediately):
		return nil, errApplyImmediately("the number of replicas")
	case count != nil && len(shards) > 0:
		return nil, errInvalidCombination("The parameters NewReplicaCount and ReplicaConfiguration cannot be used together.")
	case count != nil:
		want = []replicaTarget{{count: *count}}
	}
	for _, shard := range shards {
		if shard == nil {
			return nil, errMissing("NodeGroupId")
		}
		if len(shard.PreferredOutpostArns) > 0 {
			return nil, errNotServed("ReplicaConfiguration.PreferredOutpostArns")
		}
		t := replicaTarget{core.Val(shard.NodeGroupId), core.Val(shard.NewReplicaCount), shard.PreferredAvailabilityZones}
		if slices.ContainsFunc(want, func(o replicaTarget) bool { return o.shard == t.shard }) {
			return nil, errInvalidValue("The parameter ReplicaConfiguration names node group %s twice.", t.shard)
		}
		want = append(want, t)
	}
	for _, t := range want {
		if t.count < 0 || t.count > maxReplicas {
			return nil, errInvalidValue("The parameter NewReplicaCount must be between 0 and %d.", maxReplicas)
		}
		if len(t.zones) > 0 && len(t.zones) != t.count+1 {
			return nil, errInvalidValue("The parameter PreferredAvailabilityZones must name %d availability zones: "+
				"one for each replica, and that of the primary.", t.count+1)
		}
	}
	return want, nil
}

// changeReplicas loads a group that may be changed, lets edit change it, and
// answers it as it then is.
func (s *Service) changeReplicas(ctx context.Context, groupID *string, edit func(*replicaEdit) error) (*wire.ReplicationGroup, error) {
	id, err := replicationGroupID(groupID)
	if err != nil {
		return nil, err
	}
	var out *wire.ReplicationGroup
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		g, members, err := loadGroup(tx, region(ctx), id)
		if err != nil {
			return err
		}
		if groupStatus(g) != statusAvailable {
			return errReplicationGroupState("Replication group must be in available state to modify.")
		}
		if g.Spec.Compatible {
			return errModeCompatible("The number of replicas")
		}
		if err := edit(&replicaEdit{service: s, tx: tx, g: g, members: members}); err != nil {
			return err
		}
		beginGroupChange(g)
		resource.ReplicationGroups.Put(tx, key(g.Region, g.ID), g)
		out = s.wireGroup(tx, g)
		return nil
	})
	return out, err
}

// replicaEdit is one change of the number of replicas under way in a transaction.
type replicaEdit struct {
	service *Service
	tx      *store.Tx
	g       *resource.ReplicationGroup
	members []*resource.CacheCluster
}

// shardEdit is the part of it that is about one shard; members are the shard's.
type shardEdit struct {
	*replicaEdit
	shard   *resource.Shard
	members []*resource.CacheCluster
}

// shards are the parts for all shards of the group.
func (e *replicaEdit) shards() (all []*shardEdit) {
	if !e.g.Spec.ClusterMode() {
		return []*shardEdit{{e, shardNamed(e.g, onlyShard), e.members}}
	}
	for i := range e.g.Spec.Shards {
		s := &shardEdit{replicaEdit: e, shard: &e.g.Spec.Shards[i]}
		for _, c := range e.members {
			if slices.Contains(s.shard.Members, c.ID) {
				s.members = append(s.members, c)
			}
		}
		all = append(all, s)
	}
	return all
}

// each changes the shards that targets are about. Those that have the number
// already are left alone, unless all have it.
func (e *replicaEdit) each(targets []replicaTarget, change func(*shardEdit, replicaTarget) error) error {
	shards := e.shards()
	changed := false
	for _, t := range targets {
		if t.shard != "" && shardNamed(e.g, t.shard) == nil {
			return errInvalidValue("The parameter NodeGroupId names %s, which is no node group of replication group %s.", t.shard, e.g.ID)
		}
		for _, s := range shards {
			if t.shard != "" && t.shard != s.shard.ID || len(s.members) == t.count+1 {
				continue
			}
			if err := change(s, t); err != nil {
				return err
			}
			changed = true
		}
	}
	if !changed {
		return errNoOperation()
	}
	e.regroup(shards)
	if quota := e.service.groupNodes; len(e.g.Spec.Members) > quota {
		return errNodeQuota(quota)
	}
	return nil
}

// regroup has the group list the members that its shards have now.
func (e *replicaEdit) regroup(shards []*shardEdit) {
	e.g.Spec.Members = nil
	for _, s := range shards {
		e.g.Spec.Members = append(e.g.Spec.Members, s.shard.Members...)
	}
}

// increase adds replicas: in the zones that were named beyond those that the
// nodes are in, or else where there are fewest.
func (e *shardEdit) increase(want replicaTarget, now time.Time, uids []string) (more int, err error) {
	more = want.count + 1 - len(e.members)
	if more < 0 {
		return 0, errInvalidValue("The parameter NewReplicaCount must be greater than the current number of replicas, %d.", len(e.members)-1)
	}
	asked, missing := zonesBeyond(want.zones, e.members)
	if len(want.zones) > 0 && len(missing) > 0 {
		return 0, errInvalidValue("The parameter PreferredAvailabilityZones must name the availability zones of the nodes "+
			"that there are, also %s.", missing[0])
	}
	site, err := e.site()
	if err != nil {
		return 0, err
	}
	for i := range more {
		zone := ""
		if len(asked) > 0 {
			zone = asked[i]
		}
		if zone, err = replicaZone(site.placement, e.members, zone); err != nil {
			return 0, err
		}
		c := &resource.CacheCluster{
			Region: e.g.Region, ID: e.freeMemberID(), UID: uids[i], Created: now,
			Generation: 1, Spec: joinSpec(e.members[0].Spec), Tags: maps.Clone(e.g.Tags),
		}
		if err := site.addMember(c, e.g.ID, zone); err != nil {
			return 0, err
		}
		resource.CacheClusters.Put(e.tx, key(c.Region, c.ID), c)
		e.members = append(e.members, c)
		e.shard.Members = append(e.shard.Members, c.ID)
	}
	return more, nil
}

func (e *replicaEdit) site() (site, error) {
	vpc, subnets, err := e.service.subnetsOf(e.tx, e.g.Region, e.members[0].Spec.SubnetGroup)
	if err != nil {
		return site{}, err
	}
	return e.service.siteOf(e.tx, vpc, subnets), nil
}

// freeMemberID is the first id of the form GROUP-NNN, or GROUP-SHARD-NNN, that no
// cluster has.
func (e *shardEdit) freeMemberID() string {
	begin := e.g.ID
	if e.g.Spec.ClusterMode() {
		begin += "-" + e.shard.ID
	}
	for n := 1; ; n++ {
		id := memberID(begin, n)
		if _, taken := resource.CacheClusters.Get(e.tx, key(e.g.Region, id)); !taken {
			return id
		}
	}
}

// memberID is the id of the n-th member that was made for a group, from 1.
func memberID(group string, n int) string { return fmt.Sprintf("%s-%03d", group, n) }

// zonesBeyond are the zones that were named beyond those that members are in, and
// those that members are in beyond those that were named.
func zonesBeyond(named []string, members []*resource.CacheCluster) (more, missing []string) {
	more = slices.Clone(named)
	for _, m := range members {
		zone := m.Spec.Nodes[0].Zone
		if i := slices.Index(more, zone); i >= 0 {
			more = slices.Delete(more, i, i+1)
		} else {
			missing = append(missing, zone)
		}
	}
	return more, missing
}

package elasticache

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// ModifyReplicationGroupShardConfiguration adds shards to a group in cluster mode,
// removes some, or spreads the slots evenly over those that there are.
func (s *Service) ModifyReplicationGroupShardConfiguration(ctx context.Context, in *wire.ModifyReplicationGroupShardConfigurationMessage) (*wire.ModifyReplicationGroupShardConfigurationResult, error) {
	id, err := replicationGroupID(in.ReplicationGroupId)
	if err != nil {
		return nil, err
	}
	if !core.Val(in.ApplyImmediately) {
		return nil, errApplyImmediately("the node groups")
	}
	now := s.clock.Now()
	var uids []string
	for range s.groupNodes {
		uids = append(uids, s.newID())
	}
	var out *wire.ReplicationGroup
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		g, members, err := loadGroup(tx, region(ctx), id)
		if err != nil {
			return err
		}
		switch {
		case !g.Spec.ClusterMode():
			return errClusterModeOnly()
		case groupStatus(g) != statusAvailable:
			return errReplicationGroupState("Replication group must be in available state to modify.")
		case g.Spec.Compatible:
			return errModeCompatible("The number of node groups")
		}
		e := &reshardEdit{replicaEdit: &replicaEdit{service: s, tx: tx, g: g, members: members}, in: in, now: now, uids: uids}
		if err := e.apply(); err != nil {
			return err
		}
		beginGroupChange(g)
		resource.ReplicationGroups.Put(tx, key(g.Region, g.ID), g)
		out = s.wireGroup(tx, g)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &wire.ModifyReplicationGroupShardConfigurationResult{ReplicationGroup: out}, nil
}

// reshardEdit is one change of the shards under way in a transaction.
type reshardEdit struct {
	*replicaEdit
	in   *wire.ModifyReplicationGroupShardConfigurationMessage
	now  time.Time
	uids []string
}

func (e *reshardEdit) apply() error {
	have, want := len(e.g.Spec.Shards), core.Val(e.in.NodeGroupCount)
	naming := len(e.in.NodeGroupsToRemove) + len(e.in.NodeGroupsToRetain)
	switch {
	case want < 1:
		return errInvalidValue("The parameter NodeGroupCount must be at least 1.")
	case want > e.service.groupNodes:
		return errShardQuota(e.service.groupNodes)
	case want >= have && naming > 0:
		return errInvalidCombination("The parameters NodeGroupsToRemove and NodeGroupsToRetain need a NodeGroupCount below the current number of node groups, %d.", have)
	case want <= have && len(e.in.ReshardingConfiguration) > 0:
		return errInvalidCombination("The parameter ReshardingConfiguration needs a NodeGroupCount above the current number of node groups, %d.", have)
	}
	staying := slices.Clone(e.g.Spec.Shards)
	switch {
	case want > have:
		if err := e.grow(want - have); err != nil {
			return err
		}
		staying = slices.Clone(e.g.Spec.Shards)
	case want < have:
		var err error
		if staying, err = e.staying(want); err != nil {
			return err
		}
	}
	target := balance(e.g.Spec.Shards, staying)
	r := &resource.Resharding{Target: target}
	if r.Slots = r.Left(e.g.Spec.Shards); r.Slots == 0 && want == have {
		return errReplicationGroupState("Slots in the replication group are uniformly distributed. Nothing to do.")
	}
	e.g.Spec.Resharding = r
	return nil
}

// staying are the shards that are not to be removed.
func (e *reshardEdit) staying(want int) ([]resource.Shard, error) {
	remove, retain := e.in.NodeGroupsToRemove, e.in.NodeGroupsToRetain
	if (len(remove) > 0) == (len(retain) > 0) {
		return nil, errInvalidCombination("Exactly one of the parameters NodeGroupsToRemove and NodeGroupsToRetain must be provided to remove node groups.")
	}
	named := map[string]bool{}
	for _, id := range slices.Concat(remove, retain) {
		switch {
		case e.g.Spec.Shard(id) == nil:
			return nil, errInvalidValue("Node group %s is not part of replication group %s.", id, e.g.ID)
		case named[id]:
			return nil, errInvalidValue("Node group %s is named twice.", id)
		}
		named[id] = true
	}
	var staying []resource.Shard
	for _, sh := range e.g.Spec.Shards {
		if named[sh.ID] == (len(retain) > 0) {
			staying = append(staying, sh)
		}
	}
	if len(staying) != want {
		return nil, errInvalidCombination("The NodeGroupCount is %d, but %d node groups would be left.", want, len(staying))
	}
	return staying, nil
}

// grow adds shards without slots, each with as many nodes as the smallest one has.
func (e *reshardEdit) grow(more int) error {
	nodes := maxReplicas + 1
	last := 0
	for _, sh := range e.g.Spec.Shards {
		nodes = min(nodes, len(sh.Members))
		n, _ := strconv.Atoi(sh.ID)
		last = max(last, n)
	}
	if quota := e.service.groupNodes; len(e.members)+more*nodes > quota {
		return errNodeQuota(quota)
	}
	if n := len(e.in.ReshardingConfiguration); n > 0 && n != more {
		return errInvalidCombination("The parameter ReshardingConfiguration must have an entry for each of the %d new node groups.", more)
	}
	site, err := e.site()
	if err != nil {
		return err
	}
	for i := range more {
		sh := resource.Shard{ID: shardID(last + 1 + i)}
		var asked []string
		if len(e.in.ReshardingConfiguration) > 0 {
			if asked, err = e.configured(i, &sh, nodes); err != nil {
				return err
			}
		}
		zones, err := site.placement.spread(asked, len(e.g.Spec.Shards), nodes)
		if err != nil {
			return err
		}
		for n := range nodes {
			c := &resource.CacheCluster{
				Region: e.g.Region, ID: memberID(e.g.ID+"-"+sh.ID, n+1), UID: e.uids[i*nodes+n], Created: e.now,
				Generation: 1, Spec: joinSpec(e.members[0].Spec), Tags: maps.Clone(e.g.Tags),
			}
			if _, taken := resource.CacheClusters.Get(e.tx, key(c.Region, c.ID)); taken {
				return errClusterExists(c.ID)
			}
			if err := site.addMember(c, e.g.ID, zones[n]); err != nil {
				return err
			}
			resource.CacheClusters.Put(e.tx, key(c.Region, c.ID), c)
			sh.Members = append(sh.Members, c.ID)
		}
		e.g.Spec.Shards = append(e.g.Spec.Shards, sh)
		e.g.Spec.Members = append(e.g.Spec.Members, sh.Members...)
	}
	return nil
}

// configured reads what the request says of the i-th new shard.
func (e *reshardEdit) configured(i int, sh *resource.Shard, nodes int) (zones []string, err error) {
	cfg := e.in.ReshardingConfiguration[i]
	if cfg == nil {
		return nil, nil
	}
	if set(cfg.NodeGroupId) {
		if sh.ID = *cfg.NodeGroupId; e.g.Spec.Shard(sh.ID) != nil {
			return nil, errInvalidValue("The parameter NodeGroupId %s is used for two node groups.", sh.ID)
		}
	}
	if n := len(cfg.PreferredAvailabilityZones); n > 0 && n != nodes {
		return nil, errInvalidValue("The parameter PreferredAvailabilityZones must name %d availability zones: one for each node of the node group.", nodes)
	}
	return cfg.PreferredAvailabilityZones, nil
}

// balance is what each of the staying shards shall have so that all have the same
// number of slots, or one more, while as few as possible move. Those that have more
// now get the one more.
func balance(all, staying []resource.Shard) []resource.ShardSlots {
	order := slices.Clone(staying)
	slices.SortStableFunc(order, func(a, b resource.Shard) int { return cmp.Compare(b.Slots.Len(), a.Slots.Len()) })
	quota := map[string]int{}
	for i, sh := range order {
		quota[sh.ID] = core.SlotCount / len(order)
		if i < core.SlotCount%len(order) {
			quota[sh.ID]++
		}
	}
	pool := core.AllSlots()
	kept := map[string]core.Slots{}
	for _, sh := range staying {
		kept[sh.ID] = sh.Slots.First(quota[sh.ID])
		pool = pool.Without(kept[sh.ID])
	}
	var out []resource.ShardSlots
	for _, sh := range staying {
		more := pool.First(quota[sh.ID] - kept[sh.ID].Len())
		pool = pool.Without(more)
		out = append(out, resource.ShardSlots{ID: sh.ID, Slots: kept[sh.ID].With(more)})
	}
	return out
}

package elasticache

import (
	"fmt"
	"slices"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
)

// groupShape is how many nodes a new group has in each shard, and where they were
// asked to be.
type groupShape struct {
	shards []shardShape
	// slots: the request says which slots each shard has.
	slots bool
}

// shardShape is one shard; zones has the primary's first, and none means anywhere.
type shardShape struct {
	id    string
	nodes int
	zones []string
	slots core.Slots
}

func (g groupShape) nodes() (n int) {
	for _, sh := range g.shards {
		n += sh.nodes
	}
	return n
}

// shapeOf reads the three ways to say how many nodes there shall be, of which there
// may be as many as the quota says.
func shapeOf(in *wire.CreateReplicationGroupMessage, quota int) (groupShape, error) {
	if in.NumNodeGroups != nil && *in.NumNodeGroups < 1 {
		return groupShape{}, errInvalidValue("The parameter NumNodeGroups must be at least 1.")
	}
	shards := max(1, core.Val(in.NumNodeGroups), len(in.NodeGroupConfiguration))
	if shards > quota {
		return groupShape{}, errShardQuota(quota)
	}
	var shape groupShape
	var err error
	if len(in.NodeGroupConfiguration) > 0 {
		shape, err = configuredShape(in)
	} else {
		shape, err = evenShape(in, shards)
	}
	if err == nil && shape.nodes() > quota {
		err = errNodeQuota(quota)
	}
	return shape, err
}

// evenShape has the same number of nodes in each shard.
func evenShape(in *wire.CreateReplicationGroupMessage, shards int) (groupShape, error) {
	shard := shardShape{nodes: 1, zones: in.PreferredCacheClusterAZs}
	switch {
	case in.NumCacheClusters != nil && in.ReplicasPerNodeGroup != nil:
		return groupShape{}, errInvalidCombination("The parameters NumCacheClusters and ReplicasPerNodeGroup cannot be used together.")
	case in.NumCacheClusters != nil && shards > 1:
		return groupShape{}, errInvalidCombination("The parameter NumCacheClusters can be used for one node group only.")
	case len(shard.zones) > 0 && shards > 1:
		return groupShape{}, errOneShardZones()
	case in.NumCacheClusters != nil:
		shard.nodes = *in.NumCacheClusters
		if shard.nodes < 1 || shard.nodes > maxReplicas+1 {
			return groupShape{}, errInvalidValue("The parameter NumCacheClusters must be between 1 and %d.", maxReplicas+1)
		}
	case in.ReplicasPerNodeGroup != nil:
		if *in.ReplicasPerNodeGroup < 0 || *in.ReplicasPerNodeGroup > maxReplicas {
			return groupShape{}, errInvalidValue("The parameter ReplicasPerNodeGroup must be between 0 and %d.", maxReplicas)
		}
		shard.nodes = *in.ReplicasPerNodeGroup + 1
	}
	if len(shard.zones) > 0 && len(shard.zones) != shard.nodes {
		return groupShape{}, errPreferredZoneCount()
	}
	var shape groupShape
	for i, slots := range core.SplitSlots(shards) {
		shard.id, shard.slots = shardID(i+1), slots
		shape.shards = append(shape.shards, shard)
	}
	return shape, nil
}

// shardID is the id of the n-th shard, from 1.
func shardID(n int) string { return fmt.Sprintf("%04d", n) }

// configuredShape reads the NodeGroupConfiguration, an entry for each shard.
func configuredShape(in *wire.CreateReplicationGroupMessage) (groupShape, error) {
	configured := len(in.NodeGroupConfiguration)
	switch {
	case in.NumCacheClusters != nil || len(in.PreferredCacheClusterAZs) > 0:
		return groupShape{}, errInvalidCombination("The parameter NodeGroupConfiguration cannot be used together with NumCacheClusters or PreferredCacheClusterAZs.")
	case in.NumNodeGroups != nil && *in.NumNodeGroups != configured:
		return groupShape{}, errInvalidCombination("The parameter NodeGroupConfiguration must have an entry for each of the NumNodeGroups node groups.")
	}
	var shape groupShape
	split := core.SplitSlots(configured)
	given := 0
	for i, cfg := range in.NodeGroupConfiguration {
		if cfg == nil {
			cfg = &wire.NodeGroupConfiguration{}
		}
		shard, err := configuredShard(in, cfg)
		if err != nil {
			return groupShape{}, err
		}
		if shard.id == "" {
			shard.id = shardID(i + 1)
		}
		if slices.ContainsFunc(shape.shards, func(o shardShape) bool { return o.id == shard.id }) {
			return groupShape{}, errInvalidValue("The parameter NodeGroupId %s is used for two node groups.", shard.id)
		}
		if shard.slots != nil {
			given++
		} else {
			shard.slots = split[i]
		}
		shape.shards = append(shape.shards, shard)
	}
	slices.SortFunc(shape.shards, func(a, b shardShape) int { return strings.Compare(a.id, b.id) })
	shape.slots = given > 0
	if given > 0 && given < configured {
		return groupShape{}, errInvalidCombination("The parameter Slots must be given for all node groups or for none.")
	}
	return shape, checkCoverage(shape.shards)
}

// checkCoverage checks that each slot belongs to exactly one shard.
func checkCoverage(shards []shardShape) error {
	var all core.Slots
	for _, sh := range shards {
		if twice := all.Shared(sh.slots); len(twice) > 0 {
			return errInvalidValue("The parameter Slots gives %s to more than one node group.", twice)
		}
		all = all.With(sh.slots)
	}
	if missing := core.AllSlots().Without(all); len(missing) > 0 {
		return errInvalidValue("The parameter Slots must cover all slots from 0 to %d: %s belong to no node group.", core.SlotCount-1, missing)
	}
	return nil
}

// configuredShard reads one NodeGroupConfiguration.
func configuredShard(in *wire.CreateReplicationGroupMessage, cfg *wire.NodeGroupConfiguration) (shardShape, error) {
	if err := refuseUnserved([]refusal{
		{"NodeGroupConfiguration.PrimaryOutpostArn", set(cfg.PrimaryOutpostArn)},
		{"NodeGroupConfiguration.ReplicaOutpostArns", len(cfg.ReplicaOutpostArns) > 0},
	}); err != nil {
		return shardShape{}, err
	}
	replicas := cfg.ReplicaCount
	if replicas == nil {
		replicas = in.ReplicasPerNodeGroup
	}
	if replicas == nil {
		replicas = core.Ptr(len(cfg.ReplicaAvailabilityZones))
	}
	switch {
	case *replicas < 0 || *replicas > maxReplicas:
		return shardShape{}, errInvalidValue("The parameter ReplicaCount must be between 0 and %d.", maxReplicas)
	case in.ReplicasPerNodeGroup != nil && *in.ReplicasPerNodeGroup != *replicas:
		return shardShape{}, errInvalidCombination("The parameters ReplicasPerNodeGroup and ReplicaCount contradict each other.")
	case len(cfg.ReplicaAvailabilityZones) > 0 && len(cfg.ReplicaAvailabilityZones) != *replicas:
		return shardShape{}, errInvalidValue("The parameter ReplicaAvailabilityZones must name as many availability zones as there are replicas, %d.", *replicas)
	case set(cfg.PrimaryAvailabilityZone) != (len(cfg.ReplicaAvailabilityZones) > 0) && *replicas > 0:
		return shardShape{}, errInvalidCombination("The parameters PrimaryAvailabilityZone and ReplicaAvailabilityZones must be given together.")
	}
	shard := shardShape{id: core.Val(cfg.NodeGroupId), nodes: *replicas + 1}
	if set(cfg.PrimaryAvailabilityZone) {
		shard.zones = slices.Concat([]string{*cfg.PrimaryAvailabilityZone}, cfg.ReplicaAvailabilityZones)
	}
	if set(cfg.Slots) {
		slots, err := core.ParseSlots(*cfg.Slots)
		if err != nil {
			return shardShape{}, errInvalidValue("The parameter Slots cannot be %s: %v.", *cfg.Slots, err)
		}
		shard.slots = slots
	}
	return shard, nil
}

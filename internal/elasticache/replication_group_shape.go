package elasticache

import (
	"slices"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
)

// groupShape is how many nodes a new group has, and where they were asked to be,
// primary first; no zones means anywhere.
type groupShape struct {
	nodes int
	zones []string
}

// shapeOf reads the three ways to say how many nodes there shall be.
func shapeOf(in *wire.CreateReplicationGroupMessage) (groupShape, error) {
	if in.NumNodeGroups != nil && *in.NumNodeGroups < 1 {
		return groupShape{}, errInvalidValue("The parameter NumNodeGroups must be at least 1.")
	}
	if len(in.NodeGroupConfiguration) > 0 {
		return configuredShape(in)
	}
	shape := groupShape{nodes: 1, zones: in.PreferredCacheClusterAZs}
	switch {
	case in.NumCacheClusters != nil && in.ReplicasPerNodeGroup != nil:
		return shape, errInvalidCombination("The parameters NumCacheClusters and ReplicasPerNodeGroup cannot be used together.")
	case in.NumCacheClusters != nil:
		shape.nodes = *in.NumCacheClusters
		if shape.nodes < 1 || shape.nodes > maxReplicas+1 {
			return shape, errInvalidValue("The parameter NumCacheClusters must be between 1 and %d.", maxReplicas+1)
		}
	case in.ReplicasPerNodeGroup != nil:
		if *in.ReplicasPerNodeGroup < 0 || *in.ReplicasPerNodeGroup > maxReplicas {
			return shape, errInvalidValue("The parameter ReplicasPerNodeGroup must be between 0 and %d.", maxReplicas)
		}
		shape.nodes = *in.ReplicasPerNodeGroup + 1
	}
	if len(shape.zones) > 0 && len(shape.zones) != shape.nodes {
		return shape, errPreferredZoneCount()
	}
	return shape, nil
}

// configuredShape reads the NodeGroupConfiguration of a group with one shard.
func configuredShape(in *wire.CreateReplicationGroupMessage) (groupShape, error) {
	if in.NumCacheClusters != nil || len(in.PreferredCacheClusterAZs) > 0 {
		return groupShape{}, errInvalidCombination("The parameter NodeGroupConfiguration cannot be used together with NumCacheClusters or PreferredCacheClusterAZs.")
	}
	cfg := in.NodeGroupConfiguration[0]
	if cfg == nil {
		cfg = &wire.NodeGroupConfiguration{}
	}
	if err := refuseUnserved([]refusal{
		{"NodeGroupConfiguration.NodeGroupId", not(cfg.NodeGroupId, onlyShard)},
		{"NodeGroupConfiguration.Slots", set(cfg.Slots)},
		{"NodeGroupConfiguration.PrimaryOutpostArn", set(cfg.PrimaryOutpostArn)},
		{"NodeGroupConfiguration.ReplicaOutpostArns", len(cfg.ReplicaOutpostArns) > 0},
	}); err != nil {
		return groupShape{}, err
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
		return groupShape{}, errInvalidValue("The parameter ReplicaCount must be between 0 and %d.", maxReplicas)
	case in.ReplicasPerNodeGroup != nil && *in.ReplicasPerNodeGroup != *replicas:
		return groupShape{}, errInvalidCombination("The parameters ReplicasPerNodeGroup and ReplicaCount contradict each other.")
	case len(cfg.ReplicaAvailabilityZones) > 0 && len(cfg.ReplicaAvailabilityZones) != *replicas:
		return groupShape{}, errInvalidValue("The parameter ReplicaAvailabilityZones must name as many availability zones as there are replicas, %d.", *replicas)
	case set(cfg.PrimaryAvailabilityZone) != (len(cfg.ReplicaAvailabilityZones) > 0) && *replicas > 0:
		return groupShape{}, errInvalidCombination("The parameters PrimaryAvailabilityZone and ReplicaAvailabilityZones must be given together.")
	}
	shape := groupShape{nodes: *replicas + 1}
	if set(cfg.PrimaryAvailabilityZone) {
		shape.zones = slices.Concat([]string{*cfg.PrimaryAvailabilityZone}, cfg.ReplicaAvailabilityZones)
	}
	return shape, nil
}

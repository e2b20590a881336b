package elasticache

import (
	"maps"
	"slices"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// replicaSpec begins the spec of a cluster that joins a replication group. All
// that the group's members have in common comes from the group, so only what is
// a member's own may be given.
func replicaSpec(in *wire.CreateCacheClusterMessage) (resource.CacheClusterSpec, error) {
	spec := resource.CacheClusterSpec{}
	foreign := in.NumCacheNodes != nil && *in.NumCacheNodes != 1 ||
		set(in.CacheNodeType) || set(in.Engine) || set(in.EngineVersion) || set(in.CacheParameterGroupName) ||
		set(in.CacheSubnetGroupName) || slices.ContainsFunc(in.SecurityGroupIds, func(id string) bool { return id != "" }) ||
		len(in.CacheSecurityGroupNames) > 0 || in.Port != nil || set(in.AZMode) || len(in.PreferredAvailabilityZones) > 0 || set(in.SnapshotWindow) ||
		in.AuthToken != nil || in.TransitEncryptionEnabled != nil
	if foreign {
		return spec, errReplicaParameters()
	}
	var err error
	if set(in.PreferredMaintenanceWindow) {
		spec.MaintenanceWindow, err = maintenanceWindow(*in.PreferredMaintenanceWindow)
	}
	return spec, err
}

// placeReplica finishes the record of a cluster that joins a replication group,
// and the group's.
func (s *Service) placeReplica(tx *store.Tx, c *resource.CacheCluster, in *wire.CreateCacheClusterMessage) error {
	id, err := replicationGroupID(in.ReplicationGroupId)
	if err != nil {
		return err
	}
	g, members, err := loadGroup(tx, c.Region, id)
	if err != nil {
		return err
	}
	if _, exists := resource.CacheClusters.Get(tx, key(c.Region, c.ID)); exists {
		return errClusterExists(c.ID)
	}
	if g.Spec.ClusterMode() {
		return errClusterModeMember(c.ID, g.ID)
	}
	if groupStatus(g) != statusAvailable {
		return errReplicationGroupState("Replication group must be in available state to modify.")
	}
	if len(members) > maxReplicas {
		return errNodeQuota(maxReplicas + 1)
	}
	own := c.Spec
	c.Spec = joinSpec(members[0].Spec)
	if in.AutoMinorVersionUpgrade != nil {
		c.Spec.AutoMinorVersionUpgrade = *in.AutoMinorVersionUpgrade
	}
	if own.MaintenanceWindow != "" {
		c.Spec.MaintenanceWindow = own.MaintenanceWindow
		if err := checkWindows(c.Spec.MaintenanceWindow, c.Spec.SnapshotWindow); err != nil {
			return err
		}
	}
	if len(c.Tags) == 0 {
		c.Tags = maps.Clone(g.Tags)
	}
	vpc, subnets, err := s.subnetsOf(tx, c.Region, c.Spec.SubnetGroup)
	if err != nil {
		return err
	}
	site := s.siteOf(tx, vpc, subnets)
	zone, err := replicaZone(site.placement, members, core.Val(in.PreferredAvailabilityZone))
	if err != nil {
		return err
	}
	if err := site.addMember(c, g.ID, zone); err != nil {
		return err
	}
	g.Spec.Members = append(g.Spec.Members, c.ID)
	beginGroupChange(g)
	resource.ReplicationGroups.Put(tx, key(g.Region, g.ID), g)
	return nil
}

// joinSpec is what a new member takes over from one that exists.
func joinSpec(spec resource.CacheClusterSpec) resource.CacheClusterSpec {
	spec.SecurityGroupIDs = slices.Clone(spec.SecurityGroupIDs)
	spec.CacheSecurityGroups = slices.Clone(spec.CacheSecurityGroups)
	spec.Nodes = nil
	spec.Reboot = nil
	spec.Change = ""
	spec.Pending, spec.Program = resource.Pending{}, ""
	return spec
}

// replicaZone is the zone asked for, or the one with the fewest members.
func replicaZone(p placement, members []*resource.CacheCluster, asked string) (string, error) {
	if asked != "" {
		zones, err := p.spread([]string{asked}, 0, 1)
		if err != nil {
			return "", err
		}
		return zones[0], nil
	}
	count := map[string]int{}
	for _, m := range members {
		count[m.Spec.Nodes[0].Zone]++
	}
	return slices.MinFunc(p.zones, func(a, b string) int {
		if count[a] != count[b] {
			return count[a] - count[b]
		}
		return strings.Compare(a, b)
	}), nil
}

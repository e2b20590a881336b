package elasticache

import (
	"context"
	"slices"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// Words of the API for what is on or off, and for roles.
const (
	enabled  = "enabled"
	enabling = "enabling"
	disabled = "disabled"

	rolePrimary = "primary"
	roleReplica = "replica"
)

// DescribeReplicationGroups answers one group or all of the region, by id.
func (s *Service) DescribeReplicationGroups(ctx context.Context, in *wire.DescribeReplicationGroupsMessage) (*wire.ReplicationGroupMessage, error) {
	out := &wire.ReplicationGroupMessage{ReplicationGroups: []*wire.ReplicationGroup{}}
	err := s.store.View(ctx, func(r store.Reader) error {
		groups, err := findGroups(r, region(ctx), in.ReplicationGroupId)
		if err != nil {
			return err
		}
		byID := func(g *resource.ReplicationGroup) string { return g.ID }
		groups, out.Marker, err = page(groups, byID, "DescribeReplicationGroups", in.MaxRecords, in.Marker)
		if err != nil {
			return err
		}
		for _, g := range groups {
			out.ReplicationGroups = append(out.ReplicationGroups, s.wireGroup(r, g))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func findGroups(r store.Reader, region string, id *string) ([]*resource.ReplicationGroup, error) {
	if !set(id) {
		return resource.ReplicationGroups.List(r, region+"/"), nil
	}
	name, err := replicationGroupID(id)
	if err != nil {
		return nil, err
	}
	g, ok := resource.ReplicationGroups.Get(r, key(region, name))
	if !ok {
		return nil, errReplicationGroupNotFound(name)
	}
	return []*resource.ReplicationGroup{g}, nil
}

// loadGroup finds a group by its id, in lower case, and its members in their
// order.
func loadGroup(r store.Reader, region, id string) (*resource.ReplicationGroup, []*resource.CacheCluster, error) {
	g, ok := resource.ReplicationGroups.Get(r, key(region, id))
	if !ok {
		return nil, nil, errReplicationGroupNotFound(id)
	}
	return g, groupMembers(r, g), nil
}

// groupMembers are the clusters of a group; while it is being deleted some may
// be gone already.
func groupMembers(r store.Reader, g *resource.ReplicationGroup) []*resource.CacheCluster {
	var out []*resource.CacheCluster
	for _, id := range g.Spec.Members {
		if c, ok := resource.CacheClusters.Get(r, key(g.Region, id)); ok {
			out = append(out, c)
		}
	}
	return out
}

// groupTLS is the mode that a group has now, and whether another one is being
// carried out: then g.Spec.TLS is the mode to come.
func groupTLS(g *resource.ReplicationGroup) (mode resource.TLSMode, pending bool) {
	if g.Status.ObservedGeneration < g.Spec.TLSGeneration {
		return g.Spec.TLSBefore, true
	}
	return g.Spec.TLS, false
}

// wireGroup is a group as the API shows it; its members are looked up in r.
func (s *Service) wireGroup(r store.Reader, g *resource.ReplicationGroup) *wire.ReplicationGroup {
	members := groupMembers(r, g)
	tls, pendingTLS := groupTLS(g)
	mode, pendingMode := shownMode(g)
	out := &wire.ReplicationGroup{
		ReplicationGroupId:         &g.ID,
		ARN:                        s.arn(g.Region, arnReplicationGroup, g.ID),
		Description:                &g.Spec.Description,
		GlobalReplicationGroupInfo: &wire.GlobalReplicationGroupInfo{},
		Status:                     core.Ptr(groupStatus(g)),
		PendingModifiedValues:      &wire.ReplicationGroupPendingModifiedValues{AuthTokenStatus: nonEmpty(g.Spec.Auth.Change), ClusterMode: nonEmpty(pendingMode)},
		MemberClusters:             slices.Clone(g.Spec.Members),
		AutomaticFailover:          core.Ptr(groupFailover(g)),
		MultiAZ:                    core.Ptr(onOff(g.Spec.MultiAZ)),
		SnapshotRetentionLimit:     core.Ptr(0),
		ClusterEnabled:             core.Ptr(mode != resource.ModeDisabled),
		ClusterMode:                &mode,
		AuthTokenEnabled:           core.Ptr(g.Spec.Auth.Enabled()),
		AuthTokenLastModifiedDate:  g.Spec.Auth.Modified,
		TransitEncryptionEnabled:   core.Ptr(tls != resource.TLSOff),
		TransitEncryptionMode:      nonEmpty(string(tls)),
		AtRestEncryptionEnabled:    core.Ptr(false),
		UserGroupIds:               []string{},
		LogDeliveryConfigurations:  []*wire.LogDeliveryConfiguration{},
		ReplicationGroupCreateTime: &g.Created,
		DataTiering:                core.Ptr(disabled),
		NetworkType:                core.Ptr(networkType),
		IpDiscovery:                core.Ptr(networkType),
		Engine:                     &g.Spec.Engine,
	}
	if h := g.Spec.Handover; h != nil {
		out.PendingModifiedValues.PrimaryClusterId = nonEmpty(h.To)
	}
	if r := g.Spec.Resharding; r != nil && r.Slots > 0 {
		done := float64(r.Slots-r.Left(g.Spec.Shards)) / float64(r.Slots)
		out.PendingModifiedValues.Resharding = &wire.ReshardingStatus{
			SlotMigration: &wire.SlotMigration{ProgressPercentage: core.Ptr(100 * done)},
		}
	}
	if pendingTLS {
		out.PendingModifiedValues.TransitEncryptionEnabled = core.Ptr(g.Spec.TLS != resource.TLSOff)
		out.PendingModifiedValues.TransitEncryptionMode = nonEmpty(string(g.Spec.TLS))
	}
	if len(members) > 0 {
		shared := &members[0].Spec
		now := runs(members[0])
		out.CacheNodeType, out.Engine = &now.nodeType, &now.engine
		out.SnapshotWindow = nonEmpty(shared.SnapshotWindow)
		out.AutoMinorVersionUpgrade = &shared.AutoMinorVersionUpgrade
	}
	if g.Status.Available != nil {
		told := s.told(r, tls)
		if mode != resource.ModeDisabled {
			out.ConfigurationEndpoint = told(g.Spec.ConfigurationEndpoint)
		}
		out.NodeGroups = wireNodeGroups(g, members, told)
	}
	return out
}

// wireNodeGroups are the shards of a group. Those of one in cluster mode have slots
// instead of endpoints, and which member is the primary is the engines' to tell; the one
// of a compatible group has both.
func wireNodeGroups(g *resource.ReplicationGroup, members []*resource.CacheCluster, told told) []*wire.NodeGroup {
	switch mode, _ := shownMode(g); mode {
	case resource.ModeDisabled:
		return []*wire.NodeGroup{wireNodeGroup(g, members, told)}
	case resource.ModeCompatible:
		n := wireNodeGroup(g, members, told)
		n.Slots = nonEmpty(g.Spec.AllShards()[0].Slots.String())
		return []*wire.NodeGroup{n}
	}
	var out []*wire.NodeGroup
	for i := range g.Spec.Shards {
		sh := &g.Spec.Shards[i]
		n := &wire.NodeGroup{
			NodeGroupId: &sh.ID, Status: core.Ptr(groupStatus(g)), Slots: nonEmpty(sh.Slots.String()),
			NodeGroupMembers: []*wire.NodeGroupMember{},
		}
		for _, c := range members {
			if slices.Contains(sh.Members, c.ID) {
				slot := &c.Spec.Nodes[0]
				n.NodeGroupMembers = append(n.NodeGroupMembers, &wire.NodeGroupMember{
					CacheClusterId: &c.ID, CacheNodeId: &slot.ID, PreferredAvailabilityZone: &slot.Zone,
				})
			}
		}
		out = append(out, n)
	}
	return out
}

// wireNodeGroup is the one shard of a group for clients that know nothing of cluster mode.
func wireNodeGroup(g *resource.ReplicationGroup, members []*resource.CacheCluster, told told) *wire.NodeGroup {
	out := &wire.NodeGroup{
		NodeGroupId:      core.Ptr(onlyShard),
		Status:           core.Ptr(groupStatus(g)),
		PrimaryEndpoint:  told(g.Spec.PrimaryEndpoint),
		ReaderEndpoint:   told(g.Spec.ReaderEndpoint),
		NodeGroupMembers: []*wire.NodeGroupMember{},
	}
	for _, c := range members {
		slot := &c.Spec.Nodes[0]
		role := roleReplica
		if c.ID == primaryFor(g, c.ID) {
			role = rolePrimary
		}
		m := &wire.NodeGroupMember{
			CacheClusterId:            &c.ID,
			CacheNodeId:               &slot.ID,
			PreferredAvailabilityZone: &slot.Zone,
			CurrentRole:               &role,
		}
		if c.Status.Available != nil {
			m.ReadEndpoint = told(slot.Endpoint)
		}
		out.NodeGroupMembers = append(out.NodeGroupMembers, m)
	}
	return out
}

// groupFailover is the AutomaticFailover of a group.
func groupFailover(g *resource.ReplicationGroup) string {
	if g.Spec.AutomaticFailover && g.Status.Available == nil && !g.Spec.ClusterMode() {
		return enabling
	}
	return onOff(g.Spec.AutomaticFailover)
}

func onOff(on bool) string {
	if on {
		return enabled
	}
	return disabled
}

package elasticache

import (
	"context"
	"slices"
	"time"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

const (
	// networkType is the only address family so far.
	networkType = "ipv4"
	// zoneMultiple stands for a zone where nodes are in several.
	zoneMultiple = "Multiple"

	statusActive = "active"
	statusInSync = "in-sync"
	// nodePendingReboot is a node's ParameterGroupStatus while it runs with
	// older values than its group has.
	nodePendingReboot = "pending-reboot"
)

// DescribeCacheClusters answers one cluster or all of the region, by id.
func (s *Service) DescribeCacheClusters(ctx context.Context, in *wire.DescribeCacheClustersMessage) (*wire.CacheClusterMessage, error) {
	out := &wire.CacheClusterMessage{CacheClusters: []*wire.CacheCluster{}}
	err := s.store.View(ctx, func(r store.Reader) error {
		clusters, err := findClusters(r, region(ctx), in)
		if err != nil {
			return err
		}
		byID := func(c *resource.CacheCluster) string { return c.ID }
		clusters, out.Marker, err = page(clusters, byID, "DescribeCacheClusters", in.MaxRecords, in.Marker)
		if err != nil {
			return err
		}
		for _, c := range clusters {
			out.CacheClusters = append(out.CacheClusters, s.wireCluster(r, c, core.Val(in.ShowCacheNodeInfo)))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func findClusters(r store.Reader, region string, in *wire.DescribeCacheClustersMessage) ([]*resource.CacheCluster, error) {
	if set(in.CacheClusterId) {
		id, err := clusterID(in.CacheClusterId)
		if err != nil {
			return nil, err
		}
		c, err := loadCluster(r, region, id)
		if err != nil {
			return nil, err
		}
		return []*resource.CacheCluster{c}, nil
	}
	clusters := resource.CacheClusters.List(r, region+"/")
	if core.Val(in.ShowCacheClustersNotInReplicationGroups) {
		clusters = slices.DeleteFunc(slices.Clone(clusters), func(c *resource.CacheCluster) bool {
			return c.Spec.ReplicationGroupID != ""
		})
	}
	return clusters, nil
}

// loadCluster finds a cluster by its id, which must be in lower case.
func loadCluster(r store.Reader, region, id string) (*resource.CacheCluster, error) {
	c, ok := resource.CacheClusters.Get(r, key(region, id))
	if !ok {
		return nil, errClusterNotFound(id)
	}
	return c, nil
}

// wireCluster is a cluster as the API shows it. What a member has from its
// replication group is looked up in r.
func (s *Service) wireCluster(r store.Reader, c *resource.CacheCluster, showNodes bool) *wire.CacheCluster {
	g := &resource.ReplicationGroup{}
	if c.Spec.ReplicationGroupID != "" {
		if found, ok := resource.ReplicationGroups.Get(r, key(c.Region, c.Spec.ReplicationGroupID)); ok {
			g = found
		}
	}
	tls, now := c.Spec.TLS, runs(c)
	if g.ID != "" {
		tls, _ = groupTLS(g)
	}
	out := &wire.CacheCluster{
		CacheClusterId:                     &c.ID,
		ARN:                                s.arn(c.Region, arnCluster, c.ID),
		ClientDownloadLandingPage:          core.Ptr(clusterLandingPage),
		CacheNodeType:                      &now.nodeType,
		Engine:                             &now.engine,
		EngineVersion:                      &now.version,
		CacheClusterStatus:                 core.Ptr(clusterStatus(c)),
		NumCacheNodes:                      core.Ptr(len(c.Spec.Nodes)),
		PreferredAvailabilityZone:          clusterZone(c),
		CacheClusterCreateTime:             createTime(c.Status.Available != nil, c.Created),
		PreferredMaintenanceWindow:         &c.Spec.MaintenanceWindow,
		PendingModifiedValues:              wirePending(c, g),
		CacheSecurityGroups:                wireCacheGroups(c.Spec.CacheSecurityGroups),
		CacheParameterGroup:                wireParameterStatus(c),
		CacheSubnetGroupName:               nonEmpty(c.Spec.SubnetGroup),
		AutoMinorVersionUpgrade:            &c.Spec.AutoMinorVersionUpgrade,
		SecurityGroups:                     wireSecurityGroups(c.Spec.SecurityGroupIDs),
		ReplicationGroupId:                 nonEmpty(c.Spec.ReplicationGroupID),
		SnapshotWindow:                     nonEmpty(c.Spec.SnapshotWindow),
		AuthTokenEnabled:                   core.Ptr(g.Spec.Auth.Enabled() || keepsToken(r, c)),
		AuthTokenLastModifiedDate:          g.Spec.Auth.Modified,
		TransitEncryptionEnabled:           core.Ptr(tls != resource.TLSOff),
		TransitEncryptionMode:              nonEmpty(string(tls)),
		AtRestEncryptionEnabled:            core.Ptr(false),
		ReplicationGroupLogDeliveryEnabled: core.Ptr(false),
		LogDeliveryConfigurations:          []*wire.LogDeliveryConfiguration{},
		NetworkType:                        core.Ptr(networkType),
		IpDiscovery:                        core.Ptr(networkType),
	}
	if c.Spec.Engine == catalog.Memcached {
		if c.Status.Available != nil {
			out.ConfigurationEndpoint = s.told(r, tls)(c.Spec.ConfigurationEndpoint)
		}
	} else {
		out.SnapshotRetentionLimit = core.Ptr(0)
	}
	if showNodes && c.Status.Available != nil && !c.Spec.Deleting {
		out.CacheNodes = wireNodes(c, g, s.told(r, tls))
	}
	return out
}

// keepsToken reports whether a cluster of its own still asks for the token of the
// replication group whose primary it was: nothing but its node knows of it then.
func keepsToken(r store.Reader, c *resource.CacheCluster) bool {
	if c.Spec.ReplicationGroupID != "" {
		return false
	}
	n, ok := resource.Nodes.Get(r, c.Region+"/"+c.ID+"/"+onlyNode)
	return ok && len(n.Spec.Auth.Digests) > 0
}

// wireNodes are the nodes of a cluster; g is its group, or an empty one.
func wireNodes(c *resource.CacheCluster, g *resource.ReplicationGroup, told told) []*wire.CacheNode {
	out := make([]*wire.CacheNode, 0, len(c.Spec.Nodes))
	for i := range c.Spec.Nodes {
		slot := &c.Spec.Nodes[i]
		n := &wire.CacheNode{
			CacheNodeId:              &slot.ID,
			CacheNodeStatus:          core.Ptr(nodeStatus(c, slot.ID)),
			ParameterGroupStatus:     core.Ptr(statusInSync),
			CustomerAvailabilityZone: &slot.Zone,
		}
		if slices.Contains(c.Status.NodesToReboot, slot.ID) {
			n.ParameterGroupStatus = core.Ptr(nodePendingReboot)
		}
		if nodeProvisioned(c, slot.ID) {
			n.CacheNodeCreateTime = &slot.Created
			n.Endpoint = told(slot.Endpoint)
		}
		// With cluster mode the roles are the engines' to tell.
		if primary := groupPrimary(g); primary != "" && primary != c.ID && !g.Spec.ClusterMode() {
			n.SourceCacheNodeId = &primary
		}
		out = append(out, n)
	}
	return out
}

func wireParameterStatus(c *resource.CacheCluster) *wire.CacheParameterGroupStatus {
	status := c.Status.ParameterApplyStatus
	if status == "" {
		status = statusInSync
	}
	return &wire.CacheParameterGroupStatus{
		CacheParameterGroupName: &c.Spec.ParameterGroup,
		ParameterApplyStatus:    &status,
		CacheNodeIdsToReboot:    append([]string{}, c.Status.NodesToReboot...),
	}
}

func wireSecurityGroups(ids []string) []*wire.SecurityGroupMembership {
	out := make([]*wire.SecurityGroupMembership, 0, len(ids))
	for _, id := range ids {
		out = append(out, &wire.SecurityGroupMembership{SecurityGroupId: &id, Status: core.Ptr(statusActive)})
	}
	return out
}

// clusterZone is the zone of a cluster's nodes, or "Multiple".
func clusterZone(c *resource.CacheCluster) *string {
	zone := ""
	for _, n := range c.Spec.Nodes {
		switch zone {
		case "", n.Zone:
			zone = n.Zone
		default:
			zone = zoneMultiple
		}
	}
	return nonEmpty(zone)
}

// createTime is shown from the moment the resource is available.
func createTime(available bool, created time.Time) *time.Time {
	if !available {
		return nil
	}
	return &created
}

// nonEmpty is nil for an empty text: the API leaves such an element out.
func nonEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

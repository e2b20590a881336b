package elasticache

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

const (
	maxMemcachedNodes = 40
	maxReplicas       = 5

	azSingle = "single-az"
	azCross  = "cross-az"

	// memcachedTLSVersion is the first Memcached that can have TLS.
	memcachedTLSVersion = "1.6.12"
)

// CreateCacheCluster makes a cluster of its own, or adds a replica to a
// replication group.
func (s *Service) CreateCacheCluster(ctx context.Context, in *wire.CreateCacheClusterMessage) (*wire.CreateCacheClusterResult, error) {
	if err := refuseUnserved(unservedOfCreateCluster(in)); err != nil {
		return nil, err
	}
	c, err := s.newCluster(ctx, in)
	if err != nil {
		return nil, err
	}
	create := s.placeCluster
	if set(in.ReplicationGroupId) {
		create = s.placeReplica
	}
	var out *wire.CacheCluster
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		c := cloneCluster(c)
		if err := create(tx, c, in); err != nil {
			return err
		}
		resource.CacheClusters.Put(tx, key(c.Region, c.ID), c)
		out = s.wireCluster(tx, c, false)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &wire.CreateCacheClusterResult{CacheCluster: out}, nil
}

// unservedOfCreateCluster lists what CreateCacheCluster does not do yet.
func unservedOfCreateCluster(in *wire.CreateCacheClusterMessage) []refusal {
	return []refusal{
		{"SnapshotArns", len(in.SnapshotArns) > 0},
		{"SnapshotName", set(in.SnapshotName)},
		{"SnapshotRetentionLimit", core.Val(in.SnapshotRetentionLimit) != 0},
		{"NotificationTopicArn", set(in.NotificationTopicArn)},
		{"OutpostMode", set(in.OutpostMode)},
		{"PreferredOutpostArn", set(in.PreferredOutpostArn)},
		{"PreferredOutpostArns", len(in.PreferredOutpostArns) > 0},
		{"LogDeliveryConfigurations", len(in.LogDeliveryConfigurations) > 0},
		{"NetworkType", not(in.NetworkType, networkType)},
		{"IpDiscovery", not(in.IpDiscovery, networkType)},
	}
}

// newCluster checks all that needs no look at the store and begins the record.
func (s *Service) newCluster(ctx context.Context, in *wire.CreateCacheClusterMessage) (*resource.CacheCluster, error) {
	id, err := clusterID(in.CacheClusterId)
	if err != nil {
		return nil, err
	}
	tags, err := validateTags(in.Tags)
	if err != nil {
		return nil, err
	}
	c := &resource.CacheCluster{
		Region: region(ctx), ID: id, UID: s.newID(), Created: s.clock.Now(), Generation: 1, Tags: tags,
	}
	if set(in.ReplicationGroupId) {
		c.Spec, err = replicaSpec(in)
	} else {
		c.Spec, err = s.clusterSpec(c, in)
	}
	return c, err
}

// clusterSpec begins the spec of a cluster of its own.
func (s *Service) clusterSpec(c *resource.CacheCluster, in *wire.CreateCacheClusterMessage) (resource.CacheClusterSpec, error) {
	engine := strings.ToLower(core.Val(in.Engine))
	if err := checkClusterEngine(engine, in); err != nil {
		return resource.CacheClusterSpec{}, err
	}
	spec, err := s.spec(c.Region, c.UID, clusterSettings{
		engine: engine, version: in.EngineVersion, nodeType: in.CacheNodeType,
		parameterGroup: in.CacheParameterGroupName, subnetGroup: in.CacheSubnetGroupName, port: in.Port,
		securityGroups: in.SecurityGroupIds, cacheGroups: in.CacheSecurityGroupNames,
		maintenanceWindow: in.PreferredMaintenanceWindow, snapshotWindow: in.SnapshotWindow, autoMinor: in.AutoMinorVersionUpgrade,
	})
	if err != nil {
		return spec, err
	}
	if core.Val(in.TransitEncryptionEnabled) {
		if engine != catalog.Memcached {
			return spec, errClusterEncryption(engine)
		}
		if catalog.Compare(spec.EngineVersion, memcachedTLSVersion) < 0 {
			return spec, errMemcachedEncryption(spec.EngineVersion)
		}
		if spec.Classic() {
			return spec, errClassicEncryption()
		}
		spec.TLS = resource.TLSRequired
	}
	return spec, checkNodeCount(engine, in)
}

func checkClusterEngine(engine string, in *wire.CreateCacheClusterMessage) error {
	switch engine {
	case "":
		return errMissing("Engine")
	case catalog.Valkey:
		return errValkeyCluster()
	case catalog.Redis:
		// Tokens need TLS, which a cluster of its own cannot have.
		if in.AuthToken != nil {
			return errClusterEncryption(engine)
		}
	case catalog.Memcached:
		if in.AuthToken != nil {
			return errInvalidCombination("The parameter AuthToken is not supported for engine memcached.")
		}
		if set(in.SnapshotWindow) {
			return errInvalidCombination("The parameter SnapshotWindow is not supported for engine memcached.")
		}
	default:
		return errUnknownEngine(*in.Engine)
	}
	return nil
}

func checkNodeCount(engine string, in *wire.CreateCacheClusterMessage) error {
	if in.NumCacheNodes == nil {
		return errMissing("NumCacheNodes")
	}
	n, zones := *in.NumCacheNodes, in.PreferredAvailabilityZones
	switch {
	case engine != catalog.Memcached && n > 1:
		return errRedisNodeCount()
	case n < 1:
		return errInvalidValue("The parameter NumCacheNodes must be at least 1.")
	case n > maxMemcachedNodes:
		return errNodeQuota(maxMemcachedNodes)
	case len(zones) > 0 && set(in.PreferredAvailabilityZone):
		return errInvalidCombination("The parameters PreferredAvailabilityZone and PreferredAvailabilityZones cannot be used together.")
	case len(zones) > 0 && len(zones) != n:
		return errZoneCount()
	}
	switch core.Val(in.AZMode) {
	case azCross:
		if engine != catalog.Memcached || n == 1 {
			return errInvalidCombination("The parameter AZMode can be cross-az only for Memcached clusters with more than one node.")
		}
		if set(in.PreferredAvailabilityZone) || len(zones) > 0 && len(slices.Compact(slices.Sorted(slices.Values(zones)))) == 1 {
			return errInvalidCombination("The parameter AZMode is cross-az but only one availability zone is preferred.")
		}
	case azSingle:
		if len(slices.Compact(slices.Sorted(slices.Values(zones)))) > 1 {
			return errInvalidCombination("The parameter AZMode is single-az but more than one availability zone is preferred.")
		}
	}
	return nil
}

// placeCluster finishes the record of a cluster of its own: what it refers to
// exists, and each node has an address.
func (s *Service) placeCluster(tx *store.Tx, c *resource.CacheCluster, in *wire.CreateCacheClusterMessage) error {
	if _, exists := resource.CacheClusters.Get(tx, key(c.Region, c.ID)); exists {
		return errClusterExists(c.ID)
	}
	site, err := s.bind(tx, c.Region, &c.Spec, in.SecurityGroupIds)
	if err != nil {
		return err
	}
	if site.clusterMode {
		return errClusterModeGroup(c.Spec.ParameterGroup)
	}
	zones, err := clusterZones(site.placement, in)
	if err != nil {
		return err
	}
	for i, zone := range zones {
		if err := site.addNode(c, nodeID(i+1), zone, c.Created, site.names.clusterNode); err != nil {
			return err
		}
	}
	if c.Spec.Engine != catalog.Memcached {
		return nil
	}
	subnets := site.placement.subnets[zones[0]]
	e, _, err := site.endpoint("configuration "+c.Region+"/"+c.ID, subnets, c.Spec.Port, site.names.configuration(c.ID))
	c.Spec.ConfigurationEndpoint = e
	return err
}

// clusterZones says in which zone each node of a new cluster goes.
func clusterZones(p placement, in *wire.CreateCacheClusterMessage) ([]string, error) {
	n := *in.NumCacheNodes
	switch {
	case len(in.PreferredAvailabilityZones) > 0:
		return p.spread(in.PreferredAvailabilityZones, 0, n)
	case core.Val(in.AZMode) == azCross:
		if len(p.zones) < 2 {
			return nil, errInvalidCombination("The parameter AZMode is cross-az but the subnet group has subnets in one availability zone only.")
		}
		return p.spread(nil, 0, n)
	case set(in.PreferredAvailabilityZone):
		return p.spread(slices.Repeat([]string{*in.PreferredAvailabilityZone}, n), 0, n)
	default:
		return slices.Repeat(p.zones[:1], n), nil
	}
}

// site is where nodes are placed: the network, its free addresses and its names.
type site struct {
	allocator
	placement placement
	names     dnsNames
	// clusterMode: the parameter group of what is placed asks for cluster mode.
	clusterMode bool
}

// bind checks what a spec refers to, fills in the security groups and returns
// where the nodes go.
func (s *Service) bind(tx *store.Tx, region string, spec *resource.CacheClusterSpec, groups []string) (site, error) {
	version, _ := s.catalog.Lookup(spec.Engine, spec.EngineVersion)
	clusterMode, err := s.parameterGroupFor(tx, region, spec.ParameterGroup, version, spec.NodeType)
	if err != nil {
		return site{}, err
	}
	vpc, subnets, err := s.subnetsOf(tx, region, spec.SubnetGroup)
	if err != nil {
		return site{}, err
	}
	if spec.Classic() {
		err = checkCacheGroups(tx, region, spec.CacheSecurityGroups)
	} else {
		spec.SecurityGroupIDs, err = securityGroups(tx, vpc, spec.SubnetGroup, groups)
	}
	if err != nil {
		return site{}, err
	}
	site := s.siteOf(tx, vpc, subnets)
	site.clusterMode = clusterMode
	return site, nil
}

func (s *Service) siteOf(tx *store.Tx, vpc *resource.VPC, subnets []resource.Subnet) site {
	return site{
		allocator: allocator{tx, vpc, s.advertise},
		placement: newPlacement(subnets),
		names:     newDNSNames(s.account, vpc.Region, vpc.ID, s.domain),
	}
}

// addNode gives a cluster one node more; names makes its DNS names.
func (p site) addNode(c *resource.CacheCluster, id, zone string, now time.Time, names func(cluster, node string) []string) error {
	slot, err := p.slot(c, id, zone, now, names)
	if err != nil {
		return err
	}
	at, _ := slices.BinarySearchFunc(c.Spec.Nodes, id, func(n resource.NodeSlot, id string) int { return strings.Compare(n.ID, id) })
	c.Spec.Nodes = slices.Insert(c.Spec.Nodes, at, slot)
	return nil
}

// slot is a place for one node more of a cluster.
func (p site) slot(c *resource.CacheCluster, id, zone string, now time.Time, names func(cluster, node string) []string) (resource.NodeSlot, error) {
	e, subnet, err := p.endpoint("node "+c.Region+"/"+c.ID+"/"+id, p.placement.subnets[zone], c.Spec.Port, names(c.ID, id))
	return resource.NodeSlot{ID: id, Zone: zone, SubnetID: subnet.ID, Endpoint: e, Created: now}, err
}

// nodeID is the id of the n-th node, from 1.
func nodeID(n int) string { return fmt.Sprintf("%04d", n) }

// cloneCluster copies a record that a transaction is going to fill in, since the
// transaction may be run again.
func cloneCluster(c *resource.CacheCluster) *resource.CacheCluster {
	out := *c
	out.Spec.Nodes = slices.Clone(c.Spec.Nodes)
	return &out
}

package elasticache

import (
	"context"
	"maps"
	"slices"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// CreateReplicationGroup makes a primary and its replicas.
func (s *Service) CreateReplicationGroup(ctx context.Context, in *wire.CreateReplicationGroupMessage) (*wire.CreateReplicationGroupResult, error) {
	if err := refuseUnserved(unservedOfCreateGroup(in)); err != nil {
		return nil, err
	}
	draft, err := s.newGroup(ctx, in)
	if err != nil {
		return nil, err
	}
	var out *wire.ReplicationGroup
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		g, err := s.placeGroup(tx, draft, in.SecurityGroupIds)
		if err != nil {
			return err
		}
		out = s.wireGroup(tx, g)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &wire.CreateReplicationGroupResult{ReplicationGroup: out}, nil
}

// unservedOfCreateGroup lists what CreateReplicationGroup does not do yet.
func unservedOfCreateGroup(in *wire.CreateReplicationGroupMessage) []refusal {
	return []refusal{
		{"GlobalReplicationGroupId", set(in.GlobalReplicationGroupId)},
		{"PrimaryClusterId", set(in.PrimaryClusterId)},
		{"NumNodeGroups", in.NumNodeGroups != nil && *in.NumNodeGroups > 1},
		{"NodeGroupConfiguration", len(in.NodeGroupConfiguration) > 1},
		{"ClusterMode", not(in.ClusterMode, "disabled")},
		{"SnapshotArns", len(in.SnapshotArns) > 0},
		{"SnapshotName", set(in.SnapshotName)},
		{"ServerlessCacheSnapshotName", set(in.ServerlessCacheSnapshotName)},
		{"SnapshotRetentionLimit", core.Val(in.SnapshotRetentionLimit) != 0},
		{"NotificationTopicArn", set(in.NotificationTopicArn)},
		{"AtRestEncryptionEnabled", core.Val(in.AtRestEncryptionEnabled)},
		{"KmsKeyId", set(in.KmsKeyId)},
		{"UserGroupIds", len(in.UserGroupIds) > 0},
		{"LogDeliveryConfigurations", len(in.LogDeliveryConfigurations) > 0},
		{"DataTieringEnabled", core.Val(in.DataTieringEnabled)},
		{"NetworkType", not(in.NetworkType, networkType)},
		{"IpDiscovery", not(in.IpDiscovery, networkType)},
		{"Durability", not(in.Durability, "disabled")},
	}
}

// groupDraft is a group as far as it can be made without the store. The
// transaction fills in copies of it, since it may be run again.
type groupDraft struct {
	group resource.ReplicationGroup
	// member is the spec that all members have in common.
	member resource.CacheClusterSpec
	// uids has one entry for each member.
	uids  []string
	zones []string
}

// newGroup checks all that needs no look at the store.
func (s *Service) newGroup(ctx context.Context, in *wire.CreateReplicationGroupMessage) (*groupDraft, error) {
	id, err := replicationGroupID(in.ReplicationGroupId)
	if err != nil {
		return nil, err
	}
	text, err := description("ReplicationGroupDescription", in.ReplicationGroupDescription)
	if err != nil {
		return nil, err
	}
	tags, err := validateTags(in.Tags)
	if err != nil {
		return nil, err
	}
	d := &groupDraft{group: resource.ReplicationGroup{
		Region: region(ctx), ID: id, UID: s.newID(), Created: s.clock.Now(), Generation: 1, Tags: tags,
		Spec: resource.ReplicationGroupSpec{
			Description: text, AutomaticFailover: core.Val(in.AutomaticFailoverEnabled), MultiAZ: core.Val(in.MultiAZEnabled),
		},
	}}
	if d.member, err = s.memberSpec(&d.group, in); err != nil {
		return nil, err
	}
	shape, err := shapeOf(in)
	if err != nil {
		return nil, err
	}
	if err := checkFailover(&d.group.Spec, shape.nodes); err != nil {
		return nil, err
	}
	d.zones = shape.zones
	for range shape.nodes {
		d.uids = append(d.uids, s.newID())
	}
	return d, s.secure(d, in)
}

// memberSpec begins the spec that the members have in common.
func (s *Service) memberSpec(g *resource.ReplicationGroup, in *wire.CreateReplicationGroupMessage) (resource.CacheClusterSpec, error) {
	engine := strings.ToLower(core.Val(in.Engine))
	switch engine {
	case "":
		engine = catalog.Redis
	case catalog.Redis, catalog.Valkey:
	case catalog.Memcached:
		return resource.CacheClusterSpec{}, errInvalidValue("The parameter Engine cannot be memcached: a replication group has Redis or Valkey nodes.")
	default:
		return resource.CacheClusterSpec{}, errUnknownEngine(engine)
	}
	spec, err := s.spec(g.Region, g.UID, clusterSettings{
		engine: engine, version: in.EngineVersion, nodeType: in.CacheNodeType,
		parameterGroup: in.CacheParameterGroupName, subnetGroup: in.CacheSubnetGroupName, port: in.Port,
		securityGroups: in.SecurityGroupIds, cacheGroups: in.CacheSecurityGroupNames,
		maintenanceWindow: in.PreferredMaintenanceWindow, snapshotWindow: in.SnapshotWindow, autoMinor: in.AutoMinorVersionUpgrade,
	})
	spec.ReplicationGroupID = g.ID
	g.Spec.Engine = engine
	return spec, err
}

// secure settles TLS and the token of a new group.
func (s *Service) secure(d *groupDraft, in *wire.CreateReplicationGroupMessage) error {
	on, mode := core.Val(in.TransitEncryptionEnabled), core.Val(in.TransitEncryptionMode)
	switch {
	case on && d.member.Classic():
		return errClassicEncryption()
	case !on && mode != "":
		return errTLSModeOnly()
	case !on && in.AuthToken != nil:
		return errAuthTokenWithoutTLS()
	case mode == string(resource.TLSPreferred) && in.AuthToken != nil:
		return errPreferredWithToken()
	case mode == string(resource.TLSPreferred) && !servesTLSModes(d.member.Engine, d.member.EngineVersion):
		return errTLSModeVersion(d.member.Engine, d.member.EngineVersion)
	case on && mode != "":
		d.group.Spec.TLS = resource.TLSMode(mode)
	case on:
		d.group.Spec.TLS = resource.TLSRequired
	}
	d.member.TLS = d.group.Spec.TLS
	if in.AuthToken == nil {
		return nil
	}
	if err := validateAuthToken(*in.AuthToken); err != nil {
		return err
	}
	token, err := s.sealToken(*in.AuthToken)
	d.group.Spec.Auth = resource.Auth{Credentials: []resource.Credential{token}, Modified: &d.group.Created}
	return err
}

// checkFailover checks the rules between failover, Multi-AZ and the number of
// nodes.
func checkFailover(spec *resource.ReplicationGroupSpec, nodes int) error {
	switch {
	case spec.MultiAZ && !spec.AutomaticFailover:
		return errMultiAZNeedsFailover()
	case spec.AutomaticFailover && nodes < 2:
		return errFailoverNodes()
	}
	return nil
}

// placeGroup stores the group and its members: what they refer to exists, and
// each node and endpoint has an address.
func (s *Service) placeGroup(tx *store.Tx, d *groupDraft, groups []string) (*resource.ReplicationGroup, error) {
	g, member := d.group, d.member
	if _, exists := resource.ReplicationGroups.Get(tx, key(g.Region, g.ID)); exists {
		return nil, errReplicationGroupExists(g.ID)
	}
	site, err := s.bind(tx, g.Region, &member, groups)
	if err != nil {
		return nil, err
	}
	zones, err := site.placement.spread(d.zones, 0, len(d.uids))
	if err != nil {
		return nil, err
	}
	if g.Spec.MultiAZ && !slices.ContainsFunc(zones, func(z string) bool { return z != zones[0] }) {
		return nil, errMultiAZZones()
	}
	for i, uid := range d.uids {
		c := &resource.CacheCluster{
			Region: g.Region, ID: memberID(g.ID, i+1), UID: uid, Created: g.Created,
			Generation: 1, Spec: joinSpec(member), Tags: maps.Clone(g.Tags),
		}
		if _, exists := resource.CacheClusters.Get(tx, key(c.Region, c.ID)); exists {
			return nil, errClusterExists(c.ID)
		}
		if err := site.addMember(c, g.ID, zones[i]); err != nil {
			return nil, err
		}
		resource.CacheClusters.Put(tx, key(c.Region, c.ID), c)
		g.Spec.Members = append(g.Spec.Members, c.ID)
	}
	if err := site.addGroupEndpoints(&g, member.Port, zones[0], zones[len(zones)-1]); err != nil {
		return nil, err
	}
	resource.ReplicationGroups.Put(tx, key(g.Region, g.ID), &g)
	return &g, nil
}

// addMember gives a member of a group its node.
func (p site) addMember(c *resource.CacheCluster, group, zone string) error {
	names := func(cluster, _ string) []string { return p.names.member(group, cluster) }
	return p.addNode(c, onlyNode, zone, c.Created, names)
}

// addGroupEndpoints gives a group the endpoints that lead to its primary and to
// its replicas.
func (p site) addGroupEndpoints(g *resource.ReplicationGroup, port int, primaryZone, readerZone string) error {
	id := g.Region + "/" + g.ID
	var err error
	g.Spec.PrimaryEndpoint, _, err = p.endpoint("primary "+id, p.placement.subnets[primaryZone], port, p.names.primary(g.ID))
	if err != nil {
		return err
	}
	g.Spec.ReaderEndpoint, _, err = p.endpoint("reader "+id, p.placement.subnets[readerZone], port, p.names.reader(g.ID))
	return err
}

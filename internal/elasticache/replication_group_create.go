package elasticache

import (
	"context"
	"maps"
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
	if set(in.PrimaryClusterId) {
		g, err := s.adopt(ctx, in)
		if err != nil {
			return nil, err
		}
		return &wire.CreateReplicationGroupResult{ReplicationGroup: g}, nil
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
	shape  groupShape
	// uids has one entry for each member.
	uids []string
	// clusterMode is the word of the request: empty if it has none.
	clusterMode string
}

// newGroup checks all that needs no look at the store.
func (s *Service) newGroup(ctx context.Context, in *wire.CreateReplicationGroupMessage) (*groupDraft, error) {
	g, err := s.groupRecord(ctx, in)
	if err != nil {
		return nil, err
	}
	d := &groupDraft{group: *g}
	d.clusterMode = strings.ToLower(core.Val(in.ClusterMode))
	if d.shape, err = shapeOf(in, s.groupNodes); err != nil {
		return nil, err
	}
	if d.member, err = s.memberSpec(d, in); err != nil {
		return nil, err
	}
	for range d.shape.nodes() {
		d.uids = append(d.uids, s.newID())
	}
	return d, s.secure(d, in)
}

// groupRecord begins the record of a new group.
func (s *Service) groupRecord(ctx context.Context, in *wire.CreateReplicationGroupMessage) (*resource.ReplicationGroup, error) {
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
	return &resource.ReplicationGroup{
		Region: region(ctx), ID: id, UID: s.newID(), Created: s.clock.Now(), Generation: 1, Tags: tags,
		Spec: resource.ReplicationGroupSpec{
			Description: text, AutomaticFailover: core.Val(in.AutomaticFailoverEnabled), MultiAZ: core.Val(in.MultiAZEnabled),
		},
	}, nil
}

// memberSpec begins the spec that the members have in common.
func (s *Service) memberSpec(d *groupDraft, in *wire.CreateReplicationGroupMessage) (resource.CacheClusterSpec, error) {
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
	g := &d.group
	spec, err := s.spec(g.Region, g.UID, clusterSettings{
		engine: engine, version: in.EngineVersion, nodeType: in.CacheNodeType,
		parameterGroup: in.CacheParameterGroupName, subnetGroup: in.CacheSubnetGroupName, port: in.Port,
		securityGroups: in.SecurityGroupIds, cacheGroups: in.CacheSecurityGroupNames,
		maintenanceWindow: in.PreferredMaintenanceWindow, snapshotWindow: in.SnapshotWindow, autoMinor: in.AutoMinorVersionUpgrade,
	})
	if !set(in.CacheParameterGroupName) && (d.clusterMode == resource.ModeEnabled || d.clusterMode == resource.ModeCompatible || len(d.shape.shards) > 1 || d.shape.slots) {
		spec.ParameterGroup += ".cluster.on"
	}
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

// checkMode checks what depends on whether the parameter group of a new group has
// cluster mode on.
func (d *groupDraft) checkMode(clusterMode bool) error {
	spec, nodes := &d.group.Spec, d.shape.nodes()
	switch {
	case d.clusterMode != "" && (d.clusterMode != resource.ModeDisabled) != clusterMode:
		return errClusterModeMismatch(d.clusterMode, d.member.ParameterGroup)
	case d.clusterMode == resource.ModeCompatible && (len(d.shape.shards) > 1 || d.shape.shards[0].id != onlyShard):
		return errModeShards()
	case d.clusterMode == resource.ModeCompatible:
		return checkCompatible(&d.member, spec.AutomaticFailover, nodes)
	case clusterMode && !spec.AutomaticFailover:
		return errClusterModeFailover()
	case clusterMode:
		return nil
	case len(d.shape.shards) > 1 || d.shape.slots:
		return errShardsNeedClusterMode(d.member.ParameterGroup)
	case d.shape.shards[0].id != onlyShard:
		return errInvalidValue("The parameter NodeGroupId must be %s without cluster mode.", onlyShard)
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
	if err := d.checkMode(site.clusterMode); err != nil {
		return nil, err
	}
	var members []*resource.CacheCluster
	for i, shape := range d.shape.shards {
		placed, err := site.placeShard(tx, d, &g, member, i, len(members))
		if err != nil {
			return nil, err
		}
		shard := resource.Shard{ID: shape.id, Slots: shape.slots}
		for _, c := range placed {
			shard.Members = append(shard.Members, c.ID)
		}
		members = append(members, placed...)
		g.Spec.Members = append(g.Spec.Members, shard.Members...)
		if site.clusterMode {
			g.Spec.Shards = append(g.Spec.Shards, shard)
		}
	}
	g.Spec.Compatible = d.clusterMode == resource.ModeCompatible
	if g.Spec.MultiAZ && !spansZones(&g.Spec, members) {
		return nil, errMultiAZZones()
	}
	if err := site.addGroupEndpoints(&g, members); err != nil {
		return nil, err
	}
	resource.ReplicationGroups.Put(tx, key(g.Region, g.ID), &g)
	return &g, nil
}

// placeShard stores the members of the i-th shard of a new group; before counts the
// members of those before it. Shards begin in different zones, so that not all
// primaries are in one.
func (p site) placeShard(tx *store.Tx, d *groupDraft, g *resource.ReplicationGroup, member resource.CacheClusterSpec, i, before int) ([]*resource.CacheCluster, error) {
	shape := d.shape.shards[i]
	zones, err := p.placement.spread(shape.zones, i, shape.nodes)
	if err != nil {
		return nil, err
	}
	var placed []*resource.CacheCluster
	for n := range shape.nodes {
		id := memberID(g.ID, n+1)
		if p.clusterMode && d.clusterMode != resource.ModeCompatible {
			id = memberID(g.ID+"-"+shape.id, n+1)
		}
		c := &resource.CacheCluster{
			Region: g.Region, ID: id, UID: d.uids[before+n], Created: g.Created,
			Generation: 1, Spec: joinSpec(member), Tags: maps.Clone(g.Tags),
		}
		if _, exists := resource.CacheClusters.Get(tx, key(c.Region, c.ID)); exists {
			return nil, errClusterExists(c.ID)
		}
		if err := p.addMember(c, g.ID, zones[n]); err != nil {
			return nil, err
		}
		resource.CacheClusters.Put(tx, key(c.Region, c.ID), c)
		placed = append(placed, c)
	}
	return placed, nil
}

// addMember gives a member of a group its node.
func (p site) addMember(c *resource.CacheCluster, group, zone string) error {
	names := func(cluster, _ string) []string { return p.names.member(group, cluster) }
	return p.addNode(c, onlyNode, zone, c.Created, names)
}

// addGroupEndpoints gives a group the endpoints that lead to its primary and to
// its replicas, or with cluster mode the one that leads to any node, or all of them.
func (p site) addGroupEndpoints(g *resource.ReplicationGroup, members []*resource.CacheCluster) error {
	id := g.Region + "/" + g.ID
	first, last := members[0].Spec, members[len(members)-1].Spec
	primary, replica := p.placement.subnets[first.Nodes[0].Zone], p.placement.subnets[last.Nodes[0].Zone]
	var err error
	if p.clusterMode {
		g.Spec.ConfigurationEndpoint, _, err = p.endpoint("cluster "+id, primary, first.Port, p.names.shards(g.ID))
	}
	if err != nil || g.Spec.Mode() == resource.ModeEnabled {
		return err
	}
	g.Spec.PrimaryEndpoint, _, err = p.endpoint("primary "+id, primary, first.Port, p.names.primary(g.ID))
	if err != nil {
		return err
	}
	g.Spec.ReaderEndpoint, _, err = p.endpoint("reader "+id, replica, first.Port, p.names.reader(g.ID))
	return err
}

package elasticache

import (
	"context"
	"reflect"
	"slices"
	"time"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// ModifyReplicationGroup changes a group and what its members have in common.
func (s *Service) ModifyReplicationGroup(ctx context.Context, in *wire.ModifyReplicationGroupMessage) (*wire.ModifyReplicationGroupResult, error) {
	if err := refuseUnserved(unservedOfModifyGroup(in)); err != nil {
		return nil, err
	}
	id, err := replicationGroupID(in.ReplicationGroupId)
	if err != nil {
		return nil, err
	}
	token, err := s.tokenOf(in)
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	var out *wire.ReplicationGroup
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		g, members, err := loadGroup(tx, region(ctx), id)
		if err != nil {
			return err
		}
		if groupStatus(g) != statusAvailable {
			return errReplicationGroupState("Replication group must be in available state to modify.")
		}
		e := &groupEdit{service: s, tx: tx, g: g, members: members, in: in, token: token, now: now, tlsBefore: g.Spec.TLS}
		if err := e.apply(); err != nil {
			return err
		}
		e.put()
		out = s.wireGroup(tx, g)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &wire.ModifyReplicationGroupResult{ReplicationGroup: out}, nil
}

// unservedOfModifyGroup lists what ModifyReplicationGroup does not do yet.
func unservedOfModifyGroup(in *wire.ModifyReplicationGroupMessage) []refusal {
	return []refusal{
		{"SnapshottingClusterId", set(in.SnapshottingClusterId)},
		{"NodeGroupId", not(in.NodeGroupId, onlyShard)},
		{"NotificationTopicArn", set(in.NotificationTopicArn)},
		{"NotificationTopicStatus", set(in.NotificationTopicStatus)},
		{"SnapshotRetentionLimit", core.Val(in.SnapshotRetentionLimit) != 0},
		{"UserGroupIdsToAdd", len(in.UserGroupIdsToAdd) > 0},
		{"UserGroupIdsToRemove", len(in.UserGroupIdsToRemove) > 0},
		{"RemoveUserGroups", core.Val(in.RemoveUserGroups)},
		{"LogDeliveryConfigurations", len(in.LogDeliveryConfigurations) > 0},
		{"IpDiscovery", not(in.IpDiscovery, networkType)},
		{"Durability", not(in.Durability, disabled)},
	}
}

// tokenOf checks the strategy of a request and seals its token, whatever that is. The
// credential is nil when the request has no token.
func (s *Service) tokenOf(in *wire.ModifyReplicationGroupMessage) (*resource.Credential, error) {
	if core.Val(in.AuthTokenUpdateStrategy) == strategyDelete {
		return nil, errAuthTokenDelete()
	}
	if in.AuthToken == nil {
		if set(in.AuthTokenUpdateStrategy) {
			return nil, errStrategyWithoutToken()
		}
		return nil, nil
	}
	token, err := s.sealToken(*in.AuthToken)
	return &token, err
}

// groupEdit is one ModifyReplicationGroup under way in a transaction.
type groupEdit struct {
	service *Service
	tx      *store.Tx
	g       *resource.ReplicationGroup
	members []*resource.CacheCluster
	in      *wire.ModifyReplicationGroupMessage
	// token is the sealed AuthToken of the request, if it has one.
	token *resource.Credential
	now   time.Time
	// tlsBefore is the mode before the request.
	tlsBefore resource.TLSMode

	// changed: anything is different now; work: the controllers have to carry
	// it out, so that the group is not available until they have.
	changed, work bool
}

// apply makes all changes of the request, or none with an error.
func (e *groupEdit) apply() error {
	if e.wantsMode() {
		return e.mode()
	}
	steps := []func() error{
		e.description, e.failover, e.promotion, e.settings, e.parameters, e.securityGroups, e.transitEncryption, e.authToken, e.pend,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	if !e.changed && e.token == nil {
		return errNoModifications()
	}
	return nil
}

// put stores the group and its members.
func (e *groupEdit) put() {
	if e.work {
		beginGroupChange(e.g)
	}
	resource.ReplicationGroups.Put(e.tx, key(e.g.Region, e.g.ID), e.g)
	for _, c := range e.members {
		if e.work {
			beginClusterChange(c, changeModifying)
		}
		resource.CacheClusters.Put(e.tx, key(c.Region, c.ID), c)
	}
}

// beginGroupChange records that the controllers have work to do for a group.
func beginGroupChange(g *resource.ReplicationGroup) {
	g.Generation++
	g.Spec.Change = changeModifying
}

// pend changes what may wait for the maintenance window. It comes last: what is
// applied at once is applied to what the other steps have made of the group.
func (e *groupEdit) pend() error {
	before := e.g.Spec.Pending
	if err := checkPendingConflict(before, e.in.CacheNodeType, e.in.EngineVersion, core.Val(e.in.ApplyImmediately)); err != nil {
		return err
	}
	if err := e.service.pendNodeType(e.tx, e.members[0], &e.g.Spec.Pending, e.in.CacheNodeType); err != nil {
		return err
	}
	if err := e.service.pendEngine(e.tx, e.members[0], &e.g.Spec.Pending, e.engine()); err != nil {
		return err
	}
	pends := !reflect.DeepEqual(before, e.g.Spec.Pending)
	if pends && e.g.Spec.Compatible {
		return errModeCompatible("The node type and the engine")
	}
	e.changed = e.changed || pends
	if core.Val(e.in.ApplyImmediately) && !e.g.Spec.Pending.IsZero() {
		e.changed = true
		e.g.ApplyPending(e.members)
	}
	return nil
}

func (e *groupEdit) description() error {
	if e.in.ReplicationGroupDescription == nil {
		return nil
	}
	text, err := description("ReplicationGroupDescription", e.in.ReplicationGroupDescription)
	if err != nil {
		return err
	}
	e.changed = e.changed || text != e.g.Spec.Description
	e.g.Spec.Description = text
	return nil
}

// failover turns automatic failover and Multi-AZ on or off. Both only say what
// shall happen when a primary is lost, so there is nothing to wait for.
func (e *groupEdit) failover() error {
	spec := &e.g.Spec
	was := *spec
	if e.in.AutomaticFailoverEnabled != nil {
		spec.AutomaticFailover = *e.in.AutomaticFailoverEnabled
	}
	if e.in.MultiAZEnabled != nil {
		spec.MultiAZ = *e.in.MultiAZEnabled
	}
	if was.AutomaticFailover == spec.AutomaticFailover && was.MultiAZ == spec.MultiAZ {
		return nil
	}
	e.changed = true
	switch {
	case spec.ClusterMode() && !spec.AutomaticFailover:
		return errClusterModeFailoverOff()
	case spec.AutomaticFailover && len(e.members) < 2 && !spec.ClusterMode():
		return errFailoverReplica()
	case spec.MultiAZ && !spec.AutomaticFailover:
		return errMultiAZNeedsFailover()
	case spec.MultiAZ && !spansZones(spec, e.members):
		return errMultiAZZones()
	}
	return nil
}

// spansZones reports whether each shard has nodes in more than one zone.
func spansZones(spec *resource.ReplicationGroupSpec, members []*resource.CacheCluster) bool {
	shards := spec.Shards
	if !spec.ClusterMode() {
		shards = []resource.Shard{{Members: spec.Members}}
	}
	for _, sh := range shards {
		zones := map[string]bool{}
		for _, c := range members {
			if slices.Contains(sh.Members, c.ID) {
				zones[c.Spec.Nodes[0].Zone] = true
			}
		}
		if len(zones) < 2 {
			return false
		}
	}
	return true
}

// settings changes what each member has for itself.
func (e *groupEdit) settings() error {
	for _, c := range e.members {
		windows, err := changeWindows(&c.Spec, e.in.PreferredMaintenanceWindow, e.in.SnapshotWindow)
		if err != nil {
			return err
		}
		minor := changeAutoMinor(&c.Spec, e.in.AutoMinorVersionUpgrade)
		e.changed = e.changed || windows || minor
	}
	return nil
}

// engine is what the request asks of the engine.
func (e *groupEdit) engine() engineChange {
	return engineChange{engine: e.in.Engine, version: e.in.EngineVersion, parameterGroup: e.in.CacheParameterGroupName}
}

// parameters changes the parameter group, unless that goes with another version.
func (e *groupEdit) parameters() error {
	if _, upgrade, err := e.service.asked(e.members[0], e.engine()); err != nil || upgrade {
		return err
	}
	for _, c := range e.members {
		changed, err := e.service.changeParameterGroup(e.tx, c, e.in.CacheParameterGroupName)
		if err != nil {
			return err
		}
		e.needsWork(changed)
	}
	return nil
}

func (e *groupEdit) securityGroups() error {
	for _, c := range e.members {
		changed, err := e.service.changeSecurityGroups(e.tx, c, e.in.SecurityGroupIds)
		if err != nil {
			return err
		}
		e.needsWork(changed)
		if changed, err = e.service.changeCacheGroups(e.tx, c, e.in.CacheSecurityGroupNames); err != nil {
			return err
		}
		e.needsWork(changed)
	}
	return nil
}

// authToken rotates, sets or adds the token. It takes effect at once whatever
// ApplyImmediately says: a token that waits for a window would leave the one
// that is to be replaced valid without anybody noticing.
func (e *groupEdit) authToken() error {
	if e.token == nil {
		return nil
	}
	// A group that only this request makes require TLS is not there yet.
	if e.tlsBefore != resource.TLSRequired || e.g.Spec.TLS != resource.TLSRequired {
		return errAuthTokenNeedsTLS()
	}
	if err := validateAuthToken(*e.in.AuthToken); err != nil {
		return err
	}
	shared := &e.members[0].Spec
	if shared.Engine == catalog.Redis && catalog.Compare(shared.EngineVersion, rotationVersion) < 0 {
		return errRotationVersion(shared.EngineVersion)
	}
	strategy := core.Val(e.in.AuthTokenUpdateStrategy)
	if strategy == "" {
		strategy = strategyRotate
	}
	known, err := e.service.credentialOf(e.g.Spec.Auth, *e.in.AuthToken)
	if err != nil {
		return err
	}
	next, changed, err := nextAuth(e.g.Spec.Auth, *e.token, known, strategy)
	if err != nil {
		return err
	}
	if changed {
		next.Modified = &e.now
		e.g.Spec.Auth = next
	}
	e.needsWork(changed)
	return nil
}

// transitEncryption moves the group one TLS mode on.
func (e *groupEdit) transitEncryption() error {
	if e.in.TransitEncryptionEnabled == nil && !set(e.in.TransitEncryptionMode) {
		return nil
	}
	if e.members[0].Spec.Classic() {
		return errClassicEncryption()
	}
	if e.g.Spec.Auth.Enabled() {
		return errTLSWithAccessControl()
	}
	next, err := nextTLS(e.g.Spec.TLS, e.in.TransitEncryptionEnabled, core.Val(e.in.TransitEncryptionMode))
	if err != nil || next == e.g.Spec.TLS {
		return err
	}
	shared := &e.members[0].Spec
	if !servesTLSModes(shared.Engine, shared.EngineVersion) {
		return errTLSModeVersion(shared.Engine, shared.EngineVersion)
	}
	if !core.Val(e.in.ApplyImmediately) {
		return errApplyImmediately("TransitEncryptionEnabled and TransitEncryptionMode")
	}
	// The generation that put gives to this change.
	e.g.Spec.TLSBefore, e.g.Spec.TLSGeneration = e.g.Spec.TLS, e.g.Generation+1
	e.g.Spec.TLS = next
	for _, c := range e.members {
		c.Spec.TLS = next
	}
	e.needsWork(true)
	return nil
}

func (e *groupEdit) needsWork(changed bool) {
	e.changed = e.changed || changed
	e.work = e.work || changed
}

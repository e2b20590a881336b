package elasticache

import (
	"time"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// clusterEdit is one ModifyCacheCluster under way in a transaction.
type clusterEdit struct {
	service *Service
	tx      *store.Tx
	c       *resource.CacheCluster
	in      *wire.ModifyCacheClusterMessage
	now     time.Time
}

// apply makes all changes of the request, or none with an error. A request that
// changes nothing succeeds: asking for the number of nodes that there are is a
// way to say that nothing shall be pending.
func (e *clusterEdit) apply() error {
	c, in := e.c, e.in
	if err := checkMemcachedOnly(c, in); err != nil {
		return err
	}
	if c.Spec.ReplicationGroupID != "" {
		if err := e.sameShared(); err != nil {
			return err
		}
	}
	if _, err := changeWindows(&c.Spec, in.PreferredMaintenanceWindow, in.SnapshotWindow); err != nil {
		return err
	}
	changeAutoMinor(&c.Spec, in.AutoMinorVersionUpgrade)
	parameters := false
	_, upgrade, err := e.service.asked(c, e.engine())
	if err == nil && !upgrade {
		parameters, err = e.service.changeParameterGroup(e.tx, c, in.CacheParameterGroupName)
	}
	if err != nil {
		return err
	}
	groups, err := e.service.changeSecurityGroups(e.tx, c, in.SecurityGroupIds)
	if err != nil {
		return err
	}
	caches, err := e.service.changeCacheGroups(e.tx, c, in.CacheSecurityGroupNames)
	if err != nil {
		return err
	}
	if parameters || groups || caches {
		beginClusterChange(c, changeModifying)
	}
	return e.pend()
}

// sameShared refuses to change, for one member of a replication group alone, what all have in
// common.
func (e *clusterEdit) sameShared() error {
	spec := e.c.Spec
	if e.in.CacheParameterGroupName != nil || e.in.SecurityGroupIds != nil || e.in.CacheSecurityGroupNames != nil || not(e.in.CacheNodeType, spec.NodeType) {
		return errMemberSettings(e.c.ID, spec.ReplicationGroupID)
	}
	_, upgrade, err := e.service.asked(e.c, e.engine())
	if upgrade {
		return errMemberSettings(e.c.ID, spec.ReplicationGroupID)
	}
	return err
}

// engine is what the request asks of the engine.
func (e *clusterEdit) engine() engineChange {
	return engineChange{engine: e.in.Engine, version: e.in.EngineVersion, parameterGroup: e.in.CacheParameterGroupName}
}

// pend changes what may wait for the maintenance window, and what waits already
// if the request is to be carried out at once.
func (e *clusterEdit) pend() error {
	c, in := e.c, e.in
	if c.Spec.ReplicationGroupID != "" {
		return nil
	}
	if err := checkPendingConflict(c.Spec.Pending, in.CacheNodeType, in.EngineVersion, core.Val(in.ApplyImmediately)); err != nil {
		return err
	}
	if err := e.service.pendNodeType(e.tx, c, &c.Spec.Pending, in.CacheNodeType); err != nil {
		return err
	}
	if err := e.service.pendEngine(e.tx, c, &c.Spec.Pending, e.engine()); err != nil {
		return err
	}
	if err := e.pendNodes(); err != nil {
		return err
	}
	if core.Val(in.ApplyImmediately) && !c.Spec.Pending.IsZero() {
		c.ApplyPending()
	}
	return nil
}

package elasticache

import (
	"slices"
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
	if err := e.service.sameShape(c, in.Engine, in.EngineVersion, in.CacheNodeType); err != nil {
		return err
	}
	if err := checkMemcachedOnly(c, in); err != nil {
		return err
	}
	if c.Spec.ReplicationGroupID != "" && (in.CacheParameterGroupName != nil || in.SecurityGroupIds != nil || in.CacheSecurityGroupNames != nil) {
		return errMemberSettings(c.ID, c.Spec.ReplicationGroupID)
	}
	if _, err := changeWindows(&c.Spec, in.PreferredMaintenanceWindow, in.SnapshotWindow); err != nil {
		return err
	}
	changeAutoMinor(&c.Spec, in.AutoMinorVersionUpgrade)
	parameters, err := e.service.changeParameterGroup(e.tx, c, in.CacheParameterGroupName)
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
	nodes, err := e.changeNodes()
	if err != nil {
		return err
	}
	if parameters || groups || caches || nodes {
		beginClusterChange(c, changeModifying)
	}
	return nil
}

// changeNodes adds or removes nodes of a Memcached cluster.
func (e *clusterEdit) changeNodes() (bool, error) {
	have, want := len(e.c.Spec.Nodes), len(e.c.Spec.Nodes)
	if e.in.NumCacheNodes != nil {
		want = *e.in.NumCacheNodes
	}
	switch {
	case want < 1:
		return false, errInvalidValue("The parameter NumCacheNodes must be at least 1.")
	case want > maxMemcachedNodes:
		return false, errNodeQuota(maxMemcachedNodes)
	case want >= have && len(e.in.CacheNodeIdsToRemove) > 0:
		return false, errInvalidCombination("The parameter CacheNodeIdsToRemove needs a NumCacheNodes below the current number of nodes, %d.", have)
	case want <= have && len(e.in.NewAvailabilityZones) > 0:
		return false, errInvalidCombination("The parameter NewAvailabilityZones needs a NumCacheNodes above the current number of nodes, %d.", have)
	}
	if err := e.checkAZMode(want > have); err != nil {
		return false, err
	}
	if want == have {
		return false, nil
	}
	if !core.Val(e.in.ApplyImmediately) {
		return false, errApplyImmediately("NumCacheNodes")
	}
	if want < have {
		return true, e.removeNodes(have - want)
	}
	return true, e.addNodes(want - have)
}

// checkAZMode refuses a mode that contradicts where the nodes are, or that
// would have no effect because no node is added.
func (e *clusterEdit) checkAZMode(growing bool) error {
	spans := core.Val(clusterZone(e.c)) == zoneMultiple
	switch core.Val(e.in.AZMode) {
	case azSingle:
		if spans {
			return errInvalidCombination("The parameter AZMode cannot be single-az: the cluster has nodes in more than one availability zone.")
		}
	case azCross:
		if !spans && !growing {
			return errInvalidCombination("The parameter AZMode applies to nodes that are added: cross-az needs a NumCacheNodes above the current number.")
		}
	}
	return nil
}

func (e *clusterEdit) removeNodes(n int) error {
	ids := e.in.CacheNodeIdsToRemove
	if len(ids) != n {
		return errInvalidCombination("The parameter CacheNodeIdsToRemove must name %d of the nodes, as many as are to be removed.", n)
	}
	kept := slices.DeleteFunc(slices.Clone(e.c.Spec.Nodes), func(s resource.NodeSlot) bool { return slices.Contains(ids, s.ID) })
	if len(e.c.Spec.Nodes)-len(kept) != n {
		return errInvalidValue("The parameter CacheNodeIdsToRemove must name existing nodes of cache cluster %s, each once.", e.c.ID)
	}
	e.c.Spec.Nodes = kept
	for _, id := range ids {
		delete(e.c.Spec.Reboot, id)
	}
	return nil
}

func (e *clusterEdit) addNodes(n int) error {
	asked := e.in.NewAvailabilityZones
	if len(asked) > 0 && len(asked) != n {
		return errZoneCount()
	}
	vpc, subnets, err := e.service.subnetsOf(e.tx, e.c.Region, e.c.Spec.SubnetGroup)
	if err != nil {
		return err
	}
	site := e.service.siteOf(e.tx, vpc, subnets)
	cross := core.Val(e.in.AZMode) == azCross || core.Val(clusterZone(e.c)) == zoneMultiple
	if len(asked) == 0 && !cross {
		asked = slices.Repeat([]string{e.c.Spec.Nodes[0].Zone}, n)
	}
	zones, err := site.placement.spread(asked, len(e.c.Spec.Nodes), n)
	if err != nil {
		return err
	}
	for _, zone := range zones {
		if err := site.addNode(e.c, freeNodeID(e.c.Spec.Nodes), zone, e.now, site.names.clusterNode); err != nil {
			return err
		}
	}
	return nil
}

// freeNodeID is the lowest id that no node has. A removed node's id can come
// again: by then nothing of the old node is left, since a cluster must be
// available to be changed.
func freeNodeID(nodes []resource.NodeSlot) string {
	for n := 1; ; n++ {
		id := nodeID(n)
		if !slices.ContainsFunc(nodes, func(s resource.NodeSlot) bool { return s.ID == id }) {
			return id
		}
	}
}

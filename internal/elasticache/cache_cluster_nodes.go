package elasticache

import (
	"cmp"
	"slices"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
)

// pendNodes changes which nodes of a Memcached cluster are to come or to go. What
// was to come or to go before gives way, except that nodes can be added to those
// that are to come; the present number says that nothing shall wait.
func (e *clusterEdit) pendNodes() error {
	pending := &e.c.Spec.Pending
	have := len(e.c.Spec.Nodes)
	coming := have + len(pending.AddNodes)
	want := coming
	if len(pending.RemoveNodes) > 0 {
		want = have
	}
	if e.in.NumCacheNodes != nil {
		want = *e.in.NumCacheNodes
	}
	switch {
	case want < 1:
		return errInvalidValue("The parameter NumCacheNodes must be at least 1.")
	case want > maxMemcachedNodes:
		return errNodeQuota(maxMemcachedNodes)
	case want >= have && len(e.in.CacheNodeIdsToRemove) > 0:
		return errInvalidCombination("The parameter CacheNodeIdsToRemove needs a NumCacheNodes below the current number of nodes, %d.", have)
	case want <= coming && len(e.in.NewAvailabilityZones) > 0:
		return errInvalidCombination("The parameter NewAvailabilityZones needs a NumCacheNodes above the number of nodes that there are or are to come, %d.", coming)
	}
	if err := e.checkAZMode(want > coming); err != nil {
		return err
	}
	if e.in.NumCacheNodes == nil {
		return nil
	}
	pending.RemoveNodes = nil
	if want < have {
		e.dropComing(0)
		return e.pendRemoval(have - want)
	}
	if want < coming {
		e.dropComing(want - have)
	}
	return e.pendAddition(want - coming)
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

// dropComing lets only the first n of the nodes that are to come still come.
func (e *clusterEdit) dropComing(n int) {
	pending := &e.c.Spec.Pending
	for _, slot := range pending.AddNodes[n:] {
		releaseEndpoint(e.tx, e.c.Region, slot)
	}
	pending.AddNodes = slices.Clone(pending.AddNodes[:n])
}

func (e *clusterEdit) pendRemoval(n int) error {
	ids := e.in.CacheNodeIdsToRemove
	if len(ids) != n {
		return errInvalidCombination("The parameter CacheNodeIdsToRemove must name %d of the nodes, as many as are to be removed.", n)
	}
	kept := slices.DeleteFunc(slices.Clone(e.c.Spec.Nodes), func(s resource.NodeSlot) bool { return slices.Contains(ids, s.ID) })
	if len(e.c.Spec.Nodes)-len(kept) != n {
		return errInvalidValue("The parameter CacheNodeIdsToRemove must name existing nodes of cache cluster %s, each once.", e.c.ID)
	}
	e.c.Spec.Pending.RemoveNodes = slices.Sorted(slices.Values(ids))
	return nil
}

// pendAddition takes the addresses of n nodes more, so that the window does not find
// none left.
func (e *clusterEdit) pendAddition(n int) error {
	if n <= 0 {
		return nil
	}
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
	pending := &e.c.Spec.Pending
	taken := slices.Concat(e.c.Spec.Nodes, pending.AddNodes)
	zones, err := site.placement.spread(asked, len(taken), n)
	if err != nil {
		return err
	}
	for _, zone := range zones {
		slot, err := site.slot(e.c, freeNodeID(taken), zone, e.now, site.names.clusterNode)
		if err != nil {
			return err
		}
		taken, pending.AddNodes = append(taken, slot), append(pending.AddNodes, slot)
	}
	slices.SortFunc(pending.AddNodes, func(a, b resource.NodeSlot) int { return cmp.Compare(a.ID, b.ID) })
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

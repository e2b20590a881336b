package elasticache

import (
	"reflect"
	"slices"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
)

// The cluster mode of a group changes one step at a time, and there is no way back from
// the last:
//
//	disabled <------> compatible -------> enabled
//
// The first step gives every node a new process; the second one only takes away the
// endpoints of clients that know nothing of cluster mode.

// modeVersions are the first versions whose groups can change their mode.
var modeVersions = map[string]string{catalog.Redis: "7.0", catalog.Valkey: "7.2"}

// servesModes reports whether a group of this engine can be compatible, and with that
// change its mode.
func servesModes(engine, version string) bool {
	first, ok := modeVersions[engine]
	return ok && catalog.Compare(version, first) >= 0
}

// shownMode is the cluster mode that a group has now, and what it is to have if that is
// being carried out.
func shownMode(g *resource.ReplicationGroup) (mode, pending string) {
	mode = g.Spec.Mode()
	c := g.Spec.ModeChange
	switch {
	case c == nil, c.Before == mode:
		return mode, ""
	}
	return c.Before, mode
}

// modeParameterGroup is the default parameter group that takes the place of another one
// when the mode changes; empty if that is no default group.
func modeParameterGroup(name, mode string) string {
	const on = ".cluster.on"
	if !strings.HasPrefix(name, "default.") {
		return ""
	}
	name = strings.TrimSuffix(name, on)
	if mode != resource.ModeDisabled {
		name += on
	}
	return name
}

// wantsMode reports whether a request asks for another cluster mode.
func (e *groupEdit) wantsMode() bool { return not(e.in.ClusterMode, e.g.Spec.Mode()) }

// mode changes the cluster mode.
func (e *groupEdit) mode() error {
	from, to := e.g.Spec.Mode(), strings.ToLower(*e.in.ClusterMode)
	if err := e.checkMode(from, to); err != nil {
		return err
	}
	before := e.members[0].Spec.ParameterGroup
	if err := e.modeParameters(to); err != nil {
		return err
	}
	if to == resource.ModeCompatible {
		if err := e.configurationEndpoint(); err != nil {
			return err
		}
	}
	e.g.Spec.ModeChange = &resource.ModeChange{Before: from, ParameterGroup: before}
	e.g.Spec.SetMode(to)
	e.needsWork(true)
	return nil
}

func (e *groupEdit) checkMode(from, to string) error {
	rest := *e.in
	rest.ReplicationGroupId, rest.ClusterMode, rest.CacheParameterGroupName, rest.ApplyImmediately = nil, nil, nil, nil
	shared := &e.members[0].Spec
	switch {
	case !reflect.DeepEqual(rest, wire.ModifyReplicationGroupMessage{}):
		return errModeAlone()
	case from == resource.ModeEnabled, from == resource.ModeDisabled && to == resource.ModeEnabled:
		return errModeStep(from, to)
	case !core.Val(e.in.ApplyImmediately):
		return errApplyImmediately("ClusterMode")
	case !e.g.Spec.Pending.IsZero():
		return errModePending()
	case to == resource.ModeEnabled && e.published():
		return errModePublished(e.g.ID)
	case to == resource.ModeCompatible:
		return checkCompatible(shared, e.g.Spec.AutomaticFailover, len(e.members))
	}
	return nil
}

// checkCompatible checks what a group must have to be compatible.
func checkCompatible(shared *resource.CacheClusterSpec, failover bool, nodes int) error {
	switch {
	case !servesModes(shared.Engine, shared.EngineVersion):
		return errModeVersion(shared.Engine, shared.EngineVersion)
	case !failover || nodes < 2:
		return errModeFailover()
	}
	return nil
}

// published reports whether clients outside of the VPC come to an endpoint of the group
// that it will not have in cluster mode.
func (e *groupEdit) published() bool {
	id := e.g.Region + "/" + e.g.ID
	return slices.ContainsFunc(resource.Publications.List(e.tx, e.g.Region+"/"), func(p *resource.Publication) bool {
		return p.OwnerUID == e.g.UID && (p.Endpoint == "primary "+id || p.Endpoint == "reader "+id)
	})
}

// modeParameters gives the members a parameter group for another mode: the one that was
// asked for, or the default one in place of a default one.
func (e *groupEdit) modeParameters(to string) error {
	for _, c := range e.members {
		name := strings.ToLower(core.Val(e.in.CacheParameterGroupName))
		if name == "" && to == resource.ModeEnabled {
			continue
		}
		if name == "" {
			name = modeParameterGroup(c.Spec.ParameterGroup, to)
		}
		if name == "" {
			return errModeParameters(c.Spec.ParameterGroup, to)
		}
		version, _ := e.service.catalog.Lookup(c.Spec.Engine, c.Spec.EngineVersion)
		on, err := e.service.parameterGroupFor(e.tx, c.Region, name, version, c.Spec.NodeType)
		if err != nil {
			return err
		}
		if on != (to != resource.ModeDisabled) {
			return errModeParameters(name, to)
		}
		c.Spec.ParameterGroup = name
	}
	return nil
}

// configurationEndpoint gives the group the endpoint of cluster mode.
func (e *groupEdit) configurationEndpoint() error {
	first := &e.members[0].Spec
	vpc, subnets, err := e.service.subnetsOf(e.tx, e.g.Region, first.SubnetGroup)
	if err != nil {
		return err
	}
	p := e.service.siteOf(e.tx, vpc, subnets)
	e.g.Spec.ConfigurationEndpoint, _, err = p.endpoint("cluster "+e.g.Region+"/"+e.g.ID, p.placement.subnets[first.Nodes[0].Zone], first.Port, p.names.shards(e.g.ID))
	return err
}

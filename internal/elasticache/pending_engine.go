package elasticache

import (
	"strings"

	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// engineChange is what a request asks of the engine of a cluster or group.
type engineChange struct {
	engine, version, parameterGroup *string
}

// asked reports whether another engine or version is asked for than c has.
func (s *Service) asked(c *resource.CacheCluster, in engineChange) (catalog.Version, bool, error) {
	engine := c.Spec.Engine
	if set(in.engine) {
		engine = strings.ToLower(*in.engine)
	}
	switch {
	case engine == c.Spec.Engine && (!set(in.version) || *in.version == c.Spec.EngineVersion):
		v, _ := s.catalog.Lookup(engine, c.Spec.EngineVersion)
		return v, false, nil
	case !set(in.version):
		return catalog.Version{}, false, errMissing("EngineVersion")
	}
	if engine != c.Spec.Engine && !(c.Spec.Engine == catalog.Redis && engine == catalog.Valkey) {
		return catalog.Version{}, false, errEngineChange(c.Spec.Engine, engine)
	}
	v, err := s.catalog.Resolve(engine, *in.version)
	return v, err == nil && (v.Engine != c.Spec.Engine || v.Full != c.Spec.EngineVersion), err
}

// pendEngine adds a change of the engine or its version to what waits for c, or
// takes it back when the version that c has is asked for.
func (s *Service) pendEngine(r store.Reader, c *resource.CacheCluster, pending *resource.Pending, in engineChange) error {
	if !set(in.engine) && !set(in.version) {
		return nil
	}
	v, changed, err := s.asked(c, in)
	if err != nil || !changed && !set(in.version) {
		return err
	}
	pending.Engine, pending.EngineVersion, pending.ParameterGroup = nil, nil, nil
	if !changed {
		return nil
	}
	if v.Engine == c.Spec.Engine && catalog.Compare(v.Full, c.Spec.EngineVersion) < 0 {
		return errDowngrade(c.Spec.Engine, c.Spec.EngineVersion, v.Name)
	}
	nodeType := c.Spec.NodeType
	if pending.NodeType != nil {
		nodeType = *pending.NodeType
	}
	if _, err := nodeTypeFor(nodeType, v); err != nil {
		return err
	}
	group, err := s.parametersFor(r, c, v, nodeType, core.Val(in.parameterGroup))
	if err != nil {
		return err
	}
	pending.Engine, pending.EngineVersion = &v.Engine, &v.Full
	if group != c.Spec.ParameterGroup {
		pending.ParameterGroup = &group
	}
	return nil
}

// parametersFor is the parameter group that c has with another version: the one asked
// for, its own if that is of the version's family, or the default one in place
// of a default one.
func (s *Service) parametersFor(r store.Reader, c *resource.CacheCluster, v catalog.Version, nodeType, asked string) (string, error) {
	has, _ := s.catalog.Lookup(c.Spec.Engine, c.Spec.EngineVersion)
	name := strings.ToLower(asked)
	if name == "" {
		name = c.Spec.ParameterGroup
		if rest, standard := strings.CutPrefix(name, "default."+has.Family); standard && has.Family != v.Family {
			name = "default." + v.Family + rest // the rest says that it is for cluster mode
		}
	}
	group, err := s.lookupParameterGroup(r, c.Region, name)
	if err == nil && asked == "" && group.Family != v.Family {
		err = errUpgradeParameterGroup(c.Spec.ParameterGroup, v.Family)
	}
	if err != nil {
		return "", err
	}
	return name, s.replaces(r, c, name, v, nodeType)
}

// checkPendingConflict refuses to do at once what another change that waits excludes: a
// version while a node type waits, and the reverse, unless the request has both.
func checkPendingConflict(waiting resource.Pending, nodeType, version *string, immediately bool) error {
	switch {
	case !immediately || set(nodeType) && set(version):
		return nil
	case waiting.NodeType != nil && set(version) && !set(nodeType):
		return errPendingConflict("CacheNodeType", "EngineVersion")
	case waiting.EngineVersion != nil && set(nodeType) && !set(version):
		return errPendingConflict("EngineVersion", "CacheNodeType")
	}
	return nil
}

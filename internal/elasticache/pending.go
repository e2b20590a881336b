package elasticache

import (
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// Everything that may wait for a maintenance window goes through the record's
// resource.Pending: a request adds to it, and with ApplyImmediately, or when the
// window opens, all of it is applied.

// pendNodeType adds a change of the node type to what waits for c, or takes it
// back when the type that c has is asked for.
func (s *Service) pendNodeType(r store.Reader, c *resource.CacheCluster, pending *resource.Pending, asked *string) error {
	if !set(asked) {
		return nil
	}
	name := strings.ToLower(*asked)
	if name == c.Spec.NodeType {
		pending.NodeType = nil
		return nil
	}
	version, _ := s.catalog.Lookup(c.Spec.Engine, c.Spec.EngineVersion)
	t, err := nodeTypeFor(name, version)
	if err != nil {
		return err
	}
	if c.Spec.Engine == catalog.Memcached {
		return errMemcachedNodeType()
	}
	group, err := s.lookupParameterGroup(r, c.Region, c.Spec.ParameterGroup)
	if err != nil {
		return err
	}
	if err := checkParametersFit(group, t.Name); err != nil {
		return err
	}
	pending.NodeType = &t.Name
	return nil
}

// wirePending is what of a cluster is to change: what waits for the window, and
// what is being carried out but is not true yet. g is the cluster's group, or an
// empty one.
func wirePending(c *resource.CacheCluster, g *resource.ReplicationGroup) *wire.PendingModifiedValues {
	waiting := c.Spec.Pending
	if g.ID != "" {
		waiting = g.Spec.Pending
	}
	out := &wire.PendingModifiedValues{
		CacheNodeType: waiting.NodeType, EngineVersion: waiting.EngineVersion,
		AuthTokenStatus: nonEmpty(g.Spec.Auth.Change),
	}
	now := runs(c)
	if out.CacheNodeType == nil && now.nodeType != c.Spec.NodeType {
		out.CacheNodeType = &c.Spec.NodeType
	}
	if out.EngineVersion == nil && (now.version != c.Spec.EngineVersion || now.engine != c.Spec.Engine) {
		out.EngineVersion = &c.Spec.EngineVersion
	}
	if n := len(waiting.AddNodes) - len(waiting.RemoveNodes); n != 0 {
		out.NumCacheNodes = core.Ptr(len(c.Spec.Nodes) + n)
		out.CacheNodeIdsToRemove = waiting.RemoveNodes
	}
	if _, pendingTLS := groupTLS(g); pendingTLS && g.ID != "" {
		out.TransitEncryptionEnabled = core.Ptr(g.Spec.TLS != resource.TLSOff)
		out.TransitEncryptionMode = nonEmpty(string(g.Spec.TLS))
	}
	return out
}

// running is what the nodes of a cluster run as.
type running struct{ engine, version, nodeType string }

// runs is what the nodes of a cluster run as now. While a change is carried out that is
// not what is wanted.
func runs(c *resource.CacheCluster) running {
	if c.Status.EngineVersion == "" {
		return running{c.Spec.Engine, c.Spec.EngineVersion, c.Spec.NodeType}
	}
	return running{c.Status.Engine, c.Status.EngineVersion, c.Status.NodeType}
}

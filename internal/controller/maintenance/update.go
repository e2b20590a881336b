package maintenance

import (
	"strings"

	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/controller/step"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// update are the steps that apply a service update that nobody has applied or stopped: to
// a newer program of the minor version that runs, if the owner wants these by
// itself. c is a cluster of its own, or the first member of a group. Memcached would lose
// what it holds, so that only a user applies those.
func update(r store.Reader, c *resource.CacheCluster) []step.Step {
	if !c.Spec.AutoMinorVersionUpgrade || c.Spec.Engine == catalog.Memcached || len(c.Spec.Nodes) == 0 {
		return nil
	}
	n, ok := resource.Nodes.Get(r, c.Region+"/"+c.ID+"/"+c.Spec.Nodes[0].ID)
	if !ok || !nodespec.Alive(n) {
		return nil
	}
	for _, a := range resource.UpdateActions.List(r, c.Region+"/") {
		own := a.GroupID == c.Spec.ReplicationGroupID && (a.GroupID != "" || a.ClusterID == c.ID)
		u, known := resource.ServiceUpdates.Get(r, a.Region+"/"+a.Update)
		if own && known && a.Applied == nil && a.Stopped == nil && u.Engine == c.Spec.Engine && line(u.Version) == line(n.Status.BinaryVersion) &&
			catalog.Compare(n.Status.BinaryVersion, u.Version) < 0 {
			return []step.Step{step.ApplyUpdate{Action: *a, Version: u.Version}}
		}
	}
	return nil
}

// line is the minor version of a program: 8.0 of 8.0.1.
func line(version string) string {
	if at := strings.LastIndexByte(version, '.'); at > 0 && strings.Count(version, ".") == 2 {
		return version[:at]
	}
	return version
}

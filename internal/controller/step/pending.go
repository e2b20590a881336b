package step

import (
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// ApplyClusterPending makes what waits for the window of a cluster of its own
// wanted now.
type ApplyClusterPending struct{ Key string }

func (s ApplyClusterPending) String() string { return "cluster " + s.Key + ": apply what is pending" }

func (s ApplyClusterPending) apply(tx *store.Tx, _ *commit) {
	if c, ok := resource.CacheClusters.Get(tx, s.Key); ok {
		c.ApplyPending()
		resource.CacheClusters.Put(tx, s.Key, c)
	}
}

// ApplyGroupPending makes what waits for the window of a group wanted now.
type ApplyGroupPending struct{ Key string }

func (s ApplyGroupPending) String() string { return "group " + s.Key + ": apply what is pending" }

func (s ApplyGroupPending) apply(tx *store.Tx, _ *commit) {
	g, ok := resource.ReplicationGroups.Get(tx, s.Key)
	if !ok {
		return
	}
	var members []*resource.CacheCluster
	for _, id := range g.Spec.Members {
		if c, ok := resource.CacheClusters.Get(tx, g.Region+"/"+id); ok {
			members = append(members, c)
		}
	}
	g.ApplyPending(members)
	resource.ReplicationGroups.Put(tx, s.Key, g)
	for _, c := range members {
		resource.CacheClusters.Put(tx, c.Region+"/"+c.ID, c)
	}
}

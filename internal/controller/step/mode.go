package step

import (
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// AbandonMode makes the cluster mode and the parameter group from before a change wanted
// again.
type AbandonMode struct{ Key string }

func (s AbandonMode) String() string { return "group " + s.Key + ": keeps its cluster mode" }

func (s AbandonMode) apply(tx *store.Tx, _ *commit) {
	g, ok := resource.ReplicationGroups.Get(tx, s.Key)
	if !ok || g.Spec.ModeChange == nil {
		return
	}
	g.Spec.SetMode(g.Spec.ModeChange.Before)
	g.Generation++
	resource.ReplicationGroups.Put(tx, s.Key, g)
	for _, id := range g.Spec.Members {
		if c, ok := resource.CacheClusters.Get(tx, g.Region+"/"+id); ok {
			c.Spec.ParameterGroup = g.Spec.ModeChange.ParameterGroup
			c.Generation++
			resource.CacheClusters.Put(tx, g.Region+"/"+id, c)
		}
	}
}

// FinishMode records that every node has the cluster mode that is wanted, and drops the
// endpoints of others.
type FinishMode struct{ Key string }

func (s FinishMode) String() string { return "group " + s.Key + ": cluster mode is in force" }

func (s FinishMode) apply(tx *store.Tx, _ *commit) {
	g, ok := resource.ReplicationGroups.Get(tx, s.Key)
	if !ok {
		return
	}
	g.Spec.ModeChange = nil
	switch g.Spec.Mode() {
	case resource.ModeDisabled:
		g.Spec.ConfigurationEndpoint = resource.Endpoint{}
	case resource.ModeEnabled:
		g.Spec.PrimaryEndpoint, g.Spec.ReaderEndpoint = resource.Endpoint{}, resource.Endpoint{}
	}
	resource.ReplicationGroups.Put(tx, s.Key, g)
}

package step

import (
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// OfferUpdate makes the record of a service update.
type OfferUpdate struct{ Update resource.ServiceUpdate }

func (s OfferUpdate) String() string {
	return "service update " + s.Update.Name + " in " + s.Update.Region
}

func (s OfferUpdate) apply(tx *store.Tx, _ *commit) {
	resource.ServiceUpdates.Put(tx, s.Update.Region+"/"+s.Update.Name, &s.Update)
}

// OfferAction makes the record of a service update for a group or cluster.
type OfferAction struct{ Action resource.UpdateAction }

func (s OfferAction) key() string {
	return resource.UpdateActionKey(s.Action.Region, s.Action.Update, s.Action.GroupID, s.Action.ClusterID)
}

func (s OfferAction) String() string { return "service update available: " + s.key() }

func (s OfferAction) apply(tx *store.Tx, _ *commit) {
	resource.UpdateActions.Put(tx, s.key(), &s.Action)
}

// ApplyUpdate asks for the program of a service update for a group or cluster.
type ApplyUpdate struct {
	Action  resource.UpdateAction
	Version string
}

func (s ApplyUpdate) key() string {
	return resource.UpdateActionKey(s.Action.Region, s.Action.Update, s.Action.GroupID, s.Action.ClusterID)
}

func (s ApplyUpdate) String() string { return "service update applied: " + s.key() }

func (s ApplyUpdate) apply(tx *store.Tx, c *commit) {
	a, ok := resource.UpdateActions.Get(tx, s.key())
	if !ok {
		return
	}
	ids := []string{a.ClusterID}
	g, group := resource.ReplicationGroups.Get(tx, a.Region+"/"+a.GroupID)
	if group {
		ids = g.Spec.Members
	}
	var members []*resource.CacheCluster
	for _, id := range ids {
		if member, ok := resource.CacheClusters.Get(tx, a.Region+"/"+id); ok {
			members = append(members, member)
		}
	}
	if group {
		g.Update(members, s.Version)
		resource.ReplicationGroups.Put(tx, g.Region+"/"+g.ID, g)
	} else {
		for _, member := range members {
			member.Update(s.Version)
		}
	}
	for _, member := range members {
		resource.CacheClusters.Put(tx, member.Region+"/"+member.ID, member)
	}
	a.Applied = core.Ptr(c.now)
	resource.UpdateActions.Put(tx, s.key(), a)
}

// WithdrawAction removes the record of a service update for what is no more.
type WithdrawAction struct{ Key string }

func (s WithdrawAction) String() string { return "service update withdrawn: " + s.Key }

func (s WithdrawAction) apply(tx *store.Tx, _ *commit) { resource.UpdateActions.Delete(tx, s.Key) }

package step

import (
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

// WithdrawAction removes the record of a service update for what is no more.
type WithdrawAction struct{ Key string }

func (s WithdrawAction) String() string { return "service update withdrawn: " + s.Key }

func (s WithdrawAction) apply(tx *store.Tx, _ *commit) { resource.UpdateActions.Delete(tx, s.Key) }

package elasticache

import (
	"context"
	"slices"
	"strings"
	"time"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// maxUpdateOwners is how many groups and clusters one request may name.
const maxUpdateOwners = 20

// BatchApplyUpdateAction implements wire.Service: nodes with an older program are
// restarted, replicas first.
func (s *Service) BatchApplyUpdateAction(ctx context.Context, in *wire.BatchApplyUpdateActionMessage) (*wire.UpdateActionResultsMessage, error) {
	return s.forEachAction(ctx, core.Val(in.ServiceUpdateName), in.ReplicationGroupIds, in.CacheClusterIds, applyUpdate)
}

// BatchStopUpdateAction implements wire.Service: nodes that are being restarted
// come up with the new program, the others stay as they are.
func (s *Service) BatchStopUpdateAction(ctx context.Context, in *wire.BatchStopUpdateActionMessage) (*wire.UpdateActionResultsMessage, error) {
	return s.forEachAction(ctx, core.Val(in.ServiceUpdateName), in.ReplicationGroupIds, in.CacheClusterIds, stopUpdate)
}

// updateDeed changes the records of an action and its owner.
type updateDeed func(a *updateAction, now time.Time) error

// forEachAction does something to the action of an update for each of the owners that a request
// names. One that is refused does not keep the others from it.
func (s *Service) forEachAction(ctx context.Context, name string, groups, clusters []string, do updateDeed) (*wire.UpdateActionResultsMessage, error) {
	if n := len(groups) + len(clusters); n == 0 || n > maxUpdateOwners {
		return nil, errInvalidCombination("Between 1 and %d of the parameters ReplicationGroupIds and CacheClusterIds must be given.", maxUpdateOwners)
	}
	var out *wire.UpdateActionResultsMessage
	now := s.clock.Now()
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		// Both lists are always there: scripts index them without asking.
		out = &wire.UpdateActionResultsMessage{ProcessedUpdateActions: []*wire.ProcessedUpdateAction{}, UnprocessedUpdateActions: []*wire.UnprocessedUpdateAction{}}
		u, err := loadUpdate(tx, region(ctx), name)
		if err != nil {
			return err
		}
		for i, id := range slices.Concat(groups, clusters) {
			a := &resource.UpdateAction{Region: u.Region, Update: u.Name}
			if id = strings.ToLower(id); i < len(groups) {
				a.GroupID = id
			} else {
				a.ClusterID = id
			}
			status, err := actOn(tx, a, do, now)
			if err != nil {
				e, ok := core.AsError(err)
				if !ok {
					return err
				}
				out.UnprocessedUpdateActions = append(out.UnprocessedUpdateActions, &wire.UnprocessedUpdateAction{
					ReplicationGroupId: nonEmpty(a.GroupID), CacheClusterId: nonEmpty(a.ClusterID), ServiceUpdateName: &u.Name,
					ErrorType: &e.Code, ErrorMessage: &e.Message,
				})
				continue
			}
			out.ProcessedUpdateActions = append(out.ProcessedUpdateActions, &wire.ProcessedUpdateAction{
				ReplicationGroupId: nonEmpty(a.GroupID), CacheClusterId: nonEmpty(a.ClusterID), ServiceUpdateName: &u.Name, UpdateActionStatus: &status,
			})
		}
		return nil
	})
	return out, err
}

// actOn does something to one action and gives its status then.
func actOn(tx *store.Tx, wanted *resource.UpdateAction, do updateDeed, now time.Time) (string, error) {
	var seen *updateAction
	if a, ok := resource.UpdateActions.Get(tx, resource.UpdateActionKey(wanted.Region, wanted.Update, wanted.GroupID, wanted.ClusterID)); ok {
		seen = readAction(tx, a)
	}
	if seen == nil {
		return "", errNoUpdateAction(wanted.Update, wanted.GroupID+wanted.ClusterID)
	}
	if err := do(seen, now); err != nil {
		return "", err
	}
	resource.UpdateActions.Put(tx, seen.key(), seen.UpdateAction)
	for _, c := range seen.members {
		resource.CacheClusters.Put(tx, key(c.Region, c.ID), c)
	}
	if seen.group != nil {
		resource.ReplicationGroups.Put(tx, key(seen.Region, seen.GroupID), seen.group)
	}
	return seen.status(), nil
}

func applyUpdate(a *updateAction, now time.Time) error {
	switch {
	case a.status() == updateComplete:
		return errUpdateState(a.Update, updateComplete)
	case !a.settled() && a.group != nil:
		return errReplicationGroupState("Replication group %s is not in available state.", a.GroupID)
	case !a.settled():
		return errClusterState("Cache cluster %s is not in available state.", a.ClusterID)
	}
	a.Applied, a.Stopped = &now, nil
	if a.group != nil {
		a.group.Update(a.members, a.update.Version)
	} else {
		a.members[0].Update(a.update.Version)
	}
	return nil
}

func stopUpdate(a *updateAction, now time.Time) error {
	switch status := a.status(); status {
	case updateWaiting, updateInProgress:
	default:
		return errUpdateState(a.Update, status)
	}
	a.Stopped = &now
	for _, c := range a.members {
		c.Spec.Program = ""
	}
	return nil
}

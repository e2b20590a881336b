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

// What is the same for every update: nothing tells how grave the reason is for which
// a program was replaced, so that the middle is claimed.
const (
	updateSeverity    = "medium"
	updateType        = "security-update"
	updateApplyBy     = 60 * 24 * time.Hour
	updateEstimate    = "1 minute per node"
	updateSLA         = "yes"
	updateNoSLA       = "no"
	initiatedCustomer = "customer"
)

// DescribeServiceUpdates implements wire.Service: a program that was installed while nodes
// ran an older one is an update, in the regions of these nodes.
func (s *Service) DescribeServiceUpdates(ctx context.Context, in *wire.DescribeServiceUpdatesMessage) (*wire.ServiceUpdatesMessage, error) {
	out := &wire.ServiceUpdatesMessage{ServiceUpdates: []*wire.ServiceUpdate{}}
	err := s.store.View(ctx, func(r store.Reader) error {
		updates := resource.ServiceUpdates.List(r, region(ctx)+"/")
		if set(in.ServiceUpdateName) {
			u, err := loadUpdate(r, region(ctx), *in.ServiceUpdateName)
			if err != nil {
				return err
			}
			updates = []*resource.ServiceUpdate{u}
		}
		if !served(in.ServiceUpdateStatus, statusAvailable) {
			updates = nil
		}
		updates, next, err := page(updates, func(u *resource.ServiceUpdate) string { return u.Name }, "DescribeServiceUpdates", in.MaxRecords, in.Marker)
		if err != nil {
			return err
		}
		out.Marker = next
		for _, u := range updates {
			out.ServiceUpdates = append(out.ServiceUpdates, wireUpdate(u))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// served reports whether a filter lets a value pass; an empty one lets all.
func served(filter []string, value string) bool {
	return len(filter) == 0 || slices.Contains(filter, value)
}

func loadUpdate(r store.Reader, region, name string) (*resource.ServiceUpdate, error) {
	u, ok := resource.ServiceUpdates.Get(r, key(region, strings.ToLower(name)))
	if !ok {
		return nil, errServiceUpdateNotFound(name)
	}
	return u, nil
}

func wireUpdate(u *resource.ServiceUpdate) *wire.ServiceUpdate {
	return &wire.ServiceUpdate{
		ServiceUpdateName:                     &u.Name,
		ServiceUpdateReleaseDate:              &u.Released,
		ServiceUpdateSeverity:                 core.Ptr(updateSeverity),
		ServiceUpdateRecommendedApplyByDate:   core.Ptr(u.Released.Add(updateApplyBy)),
		ServiceUpdateStatus:                   core.Ptr(statusAvailable),
		ServiceUpdateDescription:              core.Ptr("Nodes that run an older program are restarted with " + u.Engine + " " + u.Version + "."),
		ServiceUpdateType:                     core.Ptr(updateType),
		Engine:                                &u.Engine,
		EngineVersion:                         &u.Version,
		AutoUpdateAfterRecommendedApplyByDate: core.Ptr(false),
		EstimatedUpdateTime:                   core.Ptr(updateEstimate),
	}
}

// DescribeUpdateActions implements wire.Service.
func (s *Service) DescribeUpdateActions(ctx context.Context, in *wire.DescribeUpdateActionsMessage) (*wire.UpdateActionsMessage, error) {
	out := &wire.UpdateActionsMessage{UpdateActions: []*wire.UpdateAction{}}
	err := s.store.View(ctx, func(r store.Reader) error {
		var found []*updateAction
		for _, a := range resource.UpdateActions.List(r, region(ctx)+"/") {
			if seen := readAction(r, a); seen != nil && seen.matches(in) {
				found = append(found, seen)
			}
		}
		found, next, err := page(found, (*updateAction).key, "DescribeUpdateActions", in.MaxRecords, in.Marker)
		if err != nil {
			return err
		}
		out.Marker = next
		for _, a := range found {
			out.UpdateActions = append(out.UpdateActions, a.wire(core.Val(in.ShowNodeLevelUpdateStatus)))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (a *updateAction) matches(in *wire.DescribeUpdateActionsMessage) bool {
	owners := len(in.ReplicationGroupIds)+len(in.CacheClusterIds) == 0
	owners = owners || a.GroupID != "" && slices.Contains(in.ReplicationGroupIds, a.GroupID) || a.ClusterID != "" && slices.Contains(in.CacheClusterIds, a.ClusterID)
	if t := in.ServiceUpdateTimeRange; t != nil {
		owners = owners && (t.StartTime == nil || !a.update.Released.Before(*t.StartTime)) && (t.EndTime == nil || !a.update.Released.After(*t.EndTime))
	}
	return owners && !not(in.ServiceUpdateName, a.Update) && !not(in.Engine, a.members[0].Spec.Engine) &&
		served(in.ServiceUpdateStatus, statusAvailable) && served(in.UpdateActionStatus, a.status())
}

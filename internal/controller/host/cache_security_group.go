package host

import (
	"context"
	"fmt"
	"time"

	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// How long after a look at what is in force the next one is: shortly at first, since
// most changes take milliseconds, and longer when they do not. It matters only while
// somebody waits for a change of a cache security group.
const (
	settleFirst = 10 * time.Millisecond
	settleLast  = time.Second
)

// unsettled are the cache security groups with changes that are not known to be
// in force.
func unsettled(r store.Reader) []*resource.CacheSecurityGroup {
	var out []*resource.CacheSecurityGroup
	for _, g := range resource.CacheSecurityGroups.List(r, "") {
		if g.Generation > g.Status.ObservedGeneration {
			out = append(out, g)
		}
	}
	return out
}

// settle records that the groups are in force as they were when the applied
// document was composed, or says when to look again.
func (h *Host) settle(ctx context.Context, groups []*resource.CacheSecurityGroup) (time.Duration, error) {
	if len(groups) > 0 && h.Runtime.Enforced() < h.applied.Revision {
		h.settleWait = min(max(2*h.settleWait, settleFirst), settleLast)
		return h.settleWait, nil
	}
	h.settleWait = 0
	if len(groups) == 0 {
		return 0, nil
	}
	err := h.Store.Update(ctx, func(tx *store.Tx) error {
		for _, seen := range groups {
			key := seen.Region + "/" + seen.Name
			if g, ok := resource.CacheSecurityGroups.Get(tx, key); ok && g.UID == seen.UID && g.Status.ObservedGeneration < seen.Generation {
				g.Status.ObservedGeneration = seen.Generation
				resource.CacheSecurityGroups.Put(tx, key, g)
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("recording which cache security groups are in force: %w", err)
	}
	return 0, nil
}

package host

import (
	"context"
	"net/netip"

	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/store"
)

// instances adds the instances that have not ended.
func (c *composer) instances() {
	for _, i := range resource.Instances.List(c.reader, "") {
		address, err := netip.ParseAddr(i.Spec.Address)
		if err != nil || !i.Exists() {
			continue
		}
		c.doc.Instances = append(c.doc.Instances, runtime.Instance{
			ID: i.Key(), Network: i.Spec.VPCID, Address: address, Running: i.Spec.Power == resource.PowerRunning, Boots: i.Spec.Boots,
		})
	}
}

// recordInstances writes the statuses that follow from reports of instances, and
// gives the states that are new.
func recordInstances(tx *store.Tx, reports []runtime.Report) []*resource.Instance {
	var news []*resource.Instance
	for _, r := range reports {
		id, ok := runtime.ReportedInstance(r.ID)
		if !ok {
			continue
		}
		if i, ok := resource.Instances.Get(tx, id); ok && i.Observe(tx, seen(i, r)) {
			news = append(news, i)
		}
	}
	return news
}

// seen is the status that follows from a report. One about a boot that is over says
// nothing about the present one.
func seen(i *resource.Instance, r runtime.Report) resource.InstanceStatus {
	s := i.Status
	switch {
	case r.Incarnation != i.Spec.Boots || !i.Exists():
	case r.Phase == runtime.PhaseFailed:
		s.Message = r.Message
	case (r.Phase == runtime.PhaseRunning) == (i.Spec.Power == resource.PowerRunning):
		s = resource.InstanceStatus{Power: i.Spec.Power, Boots: i.Spec.Boots}
	}
	return s
}

// logInstances tells of states that are new.
func (h *Host) logInstances(ctx context.Context, news []*resource.Instance) {
	for _, i := range news {
		h.Log.InfoContext(ctx, "instance "+i.Key(), "power", i.Status.Power, "boots", i.Status.Boots, "message", i.Status.Message)
	}
}

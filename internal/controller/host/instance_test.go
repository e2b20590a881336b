package host_test

import (
	"testing"

	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/store"
)

func TestInstancesAreComposedAndObserved(t *testing.T) {
	t.Parallel()
	l, h := newHost(t, true)
	const key = "us-east-1/i-1"
	put := func(power string, boots int) {
		l.Update(t, func(tx *store.Tx) {
			i, ok := resource.Instances.Get(tx, key)
			if !ok {
				i = &resource.Instance{Region: "us-east-1", ID: "i-1", Spec: resource.InstanceSpec{VPCID: "vpc-1", Address: "172.31.0.9"}}
				resource.Addresses.Put(tx, "us-east-1/vpc-1/172.31.0.9", &resource.Address{Owner: "instance " + key})
			}
			i.Spec.Power, i.Spec.Boots = power, boots
			resource.Instances.Put(tx, key, i)
		})
	}
	for _, step := range []struct {
		name   string
		power  string
		boots  int
		report runtime.Report
		// seen is the status after the report, documented whether the next document
		// still has the instance.
		seen       resource.InstanceStatus
		documented bool
	}{
		{"nothing yet", "running", 1, runtime.Report{Phase: "gone", Incarnation: 1}, resource.InstanceStatus{}, true},
		{"it failed", "running", 1, runtime.Report{Phase: "failed", Incarnation: 1, Message: "no"}, resource.InstanceStatus{Message: "no"}, true},
		{"it runs", "running", 1, runtime.Report{Phase: "running", Incarnation: 1}, resource.InstanceStatus{Power: "running", Boots: 1}, true},
		{"the boot before", "running", 2, runtime.Report{Phase: "running", Incarnation: 1}, resource.InstanceStatus{Power: "running", Boots: 1}, true},
		{"the next boot", "running", 2, runtime.Report{Phase: "running", Incarnation: 2}, resource.InstanceStatus{Power: "running", Boots: 2}, true},
		{"it still runs", "stopped", 2, runtime.Report{Phase: "running", Incarnation: 2}, resource.InstanceStatus{Power: "running", Boots: 2}, true},
		{"it stands still", "stopped", 2, runtime.Report{Phase: "gone", Incarnation: 2}, resource.InstanceStatus{Power: "stopped", Boots: 2}, true},
		{"its end", "terminated", 2, runtime.Report{Phase: "gone", Incarnation: 2}, resource.InstanceStatus{Power: "terminated", Boots: 2}, false},
		{"after its end", "terminated", 2, runtime.Report{Phase: "running", Incarnation: 2}, resource.InstanceStatus{Power: "terminated", Boots: 2}, false},
	} {
		put(step.power, step.boots)
		step.report.ID = runtime.InstanceReport(key)
		if err := h.Record(t.Context(), []runtime.Report{step.report}); err != nil {
			t.Fatal(err)
		}
		doc := compose(t, l, nil)
		if documented := len(doc.Instances) == 1; documented != step.documented ||
			documented && (doc.Instances[0].Running != (step.power == "running") || doc.Instances[0].Boots != step.boots || doc.Instances[0].Network != "vpc-1") {
			t.Errorf("%s: the document has %+v", step.name, doc.Instances)
		}
		l.Store.Local(func(r store.Reader) {
			i, _ := resource.Instances.Get(r, key)
			_, taken := resource.Addresses.Get(r, "us-east-1/vpc-1/172.31.0.9")
			if i.Status != step.seen || taken != step.documented {
				t.Errorf("%s: seen as %+v, address taken %v", step.name, i.Status, taken)
			}
		})
	}
}

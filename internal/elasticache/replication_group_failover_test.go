package elasticache

import (
	"fmt"
	"slices"
	"testing"
	"time"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

func (f *clusterFixture) testFailover(id, shard string) (*wire.ReplicationGroup, error) {
	out, err := f.TestFailover(f.ctx, &wire.TestFailoverMessage{ReplicationGroupId: &id, NodeGroupId: &shard})
	if err != nil {
		return nil, err
	}
	return out.ReplicationGroup, nil
}

// over does what the controller does once a handover is done, and the rest.
func (f *clusterFixture) over() {
	f.t.Helper()
	f.update(func(tx *store.Tx) error {
		for _, g := range resource.ReplicationGroups.List(tx, "") {
			g.Spec.Handover = nil
			resource.ReplicationGroups.Put(tx, key(g.Region, g.ID), g)
		}
		return nil
	})
	f.settle()
}

func failoverFixture(t *testing.T) *clusterFixture {
	f := newClusterFixture(t)
	auto := groupRequest("auto", 2)
	auto.AutomaticFailoverEnabled = core.Ptr(true)
	f.createGroup(auto)
	f.createGroup(groupRequest("rg", 2))
	f.settle()
	return f
}

func TestTestFailover(t *testing.T) {
	t.Parallel()
	f := failoverFixture(t)
	g, err := f.testFailover("AUTO", "0001")
	if err != nil {
		t.Fatal(err)
	}
	if *g.Status != "modifying" || g.PendingModifiedValues.PrimaryClusterId != nil {
		t.Errorf("the answer says %s, %v", *g.Status, g.PendingModifiedValues.PrimaryClusterId)
	}
	if h := f.group("auto").Spec.Handover; h == nil || *h != (resource.Handover{From: "auto-001", Test: true}) {
		t.Errorf("asked for %+v", h)
	}
	events, err := f.DescribeEvents(f.ctx, &wire.DescribeEventsMessage{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(events.Events, func(e *wire.Event) bool {
		return *e.SourceIdentifier == "auto" && *e.Message == "Test Failover API called for node group 0001"
	}) {
		t.Errorf("no event tells of the call: %+v", events.Events)
	}
	_, err = f.testFailover("auto", "0001")
	wantError(t, err, "InvalidReplicationGroupState", "Replication group auto is not in available state.")
}

func TestTestFailoverRefusals(t *testing.T) {
	t.Parallel()
	f := failoverFixture(t)
	for _, tt := range []struct{ name, group, shard, code, text string }{
		{"unknown group", "x", "0001", "ReplicationGroupNotFoundFault", "ReplicationGroup x not found."},
		{"unknown shard", "auto", "0002", "NodeGroupNotFoundFault", "Node group 0002 not found in replication group auto."},
		{"no failover", "rg", "0001", "TestFailoverNotAvailableFault", "The TestFailover action is not available: replication group rg does not have automatic failover enabled."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := f.dump()
			_, err := f.testFailover(tt.group, tt.shard)
			wantError(t, err, tt.code, tt.text)
			if f.dump() != before {
				t.Error("something was stored")
			}
		})
	}
}

// fixedClock tells the time of the test.
type fixedClock struct {
	core.SystemClock
	now *time.Time
}

func (c fixedClock) Now() time.Time { return *c.now }

// Fifteen calls in any day, over all groups of a region.
func TestTestFailoverLimit(t *testing.T) {
	t.Parallel()
	now := time.Now()
	f := newClusterFixture(t, func(c *Config) { c.Clock = fixedClock{now: &now} })
	for _, id := range []string{"a", "b"} {
		in := groupRequest(id, 2)
		in.AutomaticFailoverEnabled = core.Ptr(true)
		f.createGroup(in)
	}
	f.settle()
	for i := range 15 {
		if _, err := f.testFailover([]string{"a", "b"}[i%2], "0001"); err != nil {
			t.Fatalf("call %d: %v", i+1, err)
		}
		f.over()
		now = now.Add(time.Hour)
	}
	const text = "The customer has exceeded the allowed rate of API calls: TestFailover can be called for 15 node groups in 24 hours."
	_, err := f.testFailover("a", "0001")
	wantError(t, err, "APICallRateForCustomerExceeded", text)
	now = now.Add(9 * time.Hour) // the first call is a day ago
	if _, err := f.testFailover("a", "0001"); err != nil {
		t.Fatal(err)
	}
	f.over()
	_, err = f.testFailover("b", "0001")
	wantError(t, err, "APICallRateForCustomerExceeded", text)
	if n := len(f.group("a").Spec.TestFailovers); n != 8 {
		t.Errorf("%d times are kept, want 8", n)
	}
	now = now.Add(-30 * 24 * time.Hour) // the clock was wrong, and is set right
	if _, err := f.testFailover("b", "0001"); err != nil {
		t.Fatal(err)
	}
}

func TestPromotion(t *testing.T) {
	t.Parallel()
	promote := func(id, to string) *wire.ModifyReplicationGroupMessage {
		return &wire.ModifyReplicationGroupMessage{ReplicationGroupId: &id, PrimaryClusterId: &to, ApplyImmediately: core.Ptr(true)}
	}
	for _, tt := range []struct {
		name string
		in   *wire.ModifyReplicationGroupMessage
		edit func(*wire.ModifyReplicationGroupMessage)
		want resource.Handover
		code string
		text string
	}{
		{name: "a replica", in: promote("rg", "RG-002"), want: resource.Handover{From: "rg-001", To: "rg-002"}},
		{name: "failover goes off at once", in: promote("auto", "auto-002"),
			edit: func(in *wire.ModifyReplicationGroupMessage) { in.AutomaticFailoverEnabled = core.Ptr(false) },
			want: resource.Handover{From: "auto-001", To: "auto-002"}},
		{name: "the primary", in: promote("rg", "rg-001"), code: "InvalidParameterCombination", text: "No modifications were requested."},
		{name: "with failover", in: promote("auto", "auto-002"), code: "InvalidReplicationGroupState",
			text: "Cannot manually promote a new master cache cluster while autofailover is enabled"},
		{name: "no member", in: promote("rg", "auto-002"), code: "InvalidParameterValue",
			text: "The parameter PrimaryClusterId names auto-002, which is not a member of replication group rg."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := failoverFixture(t)
			if tt.edit != nil {
				tt.edit(tt.in)
			}
			out, err := f.ModifyReplicationGroup(f.ctx, tt.in)
			if tt.code != "" {
				wantError(t, err, tt.code, tt.text)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			g := out.ReplicationGroup
			if got := fmt.Sprint(*g.Status, " ", core.Val(g.PendingModifiedValues.PrimaryClusterId)); got != "modifying "+tt.want.To {
				t.Errorf("the answer says %s", got)
			}
			if h := f.group(*g.ReplicationGroupId).Spec.Handover; h == nil || *h != tt.want {
				t.Errorf("asked for %+v", h)
			}
		})
	}
}

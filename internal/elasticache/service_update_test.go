package elasticache

import (
	"strings"
	"testing"
	"time"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// offer puts nodes that run programs of these versions into the members of a group or into a
// cluster, and an update to 7.0.15 for them.
func (f *clusterFixture) offer(group string, programs map[string]string) {
	released := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	f.update(func(tx *store.Tx) error {
		a := &resource.UpdateAction{Region: testRegion, Update: "redis-7-0-15", GroupID: group, Available: released}
		for id, version := range programs {
			n := &resource.Node{Region: testRegion, ClusterID: id, ID: "0001"}
			n.Status = resource.NodeStatus{Phase: resource.NodeRunning, BinaryVersion: version, Started: &released}
			resource.Nodes.Put(tx, n.Key(), n)
			if group == "" {
				a.ClusterID = id
			}
		}
		resource.ServiceUpdates.Put(tx, key(testRegion, a.Update), &resource.ServiceUpdate{
			Region: testRegion, Name: a.Update, Engine: "redis", Version: "7.0.15", Released: released,
		})
		resource.UpdateActions.Put(tx, resource.UpdateActionKey(testRegion, a.Update, a.GroupID, a.ClusterID), a)
		return nil
	})
}

func (f *clusterFixture) updateAction(in *wire.DescribeUpdateActionsMessage) string {
	f.t.Helper()
	in.ShowNodeLevelUpdateStatus = core.Ptr(true)
	out, err := f.DescribeUpdateActions(f.ctx, in)
	if err != nil {
		f.t.Fatal(err)
	}
	var parts []string
	for _, a := range out.UpdateActions {
		parts = append(parts, core.Val(a.ReplicationGroupId)+core.Val(a.CacheClusterId), *a.UpdateActionStatus, *a.NodesUpdated)
		for _, g := range a.NodeGroupUpdateStatus {
			for _, m := range g.NodeGroupMemberUpdateStatus {
				parts = append(parts, *m.CacheClusterId+":"+*m.NodeUpdateStatus)
			}
		}
		for _, m := range a.CacheNodeUpdateStatus {
			parts = append(parts, *m.CacheNodeId+":"+*m.NodeUpdateStatus)
		}
	}
	return strings.Join(parts, " ")
}

func TestServiceUpdate(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	f.createGroup(groupRequest("rg", 2))
	f.createCluster(redisRequest("c"))
	f.settle()
	f.offer("rg", map[string]string{"rg-001": "7.0.14", "rg-002": "7.0.14"})
	f.offer("", map[string]string{"c": "7.0.14"})
	updates, err := f.DescribeServiceUpdates(f.ctx, &wire.DescribeServiceUpdatesMessage{ServiceUpdateStatus: []string{"available"}})
	if err != nil || len(updates.ServiceUpdates) != 1 || *updates.ServiceUpdates[0].ServiceUpdateName != "redis-7-0-15" || *updates.ServiceUpdates[0].EngineVersion != "7.0.15" {
		t.Fatalf("%+v, %v", updates, err)
	}
	all := &wire.DescribeUpdateActionsMessage{}
	if got := f.updateAction(all); got != "c not-applied 0/1 0001:not-applied rg not-applied 0/2 rg-001:not-applied rg-002:not-applied" {
		t.Error(got)
	}
	rg := &wire.DescribeUpdateActionsMessage{ReplicationGroupIds: []string{"rg"}}
	apply := &wire.BatchApplyUpdateActionMessage{ServiceUpdateName: core.Ptr("redis-7-0-15"), ReplicationGroupIds: []string{"rg", "nope"}, CacheClusterIds: []string{"c"}}
	out, err := f.BatchApplyUpdateAction(f.ctx, apply)
	if err != nil || len(out.ProcessedUpdateActions) != 2 || *out.ProcessedUpdateActions[0].UpdateActionStatus != "waiting-to-start" {
		t.Fatalf("%+v, %v", out, err)
	}
	var refused []string
	for _, u := range out.UnprocessedUpdateActions {
		refused = append(refused, core.Val(u.ReplicationGroupId)+core.Val(u.CacheClusterId)+" "+*u.ErrorType)
	}
	if got := strings.Join(refused, ", "); got != "nope InvalidParameterValue" {
		t.Errorf("refused are %s", got)
	}
	if g, c := f.describeGroup("rg"), f.cluster("rg-002"); *g.Status != "modifying" || c.Spec.Program != "7.0.15" {
		t.Errorf("group %s, program %q", *g.Status, c.Spec.Program)
	}
	f.run("rg-002", "7.0.15")
	if got := f.updateAction(rg); got != "rg in-progress 1/2 rg-001:waiting-to-start rg-002:complete" {
		t.Error(got)
	}
	stop := &wire.BatchStopUpdateActionMessage{ServiceUpdateName: core.Ptr("redis-7-0-15"), ReplicationGroupIds: []string{"rg"}}
	if out, err := f.BatchStopUpdateAction(f.ctx, stop); err != nil || len(out.ProcessedUpdateActions) != 1 || *out.ProcessedUpdateActions[0].UpdateActionStatus != "stopping" || f.cluster("rg-001").Spec.Program != "" {
		t.Errorf("%+v, %v", out, err)
	}
	f.settle()
	if got := f.updateAction(rg); got != "rg stopped 1/2 rg-001:stopped rg-002:complete" {
		t.Error(got)
	}
	if out, err := f.BatchApplyUpdateAction(f.ctx, apply); err != nil || *out.ProcessedUpdateActions[0].UpdateActionStatus != "in-progress" {
		t.Errorf("%+v, %v", out, err)
	}
	f.run("rg-001", "7.0.15")
	f.settle()
	if got := f.updateAction(&wire.DescribeUpdateActionsMessage{UpdateActionStatus: []string{"complete"}}); got != "rg complete 2/2 rg-001:complete rg-002:complete" {
		t.Error(got)
	}
}

// run lets the node of a cluster run another program.
func (f *clusterFixture) run(id, version string) {
	f.update(func(tx *store.Tx) error {
		n, _ := resource.Nodes.Get(tx, key(testRegion, id+"/0001"))
		n.Status.BinaryVersion = version
		resource.Nodes.Put(tx, n.Key(), n)
		return nil
	})
}

func TestServiceUpdateRefusals(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	_, err := f.DescribeServiceUpdates(f.ctx, &wire.DescribeServiceUpdatesMessage{ServiceUpdateName: core.Ptr("nope")})
	wantError(t, err, "ServiceUpdateNotFoundFault", "Service update nope not found.")
	_, err = f.BatchApplyUpdateAction(f.ctx, &wire.BatchApplyUpdateActionMessage{ServiceUpdateName: core.Ptr("nope"), CacheClusterIds: []string{"c"}})
	wantError(t, err, "ServiceUpdateNotFoundFault", "Service update nope not found.")
	_, err = f.BatchStopUpdateAction(f.ctx, &wire.BatchStopUpdateActionMessage{ServiceUpdateName: core.Ptr("nope")})
	wantError(t, err, "InvalidParameterCombination", "Between 1 and 20 of the parameters ReplicationGroupIds and CacheClusterIds must be given.")
}

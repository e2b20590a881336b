package replicationgroup

import (
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/controller/step"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
)

// settled is a world of three members that is as it should be: rg-001 in zone a
// is the primary.
func settled(t *testing.T) *World {
	t.Helper()
	g, members := controllertest.Group(3)
	g.Spec.AutomaticFailover = true
	now := controllertest.NewClock().Now()
	g.Status = resource.ReplicationGroupStatus{
		ObservedGeneration: 1, Available: core.Ptr(now), Primary: "rg-001", AutomaticFailover: true,
	}
	w := &World{Group: g, Certified: true, Now: now.Add(time.Minute)}
	source := ""
	for _, c := range members {
		directives, err := controllertest.Engines{}.Directives("redis", "7.1.0", "cache.t3.micro", nil)
		if err != nil {
			t.Fatal(err)
		}
		cluster := &step.Cluster{
			Record: c, VPCID: "vpc-1", Directives: directives,
			Parameters: nodespec.Parameters{Group: "default.redis7", Start: directives.Start},
		}
		slot := c.Spec.Nodes[0]
		want := cluster.Want(slot, nodespec.Auth(g.Spec.Auth, g.UID), g.Spec.TLS, true)
		want.ReplicaOf, want.Watched = source, source == ""
		n := &resource.Node{Region: c.Region, ClusterID: c.ID, ID: slot.ID, UID: c.ID, Spec: nodespec.First(want)}
		n.Status = resource.NodeStatus{
			Phase: resource.NodeRunning, Incarnation: 1, Generation: 1, Role: rolePrimary, Started: core.Ptr(now),
		}
		if source != "" {
			n.Status.Role, n.Status.LinkUp = roleReplica, true
		} else {
			source = n.Key()
		}
		cluster.Nodes = map[string]*resource.Node{slot.ID: n}
		c.Status = resource.CacheClusterStatus{
			ObservedGeneration: 1, Available: core.Ptr(now), NodeStatus: map[string]string{slot.ID: "available"},
			ParameterGroup: "default.redis7", ParameterApplyStatus: "in-sync",
			Engine: "redis", EngineVersion: "7.1.0", NodeType: "cache.t3.micro",
		}
		w.Members = append(w.Members, cluster)
	}
	return w
}

func (w *World) node(i int) *resource.Node { return w.Members[i-1].Nodes["0001"] }

func exit(n *resource.Node, at time.Time) {
	n.Status.Phase, n.Status.Role, n.Status.LinkUp, n.Status.Ended = resource.NodeExited, "", false, core.Ptr(at)
}

// testFailover is a call of the API.
func testFailover(w *World) {
	w.Group.Generation++
	w.Group.Spec.Handover = &resource.Handover{From: "rg-001", Test: true}
}

// held makes the writes at a member wait since a while.
func held(w *World, i int, since time.Duration) {
	n := w.node(i)
	n.Spec.HoldWrites = true
	n.Spec.Generation++
	n.Status.Generation = n.Spec.Generation
	w.Group.Status.HandoverSince = core.Ptr(w.Now.Add(-since))
}

const (
	n1 = "us-east-1/rg-001/0001"
	n2 = "us-east-1/rg-002/0001"
	n3 = "us-east-1/rg-003/0001"
)

func TestPlan(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		edit func(w *World)
		want string
		ask  string
		wait time.Duration
	}{
		{name: "nothing to do", edit: func(*World) {}},
		{
			name: "new",
			edit: func(w *World) {
				w.Group.Status = resource.ReplicationGroupStatus{}
				for _, c := range w.Members {
					c.Nodes, c.Record.Status = nil, resource.CacheClusterStatus{}
				}
			},
			want: `create node us-east-1/rg-001/0001: primary
cluster us-east-1/rg-001: node 0001 creating, parameter group default.redis7, parameters in-sync
create node us-east-1/rg-002/0001: replica of us-east-1/rg-001/0001
cluster us-east-1/rg-002: node 0001 creating, parameter group default.redis7, parameters in-sync
create node us-east-1/rg-003/0001: replica of us-east-1/rg-001/0001
cluster us-east-1/rg-003: node 0001 creating, parameter group default.redis7, parameters in-sync
group us-east-1/rg: primary rg-001`,
		},
		{
			name: "new without its certificate",
			edit: func(w *World) {
				w.Certified = false
				w.Group.Status = resource.ReplicationGroupStatus{Primary: "rg-001"}
				for _, c := range w.Members {
					c.Nodes, c.Record.Status = nil, resource.CacheClusterStatus{}
				}
			},
			want: `cluster us-east-1/rg-001: node 0001 creating, parameter group default.redis7, parameters in-sync
cluster us-east-1/rg-002: node 0001 creating, parameter group default.redis7, parameters in-sync
cluster us-east-1/rg-003: node 0001 creating, parameter group default.redis7, parameters in-sync`,
		},
		{
			name: "primary lost, nobody asked",
			edit: func(w *World) { exit(w.node(1), w.Now) },
			ask:  n2 + " " + n3,
		},
		{
			name: "primary lost, nobody answered",
			edit: func(w *World) { exit(w.node(1), w.Now); w.Offsets = map[string]int64{} },
			wait: step.AskAgain,
		},
		{
			name: "primary lost, most advanced wins",
			edit: func(w *World) { exit(w.node(1), w.Now); w.Offsets = map[string]int64{n2: 9, n3: 10} },
			want: `node us-east-1/rg-003/0001: primary, watched
node us-east-1/rg-001/0001: incarnation 2, replica of us-east-1/rg-003/0001, not watched
cluster us-east-1/rg-001: node 0001 rebooting, recovering [0001]
event cache-cluster rg-001: Recovering cache nodes 0001
node us-east-1/rg-002/0001: replica of us-east-1/rg-003/0001
group us-east-1/rg: primary rg-003, failover from "rg-001"`,
		},
		{
			name: "primary lost, other zone wins a draw",
			edit: func(w *World) {
				exit(w.node(1), w.Now)
				w.Members[1].Record.Spec.Nodes[0].Zone = w.Members[0].Record.Spec.Nodes[0].Zone
				w.Offsets = map[string]int64{n2: 10, n3: 10}
			},
			want: `node us-east-1/rg-003/0001: primary, watched
node us-east-1/rg-001/0001: incarnation 2, replica of us-east-1/rg-003/0001, not watched
cluster us-east-1/rg-001: node 0001 rebooting, recovering [0001]
event cache-cluster rg-001: Recovering cache nodes 0001
node us-east-1/rg-002/0001: replica of us-east-1/rg-003/0001
group us-east-1/rg: primary rg-003, failover from "rg-001"`,
		},
		{
			name: "primary lost, lowest id wins a draw; the lost one waits for its restart",
			edit: func(w *World) {
				exit(w.node(1), w.Now)
				w.node(1).Status.Started, w.node(1).Spec.QuickExits = core.Ptr(w.Now), 3
				w.Offsets = map[string]int64{n2: 10, n3: 10}
			},
			want: `node us-east-1/rg-002/0001: primary, watched
node us-east-1/rg-001/0001: replica of us-east-1/rg-002/0001, not watched
cluster us-east-1/rg-001: node 0001 rebooting, recovering [0001]
event cache-cluster rg-001: Recovering cache nodes 0001
node us-east-1/rg-003/0001: replica of us-east-1/rg-002/0001
group us-east-1/rg: primary rg-002, failover from "rg-001"`,
			wait: 4 * time.Second,
		},
		{
			name: "primary lost without automatic failover",
			edit: func(w *World) {
				w.Group.Spec.AutomaticFailover, w.Group.Status.AutomaticFailover = false, false
				exit(w.node(1), w.Now)
				w.Offsets = map[string]int64{n2: 9, n3: 10}
			},
			want: `node us-east-1/rg-003/0001: primary
node us-east-1/rg-001/0001: incarnation 2, replica of us-east-1/rg-003/0001, not watched
cluster us-east-1/rg-001: node 0001 rebooting, recovering [0001]
event cache-cluster rg-001: Recovering cache nodes 0001
node us-east-1/rg-002/0001: replica of us-east-1/rg-003/0001`,
		},
		{
			name: "lost primary is in sync again",
			edit: func(w *World) {
				w.node(1).Spec.ReplicaOf, w.node(1).Status.Role, w.node(1).Status.LinkUp = n3, roleReplica, true
				w.node(2).Spec.ReplicaOf = n3
				w.node(3).Spec.ReplicaOf, w.node(3).Status.Role = "", rolePrimary
			},
			want: `node us-east-1/rg-003/0001: hold writes
node us-east-1/rg-001/0001: not watched
group us-east-1/rg: handover on`,
			wait: step.HandoverLimit,
		},
		{
			name: "lost primary has caught up",
			edit: func(w *World) {
				w.node(1).Spec.ReplicaOf, w.node(1).Status.Role, w.node(1).Status.LinkUp = n3, roleReplica, true
				w.node(2).Spec.ReplicaOf = n3
				w.node(3).Spec.ReplicaOf, w.node(3).Status.Role = "", rolePrimary
				held(w, 3, time.Second)
				w.Offsets = map[string]int64{n1: 10, n3: 10}
			},
			want: `node us-east-1/rg-001/0001: primary
node us-east-1/rg-002/0001: replica of us-east-1/rg-001/0001
node us-east-1/rg-003/0001: replica of us-east-1/rg-001/0001, let writes go on
group us-east-1/rg: handover off`,
		},
		{
			name: "lost primary does not catch up: it tries again later",
			edit: func(w *World) {
				w.node(1).Spec.ReplicaOf, w.node(1).Status.Role, w.node(1).Status.LinkUp = n3, roleReplica, true
				w.node(2).Spec.ReplicaOf = n3
				w.node(3).Spec.ReplicaOf, w.node(3).Status.Role = "", rolePrimary
				held(w, 3, step.HandoverLimit)
			},
			want: `node us-east-1/rg-003/0001: let writes go on
node us-east-1/rg-001/0001: not watched`,
			wait: step.HandoverPause - step.HandoverLimit,
		},
		{
			name: "test failover",
			edit: testFailover,
			want: `node us-east-1/rg-001/0001: hold writes
group us-east-1/rg: handover on`,
			wait: step.HandoverLimit,
		},
		{
			name: "test failover, no replica is in sync: nobody waits in vain",
			edit: func(w *World) {
				testFailover(w)
				w.node(2).Status.LinkUp, w.node(3).Status.LinkUp = false, false
			},
			want: `group us-east-1/rg: handover on`,
			wait: step.HandoverLimit,
		},
		{
			name: "test failover, writes are not held yet",
			edit: func(w *World) {
				testFailover(w)
				held(w, 1, time.Second)
				w.node(1).Status.Generation--
			},
			wait: step.HandoverLimit - time.Second,
		},
		{
			name: "test failover, writes are held",
			edit: func(w *World) { testFailover(w); held(w, 1, time.Second) },
			ask:  n1 + " " + n2 + " " + n3,
		},
		{
			name: "test failover, replicas are behind",
			edit: func(w *World) {
				testFailover(w)
				held(w, 1, time.Second)
				w.Offsets = map[string]int64{n1: 10, n2: 9, n3: 8}
			},
			wait: step.CatchUpPause,
		},
		{
			name: "test failover, the primary does not tell how far it is",
			edit: func(w *World) {
				testFailover(w)
				held(w, 1, time.Second)
				w.Offsets = map[string]int64{n2: 9, n3: 8}
			},
			wait: step.CatchUpPause,
		},
		{
			name: "test failover, a replica has everything",
			edit: func(w *World) {
				testFailover(w)
				held(w, 1, time.Second)
				w.Offsets = map[string]int64{n1: 10, n2: 9, n3: 10}
			},
			want: `node us-east-1/rg-003/0001: primary, watched
node us-east-1/rg-001/0001: replica of us-east-1/rg-003/0001, let writes go on, not watched
node us-east-1/rg-002/0001: replica of us-east-1/rg-003/0001
group us-east-1/rg: primary rg-003, failover from "rg-001", handover off`,
		},
		{
			name: "test failover, too late",
			edit: func(w *World) {
				testFailover(w)
				held(w, 1, step.HandoverLimit)
				w.Offsets = map[string]int64{n1: 10, n2: 10, n3: 10}
			},
			want: `group us-east-1/rg: handover is over
event replication-group rg: Failover from primary node rg-001 did not take place: no replica was ready to take over
node us-east-1/rg-001/0001: let writes go on
group us-east-1/rg: handover off`,
		},
		{
			name: "test failover, the primary is lost meanwhile",
			edit: func(w *World) {
				testFailover(w)
				held(w, 1, time.Second)
				exit(w.node(1), w.Now)
				w.Offsets = map[string]int64{n2: 9, n3: 8}
			},
			want: `node us-east-1/rg-002/0001: primary, watched
node us-east-1/rg-001/0001: incarnation 2, replica of us-east-1/rg-002/0001, let writes go on, not watched
cluster us-east-1/rg-001: node 0001 rebooting, recovering [0001]
event cache-cluster rg-001: Recovering cache nodes 0001
node us-east-1/rg-003/0001: replica of us-east-1/rg-002/0001
group us-east-1/rg: primary rg-002, failover from "rg-001", handover off`,
		},
		{
			name: "promotion waits for the replica that was named",
			edit: func(w *World) {
				testFailover(w)
				w.Group.Spec.Handover = &resource.Handover{From: "rg-001", To: "rg-002"}
				held(w, 1, time.Second)
				w.Offsets = map[string]int64{n1: 10, n2: 9, n3: 10}
			},
			wait: step.CatchUpPause,
		},
		{
			name: "primary cannot be started again, replicas have the data",
			edit: func(w *World) {
				w.node(1).Status.Phase, w.node(1).Status.Message = resource.NodeFailed, "no such file"
				w.Offsets = map[string]int64{n2: 9, n3: 8}
			},
			want: `node us-east-1/rg-002/0001: primary, watched
node us-east-1/rg-001/0001: replica of us-east-1/rg-002/0001, not watched
cluster us-east-1/rg-001: failure "cache node 0001: no such file"
event cache-cluster rg-001: The cache cluster cannot run as wanted: cache node 0001: no such file
node us-east-1/rg-003/0001: replica of us-east-1/rg-002/0001
group us-east-1/rg: primary rg-002, failover from "rg-001", failure "rg-001: cache node 0001: no such file"`,
		},
		{
			name: "everybody lost",
			edit: func(w *World) {
				for i := range 3 {
					exit(w.node(i+1), w.Now)
				}
			},
			want: `event replication-group rg: No node of replication group rg is left with its data: node rg-001 starts empty
node us-east-1/rg-001/0001: incarnation 2
cluster us-east-1/rg-001: node 0001 rebooting, recovering [0001]
event cache-cluster rg-001: Recovering cache nodes 0001
node us-east-1/rg-002/0001: incarnation 2
cluster us-east-1/rg-002: node 0001 rebooting, recovering [0001]
event cache-cluster rg-002: Recovering cache nodes 0001
node us-east-1/rg-003/0001: incarnation 2
cluster us-east-1/rg-003: node 0001 rebooting, recovering [0001]
event cache-cluster rg-003: Recovering cache nodes 0001`,
		},
		{
			name: "TLS waits for its certificate",
			edit: func(w *World) {
				w.Group.Spec.TLS, w.Certified = resource.TLSPreferred, false
				w.Group.Generation++ // nothing of which is observed yet
			},
		},
		{
			name: "TLS",
			edit: func(w *World) { w.Group.Spec.TLS = resource.TLSPreferred; w.Members = w.Members[:1] },
			want: `node us-east-1/rg-001/0001: tls "preferred"`,
		},
		{
			name: "delete",
			edit: func(w *World) {
				w.Group.Spec.Deleting = true
				for _, c := range w.Members {
					c.Record.Spec.Deleting = true
				}
				n := w.node(3)
				n.Spec.Deleted, n.Status.Phase = true, resource.NodeGone
			},
			want: `node us-east-1/rg-001/0001: deleted
node us-east-1/rg-002/0001: deleted
remove node us-east-1/rg-003/0001`,
		},
		{
			name: "delete but keep a primary that is lost: it comes back first",
			edit: func(w *World) {
				w.Group.Spec.Deleting, w.Group.Spec.RetainPrimary = true, true
				w.Members = w.Members[:2]
				exit(w.node(1), w.Now)
				w.Offsets = map[string]int64{n2: 9}
			},
			want: `node us-east-1/rg-002/0001: primary
node us-east-1/rg-001/0001: incarnation 2, replica of us-east-1/rg-002/0001, not watched
cluster us-east-1/rg-001: node 0001 rebooting, recovering [0001]
event cache-cluster rg-001: Recovering cache nodes 0001`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := settled(t)
			tt.edit(w)
			d := Plan(*w)
			if got := strings.TrimSpace(step.Print(d.Steps)); got != tt.want {
				t.Errorf("plan:\n%s\nwant:\n%s", got, tt.want)
			}
			if got := strings.Join(d.Ask, " "); got != tt.ask || d.Wait != tt.wait {
				t.Errorf("asks %q and waits %v, want %q and %v", got, d.Wait, tt.ask, tt.wait)
			}
		})
	}
}

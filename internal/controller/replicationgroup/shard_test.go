package replicationgroup_test

import (
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

const node4 = controllertest.Region + "/rg-004/0001"

// newShards is a settled group of two shards: rg-001 and rg-002, rg-003 and rg-004.
func newShards(t testing.TB) *controllertest.Loop {
	return newGroup(t, 4, func(_ *controllertest.Loop, g *resource.ReplicationGroup) {
		g.Spec.AutomaticFailover = true
		g.Spec.ConfigurationEndpoint = g.Spec.PrimaryEndpoint
		g.Spec.PrimaryEndpoint, g.Spec.ReaderEndpoint = resource.Endpoint{}, resource.Endpoint{}
		split := core.SplitSlots(2)
		g.Spec.Shards = []resource.Shard{
			{ID: "0001", Slots: split[0], Members: []string{"rg-001", "rg-002"}},
			{ID: "0002", Slots: split[1], Members: []string{"rg-003", "rg-004"}},
		}
	})
}

// primaries are those of the shards.
func primaries(l *controllertest.Loop) string {
	var out []string
	for _, sh := range group(l).Status.Shards {
		out = append(out, sh.ID+" "+sh.Primary)
	}
	return strings.Join(out, ", ")
}

func wantPrimaries(t *testing.T, l *controllertest.Loop, want string) {
	t.Helper()
	if got := primaries(l); got != want {
		t.Errorf("primaries %s, want %s", got, want)
	}
}

func TestShardsAreMade(t *testing.T) {
	t.Parallel()
	l := newShards(t)
	wantPrimaries(t, l, "0001 rg-001, 0002 rg-003")
	if group(l).Status.Available == nil {
		t.Error("the group is not available")
	}
	for key, primary := range map[string]string{node1: "", node2: node1, node3: "", node4: node3} {
		if n := node(l, key); n.Spec.ReplicaOf != primary || n.Spec.Cluster == nil {
			t.Errorf("%s replicates from %q, cluster %+v", key, n.Spec.ReplicaOf, n.Spec.Cluster)
		}
	}
	ids := map[string]bool{}
	for _, n := range l.Runtime.Document().Nodes {
		c := n.Cluster
		shard := 0
		for _, p := range c.Peers {
			if p.SameShard {
				shard++
			}
		}
		if len(c.Peers) != 3 || shard != 1 || c.Slots.Len() != core.SlotCount/2 || (c.Primary == "") != (n.Primary == nil) {
			t.Errorf("%s: place %+v", n.ID, c)
		}
		if c.Self.Address != n.Bound.Address || c.Self.Replication != n.Replication.Port || n.Replication.Address != n.Bound.Address {
			t.Errorf("%s: announced at %+v, listens at %s", n.ID, c.Self, n.Replication)
		}
		ids[c.Self.ID] = true
	}
	if len(ids) != 4 {
		t.Errorf("names of nodes: %v", ids)
	}
	wantEndpoint(t, l, "cluster "+groupKey, node1, node2, node3, node4)
}

func TestShardFailover(t *testing.T) {
	t.Parallel()
	l := newShards(t)
	l.Clock.Advance(time.Minute)
	untouched := node(l, node1).Spec
	before := len(controllertest.Events(l.Store))
	l.Runtime.Kill(node3)
	l.Settle(t)
	wantPrimaries(t, l, "0001 rg-001, 0002 rg-004")
	if n := node(l, node3); n.Spec.ReplicaOf != node4 || n.Spec.Incarnation != 2 {
		t.Errorf("the lost primary is to be %+v", n.Spec)
	}
	if n := node(l, node1); n.Spec.Generation != untouched.Generation {
		t.Error("the other shard was changed")
	}
	wantEvents(t, l, before,
		"rg-003: Recovering cache nodes 0001",
		"rg-004: Failover from primary node rg-003 to replica node rg-004 completed",
		"rg: Failover from primary node rg-003 to replica node rg-004 completed",
		"rg-003: Finished recovery for cache nodes 0001",
	)
}

// A shard that cannot be decided about does not keep another from its failover.
func TestShardInTrouble(t *testing.T) {
	t.Parallel()
	l := newShards(t)
	l.Clock.Advance(time.Minute)
	l.Runtime.Auto = false
	l.Runtime.Silence(node2, true)
	l.Runtime.Kill(node1, node3)
	l.Deliver(t)
	l.Pass(t, l.Controllers[0], groupKey)
	if n := node(l, node4); n.Spec.ReplicaOf != "" {
		t.Error("the replica of the shard whose nodes answer is not promoted")
	}
}

func TestShardHandover(t *testing.T) {
	t.Parallel()
	l := newShards(t)
	l.Clock.Advance(time.Minute)
	editGroup(t, l, func(g *resource.ReplicationGroup) {
		g.Spec.Shard("0001").Handover = &resource.Handover{From: "rg-001", Test: true}
	})
	l.Settle(t)
	wantPrimaries(t, l, "0001 rg-002, 0002 rg-003")
	if g := group(l); g.Spec.Shard("0001").Handover != nil || g.Status.ObservedGeneration != g.Generation {
		t.Errorf("the handover is not over: %+v", g.Spec.Shards)
	}
	if n := node(l, node1); n.Spec.Incarnation != 1 || n.Spec.ReplicaOf != node2 {
		t.Errorf("the old primary is to be %+v", n.Spec)
	}
}

func TestReshardingRemovesShard(t *testing.T) {
	t.Parallel()
	l := newShards(t)
	l.Clock.Advance(time.Minute)
	editGroup(t, l, func(g *resource.ReplicationGroup) {
		g.Spec.Resharding = &resource.Resharding{
			Target: []resource.ShardSlots{{ID: "0001", Slots: core.AllSlots()}}, Slots: core.SlotCount / 2,
		}
	})
	l.Settle(t)
	g := group(l)
	if got := g.Spec.Shard("0001").Slots; !got.Equal(core.AllSlots()) || g.Status.ObservedGeneration == g.Generation {
		t.Errorf("shard 0001 has %s, observed generation %d of %d", got, g.Status.ObservedGeneration, g.Generation)
	}
	if cluster(l, "rg-003").Spec.Deleting {
		t.Error("a shard goes before clients could find out")
	}
	l.Clock.Advance(time.Minute)
	l.Settle(t)
	if g = group(l); len(g.Spec.Shards) != 1 || g.Spec.Resharding != nil || g.Status.ObservedGeneration != g.Generation {
		t.Errorf("the group is %+v", g.Spec)
	}
	l.Store.Local(func(r store.Reader) {
		if keys := resource.CacheClusters.Keys(r, ""); len(keys) != 2 {
			t.Errorf("clusters left: %v", keys)
		}
	})
	for _, n := range l.Runtime.Document().Nodes {
		if len(n.Cluster.Peers) != 1 {
			t.Errorf("%s knows %d others", n.ID, len(n.Cluster.Peers))
		}
	}
}

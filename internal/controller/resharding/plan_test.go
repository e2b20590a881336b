package resharding

import (
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
)

// world is a group of three shards with a primary each.
func world(t *testing.T, slots, target [3]string) World {
	t.Helper()
	parse := func(s string) core.Slots {
		if s == "" || s == "-" {
			return nil
		}
		out, err := core.ParseSlots(s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	g := &resource.ReplicationGroup{ID: "rg", Spec: resource.ReplicationGroupSpec{Resharding: &resource.Resharding{Began: true}}}
	w := World{Group: g, Primaries: map[string]*resource.Node{}, Now: time.Unix(1000, 0)}
	for i, id := range []string{"0001", "0002", "0003"} {
		g.Spec.Shards = append(g.Spec.Shards, resource.Shard{ID: id, Slots: parse(slots[i])})
		if target[i] != "-" {
			g.Spec.Resharding.Target = append(g.Spec.Resharding.Target, resource.ShardSlots{ID: id, Slots: parse(target[i])})
		}
		w.Primaries[id] = &resource.Node{
			Region: "r", ClusterID: id, ID: "0001", Spec: resource.NodeSpec{Settings: map[string]string{"maxmemory": "100"}},
		}
	}
	return w
}

func TestPlan(t *testing.T) {
	t.Parallel()
	even := [3]string{"0-99", "100-199", "200-299"}
	tests := []struct {
		name          string
		slots, target [3]string
		change        func(w *World)
		want          string
	}{
		{"no resharding", even, even, func(w *World) { w.Group.Spec.Resharding = nil }, "wait"},
		{"a shard without a primary", even, [3]string{"", "0-199", "200-299"}, func(w *World) { delete(w.Primaries, "0003") }, "wait"},
		{"to a new shard", [3]string{"0-149", "150-299", ""}, even, nil, "move [100-149 from 0001 to 0002 200-299 from 0002 to 0003]"},
		{"the rest", [3]string{"0-99", "100-299", ""}, even, nil, "move [200-299 from 0002 to 0003]"},
		{"no more than a batch", [3]string{"0-999", "", ""}, [3]string{"", "0-999", ""}, nil, "move [0-511 from 0001 to 0002]"},
		{"all in place", even, even, nil, "finish"},
		{"a shard was emptied", [3]string{"0-299", "", ""}, [3]string{"0-299", "", "-"}, nil, "emptied"},
		{"clients find out", [3]string{"0-299", "", ""}, [3]string{"0-299", "", "-"}, func(w *World) {
			w.Group.Spec.Resharding.Emptied = core.Ptr(w.Now.Add(-time.Second))
		}, "wait"},
		{"clients have found out", [3]string{"0-299", "", ""}, [3]string{"0-299", "", "-"}, func(w *World) {
			w.Group.Spec.Resharding.Emptied = core.Ptr(w.Now.Add(-time.Minute))
		}, "finish"},
		{"the clock was set back", [3]string{"0-299", "", ""}, [3]string{"0-299", "", "-"}, func(w *World) {
			w.Group.Spec.Resharding.Emptied = core.Ptr(w.Now.Add(time.Hour))
		}, "emptied"},
		{"memory is asked for", even, [3]string{"0-149", "150-299", "-"}, func(w *World) {
			w.Group.Spec.Resharding.Began = false
		}, "ask [r/0001/0001 r/0002/0001 r/0003/0001]"},
		{"memory suffices", even, [3]string{"0-149", "150-299", "-"}, func(w *World) {
			w.Group.Spec.Resharding.Began = false
			w.Memory = map[string]int64{"r/0001/0001": 60, "r/0002/0001": 60, "r/0003/0001": 80}
		}, "move [100-149 from 0002 to 0001 200-299 from 0003 to 0002]"},
		{"memory does not suffice", even, [3]string{"0-149", "150-299", "-"}, func(w *World) {
			w.Group.Spec.Resharding.Began = false
			w.Memory = map[string]int64{"r/0001/0001": 60, "r/0002/0001": 61, "r/0003/0001": 80}
		}, "refuse: the node groups to be removed use 80 bytes of memory, and the others have room for 79"},
		{"a node does not answer", even, [3]string{"0-149", "150-299", "-"}, func(w *World) {
			w.Group.Spec.Resharding.Began = false
			w.Memory = map[string]int64{"r/0001/0001": 60, "r/0002/0001": 61}
		}, "refuse: node r/0003/0001 does not tell how much memory it uses"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := world(t, tt.slots, tt.target)
			if tt.change != nil {
				tt.change(&w)
			}
			if got := Plan(w).String(); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// TestPlanEnds makes every move that is planned, some of them in part, until there
// is none left.
func TestPlanEnds(t *testing.T) {
	t.Parallel()
	w := world(t, [3]string{"0-8191", "8192-16383", ""}, [3]string{"0-5461", "8192-13652", "5462-8191,13653-16383"})
	for n := 0; ; n++ {
		a := Plan(w)
		if a.Finish {
			break
		}
		if len(a.Moves) == 0 || n > 1000 {
			t.Fatalf("after %d passes: %s", n, a)
		}
		for _, m := range a.Moves {
			w.Group.Spec.Shards = moved(w.Group.Spec.Shards, m, m.Slots.First(1+n%m.Slots.Len()))
		}
		var all core.Slots
		for _, sh := range w.Group.Spec.Shards {
			if twice := all.Shared(sh.Slots); len(twice) > 0 {
				t.Fatalf("slots %s have two shards", twice)
			}
			all = all.With(sh.Slots)
		}
		if !all.Equal(core.AllSlots()) {
			t.Fatalf("slots are lost: %s are left", all)
		}
	}
	if left := w.Group.Spec.Resharding.Left(w.Group.Spec.Shards); left != 0 {
		t.Errorf("%d slots are left", left)
	}
}

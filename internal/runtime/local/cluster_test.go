package local

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/runtime"
)

// member makes node number i of a cluster; peers and role are for clustered to add.
func member(kind string, i int) runtime.Node {
	n := makeNode(kind)
	n.Advertised = core.Endpoint{Address: n.Replication.Address, Port: 6379}
	n.Replication.Port = 61379
	n.Cluster = &runtime.Cluster{
		Self:  runtime.ClusterNode{ID: fmt.Sprintf("%040x", i), Address: n.Replication.Address, Port: 6379, Replication: 61379, Bus: 61380},
		Epoch: i,
	}
	return n
}

// clustered makes one cluster of nodes; shards[i] is the index of the primary of
// node i, slots are those of each primary.
func clustered(nodes []runtime.Node, shards []int, slots map[int]string) {
	for i := range nodes {
		c := *nodes[i].Cluster
		c.Peers, c.Slots, c.Primary = nil, nil, ""
		nodes[i].Primary = nil
		if shards[i] != i {
			nodes[i].Primary = &nodes[shards[i]].Replication
			c.Primary = nodes[shards[i]].Cluster.Self.ID
		}
		if s, ok := slots[shards[i]]; ok {
			c.Slots, _ = core.ParseSlots(s)
		}
		for j := range nodes {
			if i != j {
				peer := nodes[j].Cluster.Self
				peer.SameShard = shards[i] == shards[j]
				c.Peers = append(c.Peers, peer)
			}
		}
		nodes[i].Cluster = &c
		nodes[i].Generation++
	}
}

// twoShards has nodes serve as a cluster of two shards: the first two are the primaries,
// all others replicas of the first. slots are those of the primaries.
func (r *rig) twoShards(kind string, count int) (nodes []runtime.Node, slots map[int]string) {
	r.t.Helper()
	slots = map[int]string{0: "0-8191", 1: "8192-16383"}
	shards := make([]int, count)
	shards[1] = 1
	for i := range count {
		nodes = append(nodes, member(kind, i+1))
	}
	clustered(nodes, shards, slots)
	r.apply(nodes...)
	r.settledAll(nodes)
	return nodes, slots
}

// kill ends a node's process as a fault would, and waits until that is known.
func (r *rig) kill(n runtime.Node) {
	r.t.Helper()
	pid := r.settled(n).PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		r.t.Fatal(err)
	}
	r.wait(n.ID, "ended", func(rep runtime.Report) bool { return rep.Phase == runtime.PhaseExited })
}

func serves(rep runtime.Report) bool { return rep.Role == "master" && rep.LinkUp }

// settledAll waits until all nodes have their place and do what it asks for.
func (r *rig) settledAll(nodes []runtime.Node) {
	r.t.Helper()
	for _, n := range nodes {
		r.settled(n)
		if n.Primary == nil {
			r.wait(n.ID, "serving", serves)
		} else {
			r.wait(n.ID, "in sync", inSync)
		}
	}
}

// slotsOf is what a node tells clients: "FIRST-LAST ADDRESS:PORT" of each range.
func (r *rig) slotsOf(n runtime.Node) string {
	lines := strings.Split(r.client(n, "CLUSTER", "NODES"), "\n")
	var out []string
	for _, l := range lines {
		f := strings.Fields(l)
		if len(f) > 8 && strings.Contains(f[2], "master") {
			at, _, _ := strings.Cut(f[1], "@")
			out = append(out, strings.Join(f[8:], ",")+" "+at)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// inShards reports whether a node lists two shards with all of the nodes.
func (r *rig) inShards(n runtime.Node, all []runtime.Node) bool {
	list := r.client(n, "CLUSTER", "SHARDS")
	for _, m := range all {
		if strings.Count(list, m.Cluster.Self.ID) != 1 {
			return false
		}
	}
	return strings.Count(list, "\r\nslots\r\n") == 2
}

func TestCluster(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		began := time.Now()
		nodes, slots := r.twoShards(kind, 4)
		t.Logf("two shards serve after %v", time.Since(began))
		want := "0-8191 " + nodes[0].Advertised.String() + " 8192-16383 " + nodes[1].Advertised.String()
		for _, n := range nodes {
			if got := r.slotsOf(n); got != want {
				t.Errorf("node %s tells %s, want %s", n.ID, got, want)
			}
		}
		for _, n := range nodes {
			eventually(t, "all are in the list of shards", func() bool { return r.inShards(n, nodes) })
		}
		// "a" is in slot 15495, "b" in 3300.
		if got := r.client(nodes[0], "SET", "a", "1"); got != "-MOVED 15495 "+nodes[1].Advertised.String() {
			t.Errorf("a key of another shard: %s", got)
		}
		if got := r.client(nodes[0], "SET", "b", "1"); got != "+OK" {
			t.Errorf("a key of its own: %s", got)
		}
		t.Run("a replica takes over", func(t *testing.T) {
			clustered(nodes, []int{2, 1, 2, 2}, map[int]string{2: slots[0], 1: slots[1]})
			r.apply(nodes...)
			r.settledAll(nodes)
			if got := r.client(nodes[2], "GET", "b"); got != "$1\r\n1" {
				t.Errorf("the new primary has %s", got)
			}
		})
		t.Run("a primary is lost and comes back as a replica", func(t *testing.T) {
			r.kill(nodes[2])
			clustered(nodes, []int{0, 1, 0, 0}, slots)
			nodes[2].Incarnation++
			began := time.Now()
			r.apply(nodes...)
			r.settledAll(nodes)
			t.Logf("the replica is back after %v", time.Since(began))
			for _, n := range nodes {
				eventually(t, "told who is primary", func() bool { return r.slotsOf(n) == want })
			}
			if got := r.client(nodes[0], "GET", "b"); got != "$1\r\n1" {
				t.Errorf("the new primary has %s", got)
			}
		})
		t.Run("a whole shard is lost", func(t *testing.T) {
			began := time.Now()
			r.kill(nodes[0])
			r.kill(nodes[2])
			r.kill(nodes[3])
			clustered(nodes, []int{2, 1, 2, 2}, map[int]string{2: slots[0], 1: slots[1]})
			for _, i := range []int{0, 2, 3} {
				nodes[i].Incarnation++
			}
			// The others come back only later, so that their slots have to be seized.
			r.apply(nodes[1], nodes[2])
			r.wait(nodes[2].ID, "primary", func(rep runtime.Report) bool {
				return rep.Incarnation == nodes[2].Incarnation && rep.Role == "master"
			})
			t.Logf("the new primary is there after %v", time.Since(began))
			r.apply(nodes...)
			r.settledAll(nodes)
			t.Logf("all are back after %v", time.Since(began))
			if got := r.client(nodes[2], "SET", "b", "2"); got != "+OK" {
				t.Errorf("after its loss the shard answers %s", got)
			}
		})
		t.Run("a node leaves", func(t *testing.T) {
			gone := nodes[3].Cluster.Self.ID
			nodes = nodes[:3]
			clustered(nodes, []int{2, 1, 2}, map[int]string{2: slots[0], 1: slots[1]})
			r.apply(nodes...)
			r.settledAll(nodes)
			for _, n := range nodes {
				if got := r.client(n, "CLUSTER", "NODES"); strings.Contains(got, gone) {
					t.Errorf("node %s still knows the one that left: %s", n.ID, got)
				}
			}
		})
	})
}

// TestShardSendsOn: writes that wait at the old primary of a shard are sent on as soon as
// it has lost its slots, whatever the engines of other shards do.
func TestShardSendsOn(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		nodes := []runtime.Node{member(kind, 1), member(kind, 2), member(kind, 3), member(kind, 4)}
		slots := map[int]string{0: "0-8191", 1: "8192-16383"}
		clustered(nodes, []int{0, 1, 0, 0}, slots)
		nodes[0].HoldWrites = true
		r.apply(nodes...)
		r.settledAll(nodes)
		answered := r.heldWrite(nodes[0])
		goOn := r.standStill(nodes[1])
		nodes[0].HoldWrites = false
		clustered(nodes, []int{2, 1, 2, 2}, map[int]string{2: slots[0], 1: slots[1]})
		r.apply(nodes...)
		answered("-MOVED 7629 " + nodes[2].Advertised.String())
		goOn()
		r.settledAll(nodes)
	})
}

// TestWaitingNodesRest: nodes that wait for the same primary ask each other now and then,
// and not as fast as they can, which would keep the host from what they wait for.
func TestWaitingNodesRest(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		nodes, slots := r.twoShards(kind, 4)
		goOn := r.standStill(nodes[2])
		conn := r.dial(nodes[3])
		defer conn.Close()
		asked := func() (times int) {
			_, text, _ := strings.Cut(exchange(t, conn, "INFO", "commandstats"), "cmdstat_cluster|replicas:calls=")
			_, _ = fmt.Sscanf(text, "%d", &times)
			return times
		}
		before, began := asked(), time.Now()
		clustered(nodes, []int{2, 1, 2, 2}, map[int]string{2: slots[0], 1: slots[1]})
		r.apply(nodes...)
		const times = 20
		eventually(t, "the replica is asked", func() bool { return asked() >= before+times })
		if took := time.Since(began); took < (times-1)*joinPause {
			t.Errorf("asked %d times in %v", asked()-before, took)
		}
		goOn()
		r.settledAll(nodes)
	})
}

// TestStrandedEngine: the old primary of a shard that has lost its slots without becoming
// a replica, and has their keys, cannot follow anybody; it begins anew.
func TestStrandedEngine(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		nodes, slots := r.twoShards(kind, 3)
		if got := r.client(nodes[0], "SET", "b", "1"); got != "+OK" {
			t.Fatal(got)
		}
		eventually(t, "the replica has the key", func() bool {
			return r.session(nodes[2], "READONLY", "GET b") == "$1\r\n1"
		})
		old := r.settled(nodes[0]).PID
		if got := r.session(nodes[0], "AUTH larder-admin "+nodes[0].Auth.Admin.Reveal(), "CLUSTER DELSLOTSRANGE 0 8191"); got != "+OK" {
			t.Fatal(got)
		}
		clustered(nodes, []int{2, 1, 2}, map[int]string{2: slots[0], 1: slots[1]})
		r.apply(nodes...)
		r.wait(nodes[0].ID, "ended", func(rep runtime.Report) bool { return rep.Phase == runtime.PhaseExited })
		nodes[0].Incarnation++
		nodes[0].Generation++
		r.apply(nodes...)
		r.settledAll(nodes)
		if rep := r.settled(nodes[0]); rep.PID == old {
			t.Errorf("the process is the same: %+v", rep)
		}
		if got := r.client(nodes[2], "GET", "b"); got != "$1\r\n1" {
			t.Errorf("the new primary has %s", got)
		}
	})
}

// standStill stops the process of a node until the test ends, or the function that it
// gives is called.
func (r *rig) standStill(n runtime.Node) (goOn func()) {
	r.t.Helper()
	pid := r.settled(n).PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	return func() {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			r.t.Fatal(err)
		}
	}
}

// stall has the process of a node stand still for moments until the function that it
// gives is called, which a busy host does to it too.
func (r *rig) stall(n runtime.Node) (stop func()) {
	pid, done := r.settled(n).PID, make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		pause := func(most int) {
			select {
			case <-time.After(time.Duration(rand.IntN(most)) * time.Millisecond):
			case <-done:
			}
		}
		for range 20 {
			_ = syscall.Kill(pid, syscall.SIGSTOP)
			pause(150)
			_ = syscall.Kill(pid, syscall.SIGCONT)
			pause(10)
		}
	})
	return func() { close(done); wg.Wait() }
}

// TestClusterSurvivors: the engines of other shards take in the loss of a shard whose
// members change places, however late they hear of what.
func TestClusterSurvivors(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		nodes, slots := r.twoShards(kind, 4)
		stop := r.stall(nodes[1])
		for _, i := range []int{0, 2, 3} {
			r.kill(nodes[i])
			nodes[i].Incarnation++
		}
		clustered(nodes, []int{2, 1, 2, 2}, map[int]string{2: slots[0], 1: slots[1]})
		r.apply(nodes...)
		r.settledAll(nodes)
		stop()
		want := "0-8191 " + nodes[2].Advertised.String() + " 8192-16383 " + nodes[1].Advertised.String()
		for _, n := range nodes {
			eventually(t, "told who is primary", func() bool { return r.slotsOf(n) == want })
		}
	})
}

// TestNobodyFollowsTooEarly: a replica does not follow its primary before every
// engine of the cluster knows that one for a primary.
func TestNobodyFollowsTooEarly(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		nodes, slots := r.twoShards(kind, 3)
		goOn := r.standStill(nodes[1])
		r.kill(nodes[0])
		r.kill(nodes[2])
		nodes[0].Incarnation++
		nodes[2].Incarnation++
		clustered(nodes, []int{2, 1, 2}, map[int]string{2: slots[0], 1: slots[1]})
		r.apply(nodes...)
		for _, i := range []int{0, 2} {
			r.wait(nodes[i].ID, "started", func(rep runtime.Report) bool {
				return rep.Incarnation == nodes[i].Incarnation && rep.PID != 0
			})
		}
		for deadline := time.Now().Add(300 * time.Millisecond); time.Now().Before(deadline); {
			r.mu.Lock()
			rep := r.reports[nodes[0].ID]
			r.mu.Unlock()
			if rep.Incarnation == nodes[0].Incarnation && rep.Role == "slave" {
				t.Fatal("it follows, and an engine does not know yet whom")
			}
			time.Sleep(time.Millisecond) // between looks
		}
		goOn()
		r.settledAll(nodes)
	})
}

// TestJoiningPastABusyShard: a new replica waits for all engines of its cluster, says
// for which if it takes long, and joins when they answer.
func TestJoiningPastABusyShard(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		nodes := []runtime.Node{member(kind, 1), member(kind, 2)}
		nodes[1] = next(nodes[1], func(n *runtime.Node) { n.Settings = map[string]string{"lua-time-limit": "100"} })
		slots := map[int]string{0: "0-8191", 1: "8192-16383"}
		clustered(nodes, []int{0, 1}, slots)
		r.apply(nodes...)
		r.settledAll(nodes)
		ended := r.endlessScript(nodes[1])
		nodes = append(nodes, member(kind, 3))
		clustered(nodes, []int{0, 1, 0}, slots)
		r.apply(nodes...)
		r.wait(nodes[2].ID, "telling", func(rep runtime.Report) bool { return rep.Message == "waits for an answer of "+nodes[1].ID })
		eventually(t, "the script ends", func() bool { return r.client(nodes[1], "SCRIPT", "KILL") == "+OK" })
		if err := <-ended; err != nil {
			t.Error(err)
		}
		r.settledAll(nodes)
		r.wait(nodes[2].ID, "silent", func(rep runtime.Report) bool { return rep.Message == "" })
	})
}

package local

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/runtime"
)

// modes are three nodes of one group, of which each can be in cluster mode or not.
type modes struct {
	plain, sharded [3]runtime.Node
	rounds         int64
}

// places gives all three as they are when primary is their primary and in says which are
// in cluster mode; each that changes is a new process.
func (m *modes) places(primary int, in [3]bool, incarnations [3]int) []runtime.Node {
	m.rounds++
	nodes := m.plain
	var members []runtime.Node
	var index, shards []int
	at := 0
	for i := range nodes {
		if in[i] {
			nodes[i] = m.sharded[i]
			if i == primary {
				at = len(members)
			}
			members, index = append(members, nodes[i]), append(index, i)
		}
	}
	for range members {
		shards = append(shards, at)
	}
	clustered(members, shards, map[int]string{at: "0-16383"})
	for k, i := range index {
		nodes[i] = members[k]
	}
	for i := range nodes {
		nodes[i].Generation, nodes[i].Incarnation = 10*m.rounds, incarnations[i]
		nodes[i].Primary = nil
		if i == primary {
			continue
		}
		nodes[i].Primary = &nodes[primary].Replication
		if c := nodes[i].Cluster; c != nil && !in[primary] {
			outside := m.sharded[primary].Cluster.Self
			outside.Address, outside.Replication = nodes[primary].Replication.Address, nodes[primary].Replication.Port
			c.Outside, c.Primary = &outside, outside.ID
		}
	}
	if c := nodes[primary].Cluster; c != nil {
		c.Primary = ""
	}
	return nodes[:]
}

// A group moves to cluster mode and back, replica by replica and then by a change of
// places, while somebody writes: each write that was acknowledged is kept.
func TestAcross(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		m := &modes{}
		for i := range m.plain {
			m.plain[i] = makeNode(kind)
			m.sharded[i] = m.plain[i]
			c := member(kind, i+1)
			c.Cluster.Self.Address = m.plain[i].Replication.Address
			m.sharded[i].Cluster, m.sharded[i].Replication.Port = c.Cluster, c.Replication.Port
		}
		runs := [3]int{1, 1, 1}
		nodes := m.places(0, [3]bool{}, runs)
		r.apply(nodes...)
		r.settledGroup(nodes)
		r.client(nodes[0], "SET", "lasting", "v", "EX", "1000")
		move := func(primary int, in [3]bool) {
			t.Helper()
			nodes = m.places(primary, in, runs)
			r.apply(nodes...)
		}
		turn := func(heir int, to bool) {
			t.Helper()
			from := [3]bool{!to, !to, !to}
			old := 2 - heir
			for _, i := range []int{1, heir} {
				runs[i]++
				from[i] = to
				move(old, from)
				r.settledGroup(nodes)
			}
			w := r.writer(nodes[old])
			began := time.Now()
			nodes[old].HoldWrites = true
			nodes[old].Generation++
			r.apply(nodes...)
			r.settled(nodes[old])
			move(heir, from)
			r.wait(nodes[heir].ID, "a primary", func(rep runtime.Report) bool { return rep.Role == "master" })
			t.Logf("%v: primary %v after the hold", to, time.Since(began))
			acked := w()
			r.wait(nodes[old].ID, "ended", func(rep runtime.Report) bool { return rep.Phase == runtime.PhaseExited })
			if got := r.client(nodes[heir], "DBSIZE"); got != fmt.Sprint(":", acked+1) && got != fmt.Sprint(":", acked+2) {
				t.Errorf("the new primary has %s keys, %d were acknowledged", got, acked)
			}
			if got := r.client(nodes[heir], "SET", "lasting", "v", "KEEPTTL", "GET"); got != "$1\r\nv" {
				t.Errorf("the new primary answers a write with %s", got)
			}
			if got := r.client(nodes[heir], "TTL", "lasting"); got == ":-1" || got == ":-2" {
				t.Errorf("the time to live is %s", got)
			}
			r.client(nodes[heir], "FLUSHALL")
			r.client(nodes[heir], "SET", "lasting", "v", "EX", "1000")
			runs[old]++
			move(heir, [3]bool{to, to, to})
			r.settledGroup(nodes)
			if !to {
				return
			}
			self := nodes[heir].Cluster.Self
			want := fmt.Sprintf("0-16383 %s:%d", self.Address, self.Port)
			for _, n := range nodes {
				eventually(t, "told who is primary", func() bool { return r.slotsOf(n) == want })
			}
		}
		turn(2, true)
		turn(0, false)
	})
}

// settledGroup waits until all nodes do what is asked of them.
func (r *rig) settledGroup(nodes []runtime.Node) {
	r.t.Helper()
	for _, n := range nodes {
		r.settled(n)
		if n.Primary != nil {
			r.wait(n.ID, "in sync", inSync)
		} else if n.Cluster != nil {
			r.wait(n.ID, "serving", serves)
		}
	}
}

// writer writes keys at a node until that ends; the function that it gives waits for
// that and tells how many writes were acknowledged.
func (r *rig) writer(n runtime.Node) func() int {
	r.t.Helper()
	conn := r.dial(n)
	var (
		wg    sync.WaitGroup
		acked int
		began = make(chan struct{})
	)
	wg.Go(func() {
		defer conn.Close()
		buf := make([]byte, 256)
		for {
			if _, err := fmt.Fprintf(conn, "SET k%d v\r\n", acked); err != nil {
				return
			}
			k, err := conn.Read(buf)
			if err != nil || !strings.HasPrefix(string(buf[:k]), "+OK") {
				return
			}
			if acked++; acked == 1 {
				close(began)
			}
		}
	})
	<-began
	return func() int {
		wg.Wait()
		return acked
	}
}

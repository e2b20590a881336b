package local

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/runtime"
)

// fill has a node set keys: of count the ones that fall into its slots.
func (r *rig) fill(n runtime.Node, count int) {
	r.t.Helper()
	conn := r.dial(n)
	for i := range count {
		got := exchange(r.t, conn, "SET", fmt.Sprintf("key:%d", i), "value")
		if got != "+OK" && !strings.HasPrefix(got, "-MOVED") {
			r.t.Fatal(got)
		}
	}
}

// bump has a primary take a higher epoch than it knows of, as one does that meets another
// with its own. It reports whether it had not had the highest one already.
func bump(admin net.Conn) (bool, error) {
	answer, err := attempt(admin, "CLUSTER", "BUMPEPOCH")
	return strings.HasPrefix(answer, "+BUMPED"), err
}

// asAdmin logs in as who may change the cluster.
func (r *rig) asAdmin(n runtime.Node) net.Conn {
	r.t.Helper()
	admin := r.dial(n)
	if got := exchange(r.t, admin, "AUTH", "larder-admin", n.Auth.Admin.Reveal()); got != "+OK" {
		r.t.Fatal(got)
	}
	return admin
}

// TestSlotsTakenBack: while slots move, their owner takes a higher epoch than the new one
// has, time and again. In the end all know who has them.
func TestSlotsTakenBack(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		nodes, _ := r.twoShards(kind, 3)
		r.fill(nodes[0], 2000)
		admin, done := r.asAdmin(nodes[0]), make(chan struct{})
		var bumps sync.WaitGroup
		bumps.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(20 * time.Millisecond):
				}
				if _, err := bump(admin); err != nil {
					t.Error(err)
					return
				}
			}
		})
		slots, _ := core.ParseSlots("0-1999")
		move := runtime.SlotMove{From: nodes[0].ID, To: nodes[1].ID, Slots: slots}
		moved, err := r.MoveSlots(t.Context(), move)
		close(done)
		bumps.Wait()
		t.Logf("at first %s moved: %v", moved, err)
		for range 10 {
			if moved, err = r.MoveSlots(t.Context(), move); err == nil {
				break
			}
		}
		if err != nil || !moved.Equal(slots) {
			t.Fatalf("moved %s: %v", moved, err)
		}
		want := "0-1999,8192-16383 " + nodes[1].Advertised.String() + " 2000-8191 " + nodes[0].Advertised.String()
		for _, n := range nodes {
			eventually(t, "told who has the slots", func() bool { return r.slotsOf(n) == want })
		}
	})
}

// epochOf is the epoch that a node has by its own word.
func (r *rig) epochOf(n runtime.Node) (epoch int) {
	r.t.Helper()
	for l := range strings.Lines(r.client(n, "CLUSTER", "NODES")) {
		if f := strings.Fields(l); len(f) > 6 && strings.Contains(f[2], "myself") {
			epoch, _ = strconv.Atoi(f[6])
		}
	}
	return epoch
}

// TestSlotsOfAHigherEpoch: the owner of slots that begin to move has just taken an epoch of
// which the new owner has not heard. The new owner has a higher one before it has any slot.
func TestSlotsOfAHigherEpoch(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		nodes, _ := r.twoShards(kind, 3)
		source, target := r.asAdmin(nodes[0]), r.asAdmin(nodes[1])
		for _, s := range []string{"0-7", "8-15", "16-23"} {
			slots, _ := core.ParseSlots(s)
			eventually(t, "a higher epoch", func() bool {
				_, _ = bump(target)
				bumped, _ := bump(source)
				return bumped
			})
			before := r.epochOf(nodes[0])
			moved, err := r.MoveSlots(t.Context(), runtime.SlotMove{From: nodes[0].ID, To: nodes[1].ID, Slots: slots})
			if err != nil || !moved.Equal(slots) {
				t.Fatalf("moved %s: %v", moved, err)
			}
			if after := r.epochOf(nodes[1]); after <= before {
				t.Errorf("slots went from a node of epoch %d to one of epoch %d", before, after)
			}
		}
	})
}

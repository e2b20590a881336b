package local

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

// A primary and its replica change places while somebody writes at the old one:
// what it acknowledged is at the new one, what it held back is refused then.
func TestHandover(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		primary, a, b := r.group(kind)
		conn := r.dial(primary)
		var (
			wg      sync.WaitGroup
			acked   int
			refusal string
			began   = make(chan struct{})
		)
		wg.Go(func() {
			for refusal == "" {
				if got := exchange(t, conn, "SET", fmt.Sprint("k", acked), "v"); got == "+OK" {
					if acked++; acked == 1 {
						close(began)
					}
				} else {
					refusal = got
				}
			}
		})
		defer wg.Wait()
		<-began

		held := next(primary, func(n *runtime.Node) { n.HoldWrites = true })
		r.apply(held, a, b)
		r.settled(held)
		caughtUp := func() bool {
			x, err := r.Runtime.Replication(t.Context(), primary.ID)
			y, err2 := r.Runtime.Replication(t.Context(), a.ID)
			return err == nil && err2 == nil && x.Offset == y.Offset
		}
		eventually(t, "the replica has everything", caughtUp)
		decided := time.Now()
		demoted := next(held, func(n *runtime.Node) { n.HoldWrites, n.Primary = false, &a.Replication })
		promoted := next(a, func(n *runtime.Node) { n.Primary = nil })
		follower := next(b, func(n *runtime.Node) { n.Primary = &a.Replication })
		r.apply(demoted, promoted, follower)
		r.wait(a.ID, "a primary", func(rep runtime.Report) bool { return rep.Role == "master" })
		t.Logf("primary after %v", time.Since(decided))
		wg.Wait()
		if !strings.HasPrefix(refusal, "-READONLY") && !strings.HasPrefix(refusal, "-UNBLOCKED") {
			t.Errorf("a writer that waited gets %q", refusal)
		}
		if got := r.client(a, "DBSIZE"); got != fmt.Sprint(":", acked) {
			t.Errorf("the new primary has %s keys of %d", got, acked)
		}
		r.wait(primary.ID, "in sync", inSync)
		r.wait(b.ID, "in sync", inSync)
		if got := r.client(a, "SET", "after", "v"); got != "+OK" {
			t.Errorf("the new primary answers a write with %s", got)
		}
	})
}

// heldWrite begins a write of the key "k" that is held; answered waits for its answer.
func (r *rig) heldWrite(n runtime.Node) (answered func(want string)) {
	r.t.Helper()
	conn := r.dial(n)
	if _, err := conn.Write([]byte("SET k v\r\n")); err != nil {
		r.t.Fatal(err)
	}
	answer := make([]byte, 64)
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if k, err := conn.Read(answer); err == nil {
		r.t.Fatalf("a write was not held: %s", answer[:k])
	}
	return func(want string) {
		r.t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(runtime.HoldLimit / 2)) // before a hold ends by itself
		if k, err := conn.Read(answer); err != nil || string(answer[:k]) != want+"\r\n" {
			r.t.Errorf("a write that waited gets %q, %v, not %s", answer[:k], err, want)
		}
	}
}

// A hold that is taken back lets the writes go on that waited.
func TestHoldWrites(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		n := makeNode(kind)
		held := next(n, func(n *runtime.Node) { n.HoldWrites = true })
		r.apply(held)
		r.settled(held)
		answered := r.heldWrite(n)
		if got := r.client(held, "GET", "k"); got != "$-1" {
			t.Errorf("a reader gets %s", got)
		}
		free := next(held, func(n *runtime.Node) { n.HoldWrites = false })
		r.apply(free)
		r.settled(free)
		answered("+OK")
	})
}

// A change of places that Larder is not there to see loses nothing either: whoever finds
// it decided asks first how far the old primary has come.
func TestHandoverAfterRestart(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		primary, a, b := r.group(kind)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		const writes = 200
		pid := r.wait(a.ID, "running", func(rep runtime.Report) bool { return rep.PID != 0 }).PID
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil { // it has much to make up for
			t.Fatal(err)
		}
		defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
		value := strings.Repeat("v", 100_000)
		for i := range writes {
			if got := r.client(primary, "SET", fmt.Sprint("k", i), value); got != "+OK" {
				t.Fatal(got)
			}
		}
		r.open()
		demoted := next(primary, func(n *runtime.Node) { n.Primary = &a.Replication })
		promoted := next(a, func(n *runtime.Node) { n.Primary = nil })
		r.apply(demoted, promoted, next(b, func(n *runtime.Node) { n.Primary = &a.Replication }))
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		r.wait(a.ID, "a primary", func(rep runtime.Report) bool { return rep.Role == "master" && rep.Generation == promoted.Generation })
		if got := r.client(a, "DBSIZE"); got != fmt.Sprint(":", writes) {
			t.Errorf("the new primary has %s keys of %d", got, writes)
		}
	})
}

// A primary that has made way accepts no write for as long as Larder is away, however
// long that is. If Larder has thought better of it when it comes back, writes go on.
func TestAbdicatedWhileAway(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		n := r.lone(kind)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		session, err := drivers[kind].Open(t.Context(), socketPath(r.cfg.RunDir, n.UID), &n)
		if err != nil {
			t.Fatal(err)
		}
		for _, limit := range []time.Duration{engine.ForGood, time.Millisecond} { // a shorter hold changes nothing
			if _, err := session.Hold(t.Context(), limit); err != nil {
				t.Fatal(err)
			}
		}
		if err := session.Close(); err != nil {
			t.Fatal(err)
		}
		answered := r.heldWrite(n)
		r.open()
		r.apply(n)
		answered("+OK")
	})
}

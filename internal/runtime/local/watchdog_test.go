package local

import (
	"syscall"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/runtime"
)

// watched is a primary in sync with a replica whose process is ended if it hangs.
func (r *rig) watched(kind string) (primary, replica runtime.Node) {
	r.t.Helper()
	primary, replica = makeNode(kind), makeNode(kind)
	primary.Watched = true
	replica.Primary = &primary.Replication
	r.apply(primary, replica)
	r.settled(primary)
	r.wait(replica.ID, "in sync", inSync)
	return primary, replica
}

func TestHungEngine(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		primary, _ := r.watched(kind)
		pid := r.settled(primary).PID
		time.Sleep(3 * watchInterval) // the watchdog has to have seen the replica, which nothing tells
		began := time.Now()
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		r.wait(primary.ID, "ended", func(rep runtime.Report) bool { return rep.Phase == runtime.PhaseExited })
		// The first of the intervals may have begun before.
		if took := time.Since(began); took < (watchMisses-1)*watchInterval {
			t.Errorf("it was given up after %v already", took)
		} else {
			t.Logf("ended after %v", took)
		}
		if alive(pid) {
			t.Error("the process was reported as ended before it was")
		}
	})
}

// A stop that is over before its time is no hang.
func TestShortStop(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		primary, _ := r.watched(kind)
		pid := r.settled(primary).PID
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(watchMisses * watchInterval / 2) // the stop itself
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if got := r.client(primary, "PING"); got != "+PONG" {
			t.Errorf("after a short stop it says %s", got)
		}
		if rep := r.settled(primary); rep.PID != pid {
			t.Error("a short stop ended it")
		}
	})
}

// Nobody could take over from an engine without a replica.
func TestHungEngineWithoutReplica(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	needs(t, "valkey")
	n := makeNode("valkey")
	n.Watched = true
	r.apply(n)
	pid := r.settled(n).PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * watchMisses * watchInterval) // that nothing happens in this time is the test
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	conn := r.dial(n)
	if got := exchange(t, conn, "PING"); got != "+PONG" || !alive(pid) {
		t.Errorf("it was ended: %s", got)
	}
}

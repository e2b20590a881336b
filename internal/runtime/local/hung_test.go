package local

import (
	"strings"
	"syscall"
	"testing"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

// TestHungReplica: a replica that is stopped is ended, so that it is started anew.
func TestHungReplica(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	needs(t, "valkey")
	_, replica := r.watched("valkey")
	if err := syscall.Kill(r.settled(replica).PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r.wait(replica.ID, "ended", func(rep runtime.Report) bool { return rep.Phase == runtime.PhaseExited })
}

// TestHungPrimaryWithoutFailover: so is a primary that nobody takes over from, if a
// replica keeps its data.
func TestHungPrimaryWithoutFailover(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	needs(t, "valkey")
	primary, replica := r.watched("valkey")
	primary = next(primary, func(n *runtime.Node) { n.Watched = false })
	r.apply(primary, replica)
	if err := syscall.Kill(r.settled(primary).PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r.wait(primary.ID, "ended", func(rep runtime.Report) bool { return rep.Phase == runtime.PhaseExited })
}

// TestPrimaryHungWhileAway: a primary that was stopped while no Larder looked is
// ended when one comes back, since its replica says that it is in sync.
func TestPrimaryHungWhileAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	needs(t, "valkey")
	primary, replica := r.watched("valkey")
	pid := r.settled(primary).PID
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r.open()
	r.apply(primary, replica)
	r.wait(primary.ID, "ended", func(rep runtime.Report) bool { return rep.Phase == runtime.PhaseExited && rep.PID != pid })
}

// TestPrimaryHungWithoutSync: a primary that was stopped, and whose replica has lost it by
// the time that a Larder comes back, is ended too, but only if the replica has data.
func TestPrimaryHungWithoutSync(t *testing.T) {
	t.Parallel()
	needs(t, "valkey")
	for name, empty := range map[string]bool{"with data": false, "empty": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newHastyRig(t)
			primary, replica := r.watched("valkey")
			replica = next(replica, func(n *runtime.Node) { n.Settings = map[string]string{"repl-timeout": "1"} })
			r.apply(primary, replica)
			pid := r.settled(primary).PID
			r.settled(replica)
			r.client(primary, "SET", "k", "v")
			eventually(t, "the replica has what was written", func() bool { return strings.HasSuffix(r.client(replica, "GET", "k"), "v") })
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the replica has lost it", func() bool {
				return strings.Contains(r.client(replica, "INFO", "replication"), "master_link_status:down")
			})
			r.open()
			if empty {
				replica.Incarnation++
			}
			r.apply(primary, replica)
			if !empty {
				r.wait(primary.ID, "ended", func(rep runtime.Report) bool { return rep.Phase == runtime.PhaseExited })
				return
			}
			r.settled(replica)
			r.wait(primary.ID, "mute", func(rep runtime.Report) bool { return rep.Mute == runtime.MuteStill })
			if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			r.wait(replica.ID, "in sync", inSync)
			if rep := r.settled(primary); rep.PID != pid {
				t.Errorf("the only one with data was ended: %+v", rep)
			}
		})
	}
}

// TestLaggingReplica: what a primary says of a replica is reported with the replica.
func TestLaggingReplica(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	needs(t, "valkey")
	primary, replica := r.watched("valkey")
	eventually(t, "the replica is lagging", func() bool {
		// Any look at the primary knows better, and may come at once.
		r.noteLag(&primary, engine.State{Role: "master", Replicas: 1, Lagging: []core.Endpoint{replica.Advertised}})
		rep, _ := r.Runtime.reports.get(replica.ID)
		return rep.Lagging && rep.LinkUp
	})
	// The next look at the primary knows better.
	r.wait(replica.ID, "caught up", func(rep runtime.Report) bool { return !rep.Lagging && rep.LinkUp })
}

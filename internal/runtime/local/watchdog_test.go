package local

import (
	"net"
	"strings"
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
		// The watchdog has to have seen the replica.
		time.Sleep(3 * watchInterval)
		began := time.Now()
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		r.wait(primary.ID, "ended", func(rep runtime.Report) bool { return rep.Phase == runtime.PhaseExited })
		if took := time.Since(began); took < watchMisses*watchInterval {
			t.Errorf("it was given up after %v already", took)
		} else {
			t.Logf("ended after %v", took)
		}
		if alive(pid) {
			t.Error("the process was reported as ended before it was")
		}
	})
}

// What keeps an engine from answering is not always that it hangs.
func TestBusyEngineIsLeftAlone(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		primary, _ := r.watched(kind)
		pid := r.settled(primary).PID
		same := func(after string) {
			t.Helper()
			if got := r.client(primary, "PING"); got != "+PONG" {
				t.Errorf("after %s it says %s", after, got)
			}
			if rep := r.settled(primary); rep.PID != pid {
				t.Errorf("%s ended it", after)
			}
		}
		for name, command := range map[string][]string{
			"a script":   {"EVAL", "local t = redis.call('TIME')[1] + 3; while redis.call('TIME')[1] + 0 < t do end return 1", "0"},
			"a big KEYS": {"EVAL", "for i = 1, 300000 do redis.call('SET', 'k' .. i, i) end return #redis.call('KEYS', '*')", "0"},
			"FLUSHALL":   {"FLUSHALL", "SYNC"},
		} {
			if got := r.client(primary, command...); strings.HasPrefix(got, "-") {
				t.Errorf("%s: %s", name, got)
			}
			same(name)
		}
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(watchMisses * watchInterval / 2)
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		same("a short stop")
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
	time.Sleep(2 * watchMisses * watchInterval)
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", socketPath(r.cfg.RunDir, n.UID))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := exchange(t, conn, "PING"); got != "+PONG" || !alive(pid) {
		t.Errorf("it was ended: %s", got)
	}
}

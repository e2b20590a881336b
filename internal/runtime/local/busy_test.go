package local

import (
	"fmt"
	"os/exec"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/runtime"
)

// newHastyRig is a rig whose engines may give no answer for much less time than usual,
// and whose scripts are soon called long.
func newHastyRig(t testing.TB) *rig {
	r := newRig(t)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r.cfg.BusyTimeout = 500 * time.Millisecond
	r.open()
	return r
}

// endlessScript keeps a node busy until its script is killed. What comes then is an
// error if the script ended by itself.
func (r *rig) endlessScript(n runtime.Node) (ended <-chan error) {
	r.t.Helper()
	conn := r.dial(n)
	end := make(chan error, 1)
	go func() {
		answer, err := attempt(conn, "EVAL", "while true do end", "0")
		if err == nil && !strings.HasPrefix(answer, "-") {
			err = fmt.Errorf("the script ended with %s", answer)
		}
		end <- err
	}()
	return end
}

// TestBusyEngineIsTold: a script that does not end is reported once it has kept the
// engine for long, its process is left alone, and the report ends with the script. So
// it is with an engine that says so itself and with one that gives no answer at all.
func TestBusyEngineIsTold(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newHastyRig(t)
		primary, replica := r.watched(kind)
		primary = next(primary, func(n *runtime.Node) { n.Settings = map[string]string{"lua-time-limit": "100"} })
		r.apply(primary, replica)
		pid := r.settled(primary).PID
		ended := r.endlessScript(primary)
		rep := r.wait(primary.ID, "busy", func(rep runtime.Report) bool { return rep.Mute != "" })
		if rep.Mute != runtime.MuteBusy || rep.PID != pid || rep.Phase != runtime.PhaseRunning {
			t.Errorf("it is reported as %+v", rep)
		}
		eventually(t, "the script ends", func() bool { return r.client(primary, "SCRIPT", "KILL") == "+OK" })
		if err := <-ended; err != nil {
			t.Error(err)
		}
		rep = r.wait(primary.ID, "answering", func(rep runtime.Report) bool { return rep.Mute == "" })
		if rep.PID != pid || rep.Role != "master" {
			t.Errorf("after the script it is %+v", rep)
		}
	})
}

// TestStillEngineIsTold: so is one that shows no sign of life, where nobody could take
// over from it.
func TestStillEngineIsTold(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"valkey", "memcached"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			needs(t, kind)
			r := newHastyRig(t)
			n := makeNode(kind)
			r.apply(n)
			pid := r.settled(n).PID
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			if rep := r.wait(n.ID, "mute", func(rep runtime.Report) bool { return rep.Mute != "" }); rep.Mute != runtime.MuteStill || rep.PID != pid {
				t.Errorf("it is reported as %+v", rep)
			}
			if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			r.wait(n.ID, "answering", func(rep runtime.Report) bool { return rep.Mute == "" && rep.PID == pid })
		})
	}
}

// chores are what keeps an engine from answering for a while, as a customer's commands.
var chores = []struct {
	name    string
	command []string
}{
	{"a script of 3 s", []string{"EVAL", "local t = redis.call('TIME')[1] + 3; while redis.call('TIME')[1] + 0 < t do end return 1", "0"}},
	{"a big KEYS", []string{"EVAL", "for i = 1, 50000 do redis.call('SET', '{b}k' .. i, i) end return #redis.call('KEYS', '*')", "1", "{b}"}},
	{"FLUSHALL", []string{"FLUSHALL", "SYNC"}},
}

// TestBusyPrimaryStays: on a host that is busy itself no chore has the primary of a
// group or of a shard ended, nor does the fork that a new replica takes.
func TestBusyPrimaryStays(t *testing.T) {
	t.Parallel()
	occupy(t)
	for place, build := range map[string]func(r *rig, kind string) (nodes []runtime.Node, another func() []runtime.Node){
		"group": func(r *rig, kind string) ([]runtime.Node, func() []runtime.Node) {
			primary, replica := r.watched(kind)
			nodes := []runtime.Node{primary, replica}
			return nodes, func() []runtime.Node {
				more := makeNode(kind)
				more.Primary = &nodes[0].Replication
				return append(nodes, more)
			}
		},
		"shard": func(r *rig, kind string) ([]runtime.Node, func() []runtime.Node) {
			nodes := []runtime.Node{member(kind, 1), member(kind, 2), member(kind, 3)}
			slots := map[int]string{0: "0-8191", 1: "8192-16383"} // "b" is in slot 3300
			nodes[0].Watched = true
			clustered(nodes, []int{0, 1, 0}, slots)
			r.apply(nodes...)
			r.settledAll(nodes)
			return nodes, func() []runtime.Node {
				nodes = append(nodes, member(kind, 4))
				clustered(nodes, []int{0, 1, 0, 0}, slots)
				return nodes
			}
		},
	} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			eachValkey(t, func(t *testing.T, kind string) {
				r := newRig(t)
				nodes, another := build(r, kind)
				primary := nodes[0]
				pid := r.settled(primary).PID
				for _, c := range chores {
					if got := r.client(primary, c.command...); strings.HasPrefix(got, "-") {
						t.Errorf("%s: %s", c.name, got)
					}
					if rep := r.settled(primary); rep.PID != pid || !alive(pid) {
						t.Fatalf("%s ended it", c.name)
					}
				}
				if got := r.client(primary, "EVAL", "for i = 1, 4000 do redis.call('SET', '{b}k' .. i, string.rep('x', 4000)) end return 1", "1", "{b}"); got != ":1" {
					t.Errorf("16 MB: %s", got)
				}
				nodes = another()
				r.apply(nodes...)
				r.wait(nodes[len(nodes)-1].ID, "in sync", inSync)
				if rep := r.settled(nodes[0]); rep.PID != pid || rep.Role != "master" {
					t.Errorf("a fork ended it: %+v", rep)
				}
			})
		})
	}
}

// occupy keeps every processor of the host busy for the time of a test.
func occupy(t testing.TB) {
	t.Helper()
	for range goruntime.NumCPU() {
		cmd := exec.Command("sh", "-c", "while :; do :; done")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
}

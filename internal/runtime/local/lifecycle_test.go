package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

func TestStart(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{engine.Redis, engine.Valkey, engine.Memcached} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			needs(t, kind)
			r := newRig(t)
			n := makeNode(kind)
			token := core.NewSecret("customers-token-of-16")
			n.Auth.NoPassword, n.Auth.Digests = false, []string{token.SHA256()}
			r.apply(n)
			rep := r.settled(n)
			if rep.PID == 0 || rep.MaxClients < 100 || rep.Started.IsZero() || rep.Message != "" {
				t.Errorf("report: %+v", rep)
			}
			if b, _ := installed(kind, ""); rep.Binary != b.Path || rep.BinaryVersion != b.Version {
				t.Errorf("binary: %s %s", rep.Binary, rep.BinaryVersion)
			}
			if want := map[bool]string{true: "", false: "master"}[kind == engine.Memcached]; rep.Role != want {
				t.Errorf("role %q", rep.Role)
			}
			ep := r.fabric.endpoint("node " + n.ID)
			if len(ep.Backends) != 1 || ep.Backends[0].Socket != socketPath(r.cfg.RunDir, n.UID) || ep.MaxConns != rep.MaxClients {
				t.Errorf("endpoint: %+v", ep)
			}
			r.noSecrets(n, rep.PID, token)
		})
	}
}

// noSecrets looks for secrets wherever others could, and checks who may look.
func (r *rig) noSecrets(n runtime.Node, pid int, more ...core.Secret) {
	r.t.Helper()
	var places []string
	for _, f := range []string{"cmdline", "environ"} {
		places = append(places, fmt.Sprintf("/proc/%d/%s", pid, f))
	}
	dir := filepath.Join(r.nodes(), n.UID)
	for _, f := range []string{recordFile, logFile} {
		places = append(places, filepath.Join(dir, f))
		if info, err := os.Stat(filepath.Join(dir, f)); err != nil || info.Mode().Perm() != 0o600 {
			r.t.Errorf("%s: %v %v", f, info, err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		r.t.Errorf("directory: %v %v", info, err)
	}
	for _, p := range places {
		b, err := os.ReadFile(p)
		if err != nil {
			r.t.Error(err)
		}
		for _, s := range append(more, n.Auth.Admin, n.Auth.Replication) {
			if strings.Contains(string(b), s.Reveal()) {
				r.t.Errorf("a secret is in %s", p)
			}
		}
	}
}

func TestExitIsReportedAtOnceAndStays(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		n := makeNode(kind)
		r.apply(n)
		first := r.settled(n)
		began := time.Now()
		if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		rep := r.wait(n.ID, "exited", func(rep runtime.Report) bool { return rep.Phase == runtime.PhaseExited })
		t.Logf("noticed after %v", time.Since(began))
		if rep.Incarnation != 1 || rep.PID != 0 || !strings.Contains(rep.Message, "SIGKILL") {
			t.Errorf("report: %+v", rep)
		}
		eventually(t, "out of service", func() bool { return len(r.fabric.endpoint("node "+n.ID).Backends) == 0 })

		// The same incarnation stays away, even under a new generation.
		n = next(n, func(n *runtime.Node) { n.Settings = map[string]string{"maxmemory": "10000000"} })
		r.apply(n)
		other := makeNode(kind)
		r.apply(n, other)
		r.settled(other)
		if rep := r.wait(n.ID, "known", func(runtime.Report) bool { return true }); rep.Phase != runtime.PhaseExited {
			t.Errorf("started again by itself: %+v", rep)
		}

		n = next(n, func(n *runtime.Node) { n.Incarnation++ })
		r.apply(n, other)
		if rep := r.settled(n); rep.PID == first.PID || rep.Message != "" {
			t.Errorf("report: %+v", rep)
		}
	})
}

func TestNewIncarnationReplacesTheProcess(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{engine.Redis, engine.Valkey, engine.Memcached} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			needs(t, kind)
			r := newRig(t)
			n := makeNode(kind)
			r.apply(n)
			first := r.settled(n)
			n = next(n, func(n *runtime.Node) { n.Incarnation = 2 })
			r.apply(n)
			second := r.settled(n)
			if second.PID == first.PID || alive(first.PID) {
				t.Errorf("process %d, before %d (alive: %v)", second.PID, first.PID, alive(first.PID))
			}
		})
	}
}

func TestAdoption(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		stays, dies, goes := makeNode(kind), makeNode(kind), makeNode(kind)
		r.apply(stays, dies, goes)
		before := r.settled(stays)
		deadPID, gonePID := r.settled(dies).PID, r.settled(goes).PID
		if got := r.client(stays, "SET", "k", "v"); got != "+OK" {
			t.Fatal(got)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		r.reader.Wait()
		if !alive(before.PID) {
			t.Fatal("the engine ended with the runtime")
		}
		_ = syscall.Kill(deadPID, syscall.SIGKILL)
		r.fabric.set(func(f *notes) {
			f.calls = 0
			f.hook = func(eps map[string]Endpoint) {
				if len(eps["node "+stays.ID].Backends) != 1 {
					t.Error("a running engine was taken out of service on the way")
				}
			}
		})
		clear(r.reports)
		r.open()
		r.wait(dies.ID, "found exited", func(rep runtime.Report) bool { return rep.Phase == runtime.PhaseExited })
		if r.fabric.calls != 0 {
			t.Error("the fabric was changed before there was a document")
		}
		r.apply(stays, dies)
		after := r.settled(stays)
		if after.PID != before.PID || !after.Started.Equal(before.Started) || after.Role != "master" {
			t.Errorf("before %+v, after %+v", before, after)
		}
		if got := r.client(stays, "GET", "k"); got != "$1\r\nv" {
			t.Errorf("data: %q", got)
		}
		r.wait(goes.ID, "gone", func(rep runtime.Report) bool { return rep.Phase == runtime.PhaseGone })
		if alive(gonePID) {
			t.Error("a node that is in no document runs")
		}
		// Adopted processes are watched like children.
		r.fabric.set(func(f *notes) { f.hook = nil })
		_ = syscall.Kill(after.PID, syscall.SIGKILL)
		r.wait(stays.ID, "exited", func(rep runtime.Report) bool { return rep.Phase == runtime.PhaseExited })
	})
}

func TestAdoptionGoesByStartTime(t *testing.T) {
	t.Parallel()
	needs(t, engine.Redis)
	r := newRig(t)
	n := r.lone(engine.Redis)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r.reader.Wait()
	dir := filepath.Join(r.nodes(), n.UID)
	rec := readRecord(dir)
	engineProcess := rec.PID
	rec.PID, rec.Start = os.Getpid(), rec.Start+1 // the pid now belongs to somebody else
	if err := rec.write(dir); err != nil {
		t.Fatal(err)
	}
	clear(r.reports)
	r.open()
	r.wait(n.ID, "exited", func(rep runtime.Report) bool { return rep.Phase == runtime.PhaseExited })
	if alive(engineProcess) {
		t.Error("a process that no record knows was left running")
	}
}

func TestRemoval(t *testing.T) {
	t.Parallel()
	needs(t, engine.Valkey)
	r := newRig(t)
	n, other := makeNode(engine.Valkey), makeNode(engine.Valkey)
	r.apply(n, other)
	pid := r.settled(n).PID
	r.settled(other)
	r.revision++
	err := r.Apply(t.Context(), &runtime.Document{
		Revision: r.revision, Nodes: []runtime.Node{other}, Removed: []string{n.ID, "us-east-1/never/0001"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{n.ID, "us-east-1/never/0001"} {
		r.wait(id, "gone", func(rep runtime.Report) bool { return rep.Phase == runtime.PhaseGone })
	}
	if alive(pid) {
		t.Error("the process runs")
	}
	for _, path := range []string{filepath.Join(r.nodes(), n.UID), socketPath(r.cfg.RunDir, n.UID)} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is there: %v", path, err)
		}
	}
}

func TestStaleAndOddDocuments(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.apply()
	if err := r.Apply(t.Context(), &runtime.Document{Revision: r.revision}); !errors.Is(err, runtime.ErrStale) {
		t.Errorf("equal revision: %v", err)
	}
	for name, change := range map[string]func(a, b *runtime.Node){
		"uid that is a path": func(a, _ *runtime.Node) { a.UID = "../../etc" },
		"no uid":             func(a, _ *runtime.Node) { a.UID = "" },
		"uid twice":          func(a, b *runtime.Node) { a.UID = b.UID },
		"id twice":           func(a, b *runtime.Node) { a.ID = b.ID },
	} {
		a, b := makeNode(engine.Memcached), makeNode(engine.Memcached)
		change(&a, &b)
		if err := r.Apply(t.Context(), &runtime.Document{Revision: 100, Nodes: []runtime.Node{a, b}}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestShutdownLeavesNothing(t *testing.T) {
	t.Parallel()
	needs(t, engine.Redis, engine.Memcached)
	for name, end := range map[string]func(r *rig) error{
		"shutdown":  func(r *rig) error { return r.Shutdown(r.t.Context()) },
		"ephemeral": func(r *rig) error { r.Runtime.cfg.Ephemeral = true; return r.Close() },
		"stop afterwards": func(r *rig) error {
			err := r.Close()
			if stopped, serr := Stop(r.cfg.DataDir, r.cfg.RunDir); stopped != 2 || serr != nil {
				r.t.Errorf("stopped %d, %v", stopped, serr)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			a, b := makeNode(engine.Redis), makeNode(engine.Memcached)
			r.apply(a, b)
			pids := []int{r.settled(a).PID, r.settled(b).PID}
			if err := end(r); err != nil {
				t.Fatal(err)
			}
			for _, pid := range pids {
				eventually(t, "ended", func() bool { return !alive(pid) })
			}
			if name != "stop afterwards" && !r.fabric.ended {
				t.Error("the fabric goes on")
			}
			// State is kept: the nodes are found exited, not unknown.
			r.reader.Wait()
			r.Runtime = nil
			r.cfg.Ephemeral = false
			clear(r.reports)
			r.open()
			r.wait(a.ID, "exited", func(rep runtime.Report) bool { return rep.Phase == runtime.PhaseExited })
		})
	}
}

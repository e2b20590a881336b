package local

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

func failed(words string) func(runtime.Report) bool {
	return func(rep runtime.Report) bool {
		return rep.Phase == runtime.PhaseFailed && strings.Contains(rep.Message, words)
	}
}

// Each cause is reported in words, and the node heals without a new incarnation
// when the cause goes.
func TestFailedStartHeals(t *testing.T) {
	t.Parallel()
	needs(t, engine.Redis, engine.Memcached)
	t.Run("program missing", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		path := filepath.Join(t.TempDir(), "redis-server")
		r.Runtime.cfg.Choose = func(name, version string) (engine.Binary, error) {
			b, err := installed(name, version)
			b.Path = path
			return b, err
		}
		n := makeNode(engine.Redis)
		r.apply(n)
		r.wait(n.ID, "failed", failed("program is gone"))
		real, _ := installed(engine.Redis, "")
		if err := os.Symlink(real.Path, path); err != nil {
			t.Fatal(err)
		}
		if rep := r.settled(n); rep.Message != "" {
			t.Errorf("message: %q", rep.Message)
		}
	})
	t.Run("no engine for the version", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		var there atomic.Bool
		r.Runtime.cfg.Choose = func(name, version string) (engine.Binary, error) {
			if !there.Load() {
				return engine.Binary{}, errors.New("nothing installed serves redis 9.9")
			}
			return installed(name, version)
		}
		n := makeNode(engine.Redis)
		r.apply(n)
		r.wait(n.ID, "failed", failed("nothing installed"))
		there.Store(true)
		r.settled(n)
	})
	t.Run("address taken", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		n := makeNode(engine.Redis)
		l, err := net.Listen("tcp", n.Replication.String())
		if err != nil {
			t.Fatal(err)
		}
		r.apply(n)
		r.wait(n.ID, "failed", failed("Failed listening on port"))
		_ = l.Close()
		r.settled(n)
	})
	t.Run("directory cannot be made", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		n := makeNode(engine.Memcached)
		obstacle := filepath.Join(r.nodes(), n.UID)
		if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		r.apply(n)
		r.wait(n.ID, "failed", failed("not a directory"))
		if err := os.Remove(obstacle); err != nil {
			t.Fatal(err)
		}
		r.settled(n)
	})
	t.Run("record cannot be kept", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		n := makeNode(engine.Redis)
		obstacle := filepath.Join(r.nodes(), n.UID, recordFile+".new")
		if err := os.MkdirAll(obstacle, 0o700); err != nil {
			t.Fatal(err)
		}
		r.apply(n)
		r.wait(n.ID, "failed", failed("keep the process"))
		if left, _ := strays(r.nodes()); len(left) > 0 {
			t.Errorf("a process runs without a record: %v", left)
		}
		if err := os.Remove(obstacle); err != nil {
			t.Fatal(err)
		}
		r.settled(n)
	})
	t.Run("settings that keep it from starting", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		n := makeNode(engine.Redis)
		n.StartSettings = map[string]string{"no-such-directive": "1"}
		r.apply(n)
		r.wait(n.ID, "failed", failed("Bad directive"))
		n = next(n, func(n *runtime.Node) { n.StartSettings = nil })
		r.apply(n)
		r.settled(n)
	})
}

// One node that cannot be had does not hold up another.
func TestEndpointFailure(t *testing.T) {
	t.Parallel()
	needs(t, engine.Memcached)
	r := newRig(t)
	n, other := makeNode(engine.Memcached), makeNode(engine.Memcached)
	r.fabric.set(func(f *notes) { f.fail = map[string]error{"node " + n.ID: errors.New("127.60.0.1:6379 is taken")} })
	r.apply(n, other)
	r.settled(other)
	rep := r.wait(n.ID, "running in trouble", func(rep runtime.Report) bool {
		return rep.Phase == runtime.PhaseRunning && strings.Contains(rep.Message, "is taken")
	})
	if rep.Generation != 0 {
		t.Errorf("report: %+v", rep)
	}
	r.fabric.set(func(f *notes) { f.fail = nil })
	if rep := r.settled(n); rep.Message != "" {
		t.Errorf("message: %q", rep.Message)
	}
	// A fabric that fails altogether keeps everything waiting, and heals too.
	r.fabric.set(func(f *notes) { f.err = errors.New("no relay") })
	third := makeNode(engine.Memcached)
	r.apply(n, other, third)
	rep = r.wait(third.ID, "running", func(rep runtime.Report) bool { return rep.Phase == runtime.PhaseRunning })
	if rep.Generation != 0 {
		t.Errorf("report: %+v", rep)
	}
	r.fabric.set(func(f *notes) { f.err = nil })
	r.settled(third)
}

func TestSettings(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		n := makeNode(kind)
		n.StartSettings = map[string]string{"databases": "7"}
		n.Settings = map[string]string{
			"maxclients": "65000",
			"maxmemory":  "100000000", "maxmemory-policy": "volatile-lru",
			"client-output-buffer-limit": "normal 0 0 0 pubsub 33554432 8388608 60",
		}
		r.apply(n)
		if rep := r.settled(n); rep.MaxClients != min(65000, r.descriptors-160) {
			t.Errorf("max clients %d of %d descriptors", rep.MaxClients, r.descriptors)
		}
		if got := r.session(n, "SELECT 6"); got != "+OK" {
			t.Errorf("databases: %s", got)
		}
		if got := r.session(n, "SELECT 7"); got == "+OK" {
			t.Error("more databases than wanted")
		}
		n = next(n, func(n *runtime.Node) {
			n.Settings = map[string]string{
				"maxclients": "500", "maxmemory": "50000000", "maxmemory-policy": "allkeys-lfu", "no-such-setting": "1", "timeout": "soon",
				"client-output-buffer-limit": "normal 1000000 0 0 pubsub 33554432 8388608 60",
			}
		})
		r.apply(n)
		rep := r.settled(n)
		if rep.MaxClients != 500 {
			t.Errorf("max clients %d, not the 500 that were set", rep.MaxClients)
		}
		for _, words := range []string{"no-such-setting is unknown", "timeout is refused"} {
			if !strings.Contains(rep.Message, words) {
				t.Errorf("%q is not in message %q", words, rep.Message)
			}
		}
		info := r.client(n, "INFO", "memory")
		for _, line := range []string{"maxmemory:50000000", "maxmemory_policy:allkeys-lfu"} {
			if !strings.Contains(info, line) {
				t.Errorf("%q is not in %s", line, info)
			}
		}
		n = next(n, func(n *runtime.Node) { n.Settings = map[string]string{"timeout": "100", "maxclients": "65000"} })
		r.apply(n)
		if rep := r.settled(n); rep.Message != "" || rep.MaxClients != min(65000, r.descriptors-160) {
			t.Errorf("message: %q", rep.Message)
		}
	})
}

func TestMemcachedSettings(t *testing.T) {
	t.Parallel()
	needs(t, engine.Memcached)
	r := newRig(t)
	n := makeNode(engine.Memcached)
	n.StartSettings = map[string]string{
		"threads": "2", "memory-limit": "100", "max-item-size": "2097152", "conn-limit": "500", "listen-backlog": "64",
		"protocol": "auto", "slab-min-size": "64", "slab-growth-factor": "1.5", "disable-cas": "yes",
		"disable-flush-all": "yes", "disable-evictions": "no", "hash_algorithm": "jenkins", "idle_timeout": "30",
		"lru_crawler": "no", "lru_maintainer": "yes", "maxconns_fast": "no", "no_modern": "yes", "slab_automove": "0",
		"slab_chunk_max": "524288", "slab_reassign": "yes", "track_sizes": "yes", "from_the_future": "1",
	}
	r.apply(n)
	rep := r.settled(n)
	if rep.MaxClients != 500 || !strings.Contains(rep.Message, "from_the_future") {
		t.Errorf("report: %+v", rep)
	}
	conn := r.dial(n)
	_ = conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(conn, "stats settings\r\n")
	got := make(map[string]string)
	for lines := bufio.NewScanner(conn); lines.Scan() && lines.Text() != "END"; {
		if f := strings.Fields(lines.Text()); len(f) == 3 {
			got[f[1]] = f[2]
		}
	}
	for name, want := range map[string]string{
		"num_threads": "2", "maxbytes": "104857600", "item_size_max": "2097152", "maxconns": "500", "tcp_backlog": "64",
		"chunk_size": "64", "growth_factor": "1.50", "cas_enabled": "no", "flush_enabled": "no", "evictions": "on",
		"hash_algorithm": "jenkins", "idle_timeout": "30", "lru_crawler": "no", "lru_maintainer_thread": "yes",
		"maxconns_fast": "no", "slab_automove": "0", "slab_chunk_max": "524288", "slab_reassign": "yes", "track_sizes": "yes",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, not %q", name, got[name], want)
		}
	}
}

func TestSuspendedEngineIsReported(t *testing.T) {
	t.Parallel()
	needs(t, engine.Valkey)
	r := newRig(t)
	n := makeNode(engine.Valkey)
	r.apply(n)
	pid := r.settled(n).PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	rep := r.wait(n.ID, "silent", func(rep runtime.Report) bool { return strings.Contains(rep.Message, "does not answer") })
	if rep.Phase != runtime.PhaseRunning || rep.PID != pid {
		t.Errorf("report: %+v", rep)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r.wait(n.ID, "well", func(rep runtime.Report) bool { return rep.Message == "" && rep.Phase == runtime.PhaseRunning })
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	n = next(n, func(n *runtime.Node) { n.Incarnation++ })
	r.apply(n)
	r.settled(n)
}

// A customer may cut all connections, Larder's too.
func TestCutConnectionIsMadeAgain(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		n := makeNode(kind)
		r.apply(n)
		pid := r.settled(n).PID
		r.session(n, "CLIENT KILL USER larder-admin")
		n = next(n, func(n *runtime.Node) { n.Settings = map[string]string{"timeout": "100"} })
		r.apply(n)
		if rep := r.settled(n); rep.PID != pid || rep.Message != "" {
			t.Errorf("report: %+v", rep)
		}
	})
}

func TestBusyEngineIsNotExited(t *testing.T) {
	t.Parallel()
	needs(t, engine.Redis)
	r := newRig(t)
	n := makeNode(engine.Redis)
	n.Settings = map[string]string{"lua-time-limit": "10"}
	r.apply(n)
	r.settled(n)
	conn := r.dial(n)
	fmt.Fprint(conn, "EVAL 'while true do end' 0\r\n")
	rep := r.wait(n.ID, "busy", func(rep runtime.Report) bool { return strings.Contains(rep.Message, "BUSY") })
	if rep.Phase != runtime.PhaseRunning || rep.Role != "master" {
		t.Errorf("report: %+v", rep)
	}
	eventually(t, "script killed", func() bool { return r.session(n, "SCRIPT KILL") == "+OK" })
	r.wait(n.ID, "well", func(rep runtime.Report) bool { return rep.Message == "" })
}

// TestMain lets a test run a part of this program as another process.
func TestMain(m *testing.M) {
	if dir := os.Getenv("LARDER_TEST_GATE"); dir != "" {
		bin, _ := installed(engine.Redis, "")
		p, _, err := spawn(command{
			dir: dir, log: filepath.Join(dir, logFile), path: bin.Path, args: []string{"-"},
			stdin: []byte("port 0\nunixsocket " + filepath.Join(dir, "s") + "\n"),
		})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(p.pid)
		time.Sleep(time.Hour) // until it is killed, as a Larder may be
	}
	os.Exit(m.Run())
}

// A Larder that dies between the fork and the record leaves nothing.
func TestDeathBeforeTheRecord(t *testing.T) {
	t.Parallel()
	needs(t, engine.Redis)
	r := newRig(t)
	dir := filepath.Join(r.nodes(), "interrupted")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LARDER_TEST_GATE="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(line)
	}
	if !alive(pid) {
		t.Fatal("the process does not wait at its gate")
	}
	if found, _ := strays(r.nodes()); found[pid] != "interrupted" {
		t.Errorf("it is not known for a node's: %v", found)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	eventually(t, "ended", func() bool { return !alive(pid) })
	if _, err := os.Stat(filepath.Join(dir, "s")); err == nil {
		t.Error("the engine ran")
	}
}

// Should one live on all the same, the next Larder ends it.
func TestProcessWithoutRecordIsEnded(t *testing.T) {
	t.Parallel()
	needs(t, engine.Valkey)
	r := newRig(t)
	n := makeNode(engine.Valkey)
	r.apply(n)
	pid := r.settled(n).PID
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r.reader.Wait()
	if err := os.Remove(filepath.Join(r.nodes(), n.UID, recordFile)); err != nil {
		t.Fatal(err)
	}
	nobodys := filepath.Join(r.nodes(), "nobodys")
	if err := os.Mkdir(nobodys, 0o700); err != nil {
		t.Fatal(err)
	}
	clear(r.reports)
	r.open()
	if alive(pid) {
		t.Error("it runs")
	}
	r.apply(n)
	if rep := r.settled(n); rep.PID == pid {
		t.Errorf("report: %+v", rep)
	}
	if _, err := os.Stat(nobodys); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory of no node is there: %v", err)
	}
}

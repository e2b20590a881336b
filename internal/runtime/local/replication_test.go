package local

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

func inSync(rep runtime.Report) bool { return rep.Role == "slave" && rep.LinkUp }

// group starts a primary and two replicas.
func (r *rig) group(kind string) (primary, a, b runtime.Node) {
	r.t.Helper()
	primary, a, b = makeNode(kind), makeNode(kind), makeNode(kind)
	a.Primary, b.Primary = &primary.Replication, &primary.Replication
	r.apply(primary, a, b)
	r.settled(primary)
	r.wait(a.ID, "in sync", inSync)
	r.wait(b.ID, "in sync", inSync)
	return primary, a, b
}

func TestReplication(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		began := time.Now()
		primary, a, b := r.group(kind)
		t.Logf("primary and two replicas in sync after %v", time.Since(began))
		conn := r.dial(primary)
		if got := exchange(t, conn, "SET", "k", "v"); got != "+OK" {
			t.Fatal(got)
		}
		// By itself an engine would send it only after up to a second. WAIT waits for
		// the writes of its own connection.
		if got := exchange(t, conn, "WAIT", "2", "400"); got != ":2" {
			t.Errorf("the replicas in sync that get a write at once: %s, want 2", got)
		}
		eventually(t, "written to a replica", func() bool { return r.client(a, "GET", "k") == "$1\r\nv" })
		if got := r.client(a, "SET", "k", "w"); !strings.HasPrefix(got, "-READONLY") {
			t.Errorf("a replica takes writes: %s", got)
		}
		if got := r.client(primary, "INFO", "replication"); !strings.Contains(got, "ip="+a.Advertised.Address+",") {
			t.Errorf("the replica's advertised address is not in %s", got)
		}
		eventually(t, "offset and size of the replica", func() bool {
			state, err := r.Runtime.Replication(t.Context(), b.ID)
			return err == nil && state.LinkUp && state.Role == "slave" && state.Offset > 0 && state.UsedMemory > 0
		})
		t.Run("only with a certificate", func(t *testing.T) {
			if err := dialTLS(primary.Replication, true); err != nil {
				t.Errorf("with one: %v", err)
			}
			if err := dialTLS(primary.Replication, false); err == nil {
				t.Error("let in without one")
			}
			conn, err := net.Dial("tcp", primary.Replication.String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			_, _ = conn.Write([]byte("PING\r\n"))
			buf := make([]byte, 16)
			if n, _ := conn.Read(buf); strings.Contains(string(buf[:n]), "PONG") {
				t.Error("answered in plaintext")
			}
		})
	})
}

func TestFailover(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		primary, a, b := r.group(kind)
		if got := r.client(primary, "SET", "k", "v"); got != "+OK" {
			t.Fatal(got)
		}
		eventually(t, "written to both", func() bool {
			return r.client(a, "GET", "k") == "$1\r\nv" && r.client(b, "GET", "k") == "$1\r\nv"
		})
		pid := r.settled(primary).PID
		began := time.Now()
		_ = syscall.Kill(pid, syscall.SIGKILL)
		r.wait(primary.ID, "exited", func(rep runtime.Report) bool { return rep.Phase == runtime.PhaseExited })
		a = next(a, func(n *runtime.Node) { n.Primary = nil })
		b = next(b, func(n *runtime.Node) { n.Primary = &a.Replication })
		heir := a.Replication // a itself is changed below, while the runtime reads this
		primary = next(primary, func(n *runtime.Node) { n.Incarnation, n.Primary = 2, &heir })
		r.apply(primary, a, b)
		r.wait(a.ID, "primary", func(rep runtime.Report) bool { return rep.Role == "master" })
		t.Logf("promoted %v after the kill", time.Since(began))
		for _, n := range []runtime.Node{primary, b} {
			r.settled(n)
			r.wait(n.ID, "in sync", inSync)
			if got := r.client(n, "GET", "k"); got != "$1\r\nv" {
				t.Errorf("%s has lost the data: %s", n.ID, got)
			}
		}
		t.Logf("whole again %v after the kill", time.Since(began))
	})
}

// A node that comes back beside a replica which still follows it must not hand
// that one its emptiness.
func TestReplicaIsOneFromItsFirstMoment(t *testing.T) {
	t.Parallel()
	needs(t, engine.Redis)
	r := newRig(t)
	primary, a, b := r.group(engine.Redis)
	if got := r.client(primary, "SET", "k", "v"); got != "+OK" {
		t.Fatal(got)
	}
	eventually(t, "written to both", func() bool {
		return r.client(a, "GET", "k") == "$1\r\nv" && r.client(b, "GET", "k") == "$1\r\nv"
	})
	_ = syscall.Kill(r.settled(primary).PID, syscall.SIGKILL)
	r.wait(primary.ID, "exited", func(rep runtime.Report) bool { return rep.Phase == runtime.PhaseExited })
	// a is not promoted yet, b not redirected: only the old primary comes back.
	heir := a.Replication // a itself is changed below, while the runtime reads this
	primary = next(primary, func(n *runtime.Node) { n.Incarnation, n.Primary = 2, &heir })
	r.apply(primary, a, b)
	r.settled(primary)
	a = next(a, func(n *runtime.Node) { n.Primary = nil })
	b = next(b, func(n *runtime.Node) { n.Primary = &heir })
	r.apply(primary, a, b)
	for _, n := range []runtime.Node{primary, b} {
		r.settled(n)
		r.wait(n.ID, "in sync", inSync)
		if got := r.client(n, "GET", "k"); got != "$1\r\nv" {
			t.Errorf("%s: %s", n.ID, got)
		}
	}
}

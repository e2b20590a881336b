package userspace

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/network"
	"github.com/larder-cache/larder/internal/runtime/local"
)

// guarded applies one endpoint with other rules.
func guarded(t *testing.T, f *Fabric, ep local.Endpoint, rules ...network.Rule) {
	t.Helper()
	if failed, err := f.Apply(context.Background(), guardedBy(rules, ep)); err != nil || len(failed) > 0 {
		t.Fatalf("apply: %v, failed: %v", err, failed)
	}
}

// refused expects a new connection to be reset without a byte.
func refused(t *testing.T, what string, ep local.Endpoint) {
	t.Helper()
	c, err := net.Dial("tcp", ep.Listen[0].String())
	if err == nil {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		// A reset is told once: to the write, if that comes late.
		_, late := c.Write([]byte("PING\r\n"))
		n, reset := c.Read(make([]byte, 1))
		if n > 0 {
			t.Errorf("%s: got an answer", what)
		}
		err = errors.Join(late, reset)
	}
	if !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("%s: %v", what, err)
	}
}

// Another policy alone is in force once Apply returns, in an older relay too that
// still serves, and in the relay that follows one that died.
func TestGuardChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	older := r.fabric("v1")
	socket, _ := r.engine("redis-server")
	ep := r.endpoint("node a", local.Backend{Node: "a", Socket: socket})
	open := []network.Rule{anywhere, {ID: "out", Egress: true, Protocol: network.AnyProtocol, CIDR: anywhere.CIDR}}
	guarded(t, older, ep, open...)
	untracked := client(t, ep)
	if err := ping(untracked); err != nil {
		t.Fatal(err)
	}
	older.Close()
	f := r.fabric("v2")
	guarded(t, f, ep, open...)
	tracked := client(t, ep)
	guarded(t, f, ep, anywhere)
	if err := errors.Join(ping(tracked), ping(untracked)); err != nil {
		t.Error("admitted by both policies:", err)
	}
	guarded(t, f, ep, network.Rule{ID: "in", Protocol: network.AnyProtocol, CIDR: netip.MustParsePrefix("10.0.77.0/24")})
	refused(t, "not admitted", ep)
	if err := ping(tracked); err != nil {
		t.Error("a tracked connection:", err)
	}
	if err := ping(untracked); err == nil {
		t.Error("an untracked connection of the older relay lives on")
	}
	pid := f.pid()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "another relay", func() bool { p := f.pid(); return p != 0 && p != pid })
	refused(t, "not admitted by the next relay", ep)
	guarded(t, f, ep, anywhere)
	if err := ping(client(t, ep)); err != nil {
		t.Error("admitted again:", err)
	}
}

package local

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/runtime"
)

// told is what the fabric knows of a node: where its engine listens itself.
func (r *rig) told(n runtime.Node) core.Endpoint {
	r.fabric.mu.Lock()
	defer r.fabric.mu.Unlock()
	for _, b := range r.fabric.eps["node "+n.ID].Backends {
		return b.Direct
	}
	return core.Endpoint{}
}

// An engine listens for clients itself while it may. The fabric leads clients there
// only once it does, and to the relay before it no longer does; connections that
// exist live on.
func TestDirectListener(t *testing.T) {
	t.Parallel()
	eachValkey(t, func(t *testing.T, kind string) {
		r := newRig(t)
		n := makeNode(kind)
		// Where the replication listener is too, as in a network of its own.
		n.VPC.Address = n.Replication.Address
		n.VPC.Port++
		at, endpoint := n.VPC, "node "+n.ID
		r.apply(n)
		r.settled(n)
		if c, err := net.Dial("tcp", at.String()); err == nil {
			c.Close()
			t.Fatal("it listens before it may")
		}
		listens := func(nodes map[string]Endpoint) (told, open bool) {
			for _, b := range nodes[endpoint].Backends {
				told = !b.Direct.IsZero()
			}
			c, err := net.Dial("tcp", at.String())
			if err == nil {
				c.Close()
			}
			return told, err == nil
		}
		var had atomic.Bool // clients were led to the listener
		r.fabric.mu.Lock()
		r.fabric.hook = func(eps map[string]Endpoint) {
			if told, open := listens(eps); told && !open {
				t.Error("clients are led to a listener that is not there")
			} else if !told && len(eps[endpoint].Backends) > 0 && had.Swap(false) && !open {
				t.Error("the listener was closed while clients were led to it")
			}
		}
		r.fabric.mu.Unlock()
		n = next(n, func(n *runtime.Node) { n.Direct = at })
		r.apply(n)
		r.settled(n)
		if r.told(n) != at {
			t.Errorf("clients are led to %v", r.told(n))
		}
		conn, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if got := exchange(t, conn, "PING"); got != "+PONG" {
			t.Error(got)
		}
		had.Store(true)
		// Who follows knows where clients are led before it has asked the engine.
		_ = r.Close()
		r.open()
		r.apply(n)
		r.settled(n)
		if r.told(n) != at {
			t.Errorf("after a restart clients are led to %v", r.told(n))
		}
		n = next(n, func(n *runtime.Node) { n.Direct = core.Endpoint{} })
		r.apply(n)
		r.settled(n)
		if c, err := net.Dial("tcp", at.String()); err == nil {
			c.Close()
			t.Error("it listens though it may not any more")
		}
		if r.told(n) != (core.Endpoint{}) {
			t.Error("clients are still led to the engine")
		}
		if got := exchange(t, conn, "PING"); got != "+PONG" {
			t.Errorf("a connection of before: %s", got)
		}
		// And one that starts with it.
		m := makeNode(kind)
		m.VPC.Address = m.Replication.Address
		m.VPC.Port++
		m.Direct = m.VPC
		r.apply(n, m)
		r.settled(m)
		if r.told(m) != m.VPC || !strings.HasPrefix(r.client(m, "PING"), "+PONG") {
			t.Errorf("from the start: clients are led to %v", r.told(m))
		}
	})
}

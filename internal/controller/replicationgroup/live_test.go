package replicationgroup_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/controller/cachecluster"
	"github.com/larder-cache/larder/internal/controller/certificate"
	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/controller/host"
	"github.com/larder-cache/larder/internal/controller/replicationgroup"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// newLive is a world whose controllers run by themselves, as in production.
func newLive(t testing.TB) *controllertest.Loop {
	l := controllertest.NewLoop(t, true)
	l.Runtime.Clock = core.SystemClock{}
	clock := core.SystemClock{}
	if err := certificate.EnsureAuthorities(t.Context(), l.Store, l.Seal, clock); err != nil {
		t.Fatal(err)
	}
	ca, err := certificate.Load(t.Context(), l.Store, l.Seal, certificate.ClientAuthority)
	if err != nil {
		t.Fatal(err)
	}
	uids := controllertest.UIDs()
	h := host.New(host.Config{Store: l.Store, Seal: l.Seal, Runtime: l.Runtime, Clock: clock, Log: l.Log})
	controllers := []reconcile.Controller{
		replicationgroup.New(replicationgroup.Config{
			Store: l.Store, Engines: controllertest.Engines{}, Prober: l.Runtime, Clock: clock, NewUID: uids, Log: l.Log,
		}),
		cachecluster.New(cachecluster.Config{
			Store: l.Store, Engines: controllertest.Engines{}, Prober: l.Runtime, Clock: clock, NewUID: uids, Log: l.Log,
		}),
		certificate.New(certificate.Config{Store: l.Store, Seal: l.Seal, Clock: clock, Log: l.Log, Authority: ca}),
		h.Controller(),
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := reconcile.Run(ctx, l.Store, clock, l.Log, controllers...); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		if err := h.Follow(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return l
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

func leadsTo(l *controllertest.Loop, endpoint, node string) func() bool {
	return func() bool {
		nodes := l.Runtime.Endpoint(endpoint).Nodes
		return len(nodes) == 1 && nodes[0] == node
	}
}

// The controllers wake each other: nothing but commits and reports moves this
// world from a creation with TLS over a failover to an empty store.
func TestLive(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	g, members := controllertest.Group(3)
	g.Spec.TLS, g.Spec.AutomaticFailover = resource.TLSRequired, true
	for _, m := range members {
		m.Spec.TLS = resource.TLSRequired
	}
	l.Update(t, func(tx *store.Tx) { controllertest.PutGroup(tx, g, members) })
	eventually(t, "available", func() bool { return group(l).Status.Available != nil })
	eventually(t, "the primary endpoint", leadsTo(l, primary, node1))

	l.Runtime.Kill(node1)
	eventually(t, "failover", leadsTo(l, primary, node2))
	eventually(t, "recovery", func() bool {
		n := node(l, node1)
		return n.Spec.Incarnation == 2 && n.Status.LinkUp && len(l.Runtime.Endpoint(reader).Nodes) == 2
	})

	editGroup(t, l, func(g *resource.ReplicationGroup) { g.Spec.Deleting = true })
	eventually(t, "deletion", func() bool { return len(controllertest.Records(l.Store)) == 2 })
}

// BenchmarkFailover is from the exit of the primary to the primary endpoint
// leading to the next one, without what engines need for it.
func BenchmarkFailover(b *testing.B) {
	l := newLive(b)
	g, members := controllertest.Group(2)
	g.Spec.AutomaticFailover = true
	l.Update(b, func(tx *store.Tx) { controllertest.PutGroup(tx, g, members) })
	writer, other := node1, node2
	inSync := func() bool { return node(l, other).Status.LinkUp && l.Runtime.Engine(other).LinkUp }
	for range b.N {
		b.StopTimer()
		eventually(b, "in sync", func() bool { return leadsTo(l, primary, writer)() && inSync() })
		b.StartTimer()
		l.Runtime.Kill(writer)
		eventually(b, "failover", leadsTo(l, primary, other))
		writer, other = other, writer
		// The lost node would be started ever later: it was so soon lost again.
		b.StopTimer()
		l.Update(b, func(tx *store.Tx) {
			n, _ := resource.Nodes.Get(tx, other)
			n.Spec.QuickExits = 0
			resource.Nodes.Put(tx, other, n)
		})
		b.StartTimer()
	}
}

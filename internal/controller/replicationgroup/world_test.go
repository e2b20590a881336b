package replicationgroup_test

import (
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/controller/cachecluster"
	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/controller/host"
	"github.com/larder-cache/larder/internal/controller/replicationgroup"
	"github.com/larder-cache/larder/internal/controller/resharding"
	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

const (
	groupKey = controllertest.Region + "/rg"
	node1    = controllertest.Region + "/rg-001/0001"
	node2    = controllertest.Region + "/rg-002/0001"
	node3    = controllertest.Region + "/rg-003/0001"
	primary  = "primary " + groupKey
	reader   = "reader " + groupKey
)

// newLoop is a world with the controllers that groups need.
func newLoop(t testing.TB, auto bool) *controllertest.Loop {
	l := controllertest.NewLoop(t, auto)
	h := host.New(host.Config{Store: l.Store, Seal: l.Seal, Runtime: l.Runtime, Clock: l.Clock, Log: l.Log})
	l.Record = h.Record
	uids := controllertest.UIDs()
	l.Controllers = []reconcile.Controller{
		replicationgroup.New(replicationgroup.Config{
			Store: l.Store, Engines: controllertest.Engines{}, Prober: l.Runtime, Clock: l.Clock, NewUID: uids, Log: l.Log,
		}),
		h.Controller(),
		cachecluster.New(cachecluster.Config{
			Store: l.Store, Engines: controllertest.Engines{}, Prober: l.Runtime, Clock: l.Clock, NewUID: uids, Log: l.Log,
		}),
		resharding.New(resharding.Config{Store: l.Store, Mover: l.Runtime, Clock: l.Clock, NewUID: uids, Log: l.Log}),
	}
	return l
}

// newGroup is a settled group of n members, changed by edit before it was made.
func newGroup(t testing.TB, n int, edit func(*controllertest.Loop, *resource.ReplicationGroup)) *controllertest.Loop {
	l := newLoop(t, true)
	g, members := controllertest.Group(n)
	if edit != nil {
		edit(l, g)
	}
	l.Update(t, func(tx *store.Tx) { controllertest.PutGroup(tx, g, members) })
	l.Settle(t)
	return l
}

func failover(_ *controllertest.Loop, g *resource.ReplicationGroup) { g.Spec.AutomaticFailover = true }

// write has n writes accepted by the primary.
func write(l *controllertest.Loop, n int) {
	for range n {
		l.Runtime.Write(primary)
	}
}

// hurry lets n rounds go by in little time.
func hurry(t testing.TB, l *controllertest.Loop, n int) {
	t.Helper()
	for range n {
		l.Round(t)
		l.Clock.Advance(10 * time.Millisecond)
	}
}

// settleWithin lets as much time go by as the controllers wait for, and no more than a
// limit, until nothing waits.
func settleWithin(t testing.TB, l *controllertest.Loop, limit time.Duration) {
	t.Helper()
	var waited time.Duration
	for waits := l.Settle(t); len(waits) > 0; waits = l.Settle(t) {
		if waited += waits[0]; waited > limit {
			t.Fatalf("the group does not settle within %v: %+v", limit, group(l))
		}
		l.Clock.Advance(waits[0])
	}
}

func group(l *controllertest.Loop) (g *resource.ReplicationGroup) {
	l.Store.Local(func(r store.Reader) { g, _ = resource.ReplicationGroups.Get(r, groupKey) })
	return g
}

func node(l *controllertest.Loop, key string) (n *resource.Node) {
	l.Store.Local(func(r store.Reader) { n, _ = resource.Nodes.Get(r, key) })
	return n
}

func cluster(l *controllertest.Loop, id string) (c *resource.CacheCluster) {
	l.Store.Local(func(r store.Reader) { c, _ = resource.CacheClusters.Get(r, controllertest.Region+"/"+id) })
	return c
}

// editGroup is an operation on the group that asks for work.
func editGroup(t testing.TB, l *controllertest.Loop, edit func(*resource.ReplicationGroup)) {
	t.Helper()
	l.Update(t, func(tx *store.Tx) {
		g, _ := resource.ReplicationGroups.Get(tx, groupKey)
		g.Generation++
		edit(g)
		resource.ReplicationGroups.Put(tx, groupKey, g)
	})
}

func editCluster(t testing.TB, l *controllertest.Loop, id string, edit func(*resource.CacheCluster)) {
	t.Helper()
	l.Update(t, func(tx *store.Tx) {
		c, _ := resource.CacheClusters.Get(tx, controllertest.Region+"/"+id)
		c.Generation++
		edit(c)
		resource.CacheClusters.Put(tx, controllertest.Region+"/"+id, c)
	})
}

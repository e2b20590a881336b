package serviceupdate_test

import (
	"slices"
	"testing"

	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/controller/host"
	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/controller/replicationgroup"
	"github.com/larder-cache/larder/internal/controller/serviceupdate"
	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// newer is a host where Redis 7.2.0 was installed after the nodes were started.
type newer struct{ controllertest.Engines }

func (newer) Program(string, string) catalog.Binary {
	return catalog.Binary{Engine: "redis", Version: "7.2.0", Path: "/usr/bin/redis-server"}
}

// An update is offered once for each group, when there is a newer program than its
// nodes run, and withdrawn with the group.
func TestOffer(t *testing.T) {
	t.Parallel()
	l := controllertest.NewLoop(t, true)
	h := host.New(host.Config{Store: l.Store, Seal: l.Seal, Runtime: l.Runtime, Clock: l.Clock, Log: l.Log})
	l.Record = h.Record
	uids := controllertest.UIDs()
	updates := func(e nodespec.Engines) reconcile.Controller {
		return serviceupdate.New(serviceupdate.Config{Store: l.Store, Engines: e, Clock: l.Clock, NewUID: uids, Log: l.Log})
	}
	l.Controllers = []reconcile.Controller{
		replicationgroup.New(replicationgroup.Config{
			Store: l.Store, Engines: controllertest.Engines{}, Prober: l.Runtime, Clock: l.Clock, NewUID: uids, Log: l.Log,
		}),
		h.Controller(),
		updates(controllertest.Engines{}),
	}
	g, members := controllertest.Group(2)
	l.Update(t, func(tx *store.Tx) { controllertest.PutGroup(tx, g, members) })
	l.Settle(t)
	if got := keys(l); len(got) > 0 {
		t.Errorf("offered are %q though nothing is newer", got)
	}
	c := updates(newer{})
	look := func(version string) {
		l.Update(t, func(tx *store.Tx) {
			for _, key := range []string{"us-east-1/rg-001", "us-east-1/rg-002"} {
				m, _ := resource.CacheClusters.Get(tx, key)
				m.Spec.EngineVersion = version
				resource.CacheClusters.Put(tx, key, m)
			}
		})
		for _, key := range l.Keys(c) {
			l.Pass(t, c, key)
		}
	}
	was := members[0].Spec.EngineVersion
	look("7.2.0")
	if got := keys(l); len(got) > 0 {
		t.Errorf("offered are %q while the version changes, which brings the program anyway", got)
	}
	look(was)
	if got := keys(l); !slices.Equal(got, []string{"us-east-1/redis-7-2-0", "us-east-1/redis-7-2-0/group/rg"}) {
		t.Errorf("offered are %q", got)
	}
	if want := "rg-001: Service update is available for cache node 0001."; !slices.Contains(controllertest.Events(l.Store), want) {
		t.Errorf("no event %q", want)
	}
	l.Update(t, func(tx *store.Tx) {
		g, _ := resource.ReplicationGroups.Get(tx, "us-east-1/rg")
		g.Spec.Deleting = true
		resource.ReplicationGroups.Put(tx, "us-east-1/rg", g)
	})
	l.Settle(t)
	if got := keys(l); !slices.Equal(got, []string{"us-east-1/redis-7-2-0"}) {
		t.Errorf("left are %q", got)
	}
}

func keys(l *controllertest.Loop) (all []string) {
	l.Store.Local(func(r store.Reader) {
		all = append(resource.ServiceUpdates.Keys(r, ""), resource.UpdateActions.Keys(r, "")...)
	})
	return all
}

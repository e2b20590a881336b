package maintenance_test

import (
	"slices"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/controller/cachecluster"
	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/controller/host"
	"github.com/larder-cache/larder/internal/controller/maintenance"
	"github.com/larder-cache/larder/internal/controller/replicationgroup"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// newLoop is a settled world with the group "rg" and the cluster "mc" of two
// nodes. The clock says Friday, 03:04:05; their windows open on Friday at 04:00.
func newLoop(t *testing.T) *controllertest.Loop {
	t.Helper()
	l := controllertest.NewLoop(t, true)
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
		maintenance.New(maintenance.Config{Store: l.Store, Clock: l.Clock, NewUID: uids, Log: l.Log}),
	}
	const window = "fri:04:00-fri:05:00"
	g, members := controllertest.Group(2)
	c := controllertest.Cluster("mc", "memcached", 11211)
	c.Spec.ConfigurationEndpoint = controllertest.Endpoint("cfg.mc", 90, 11211)
	c.Spec.Nodes = []resource.NodeSlot{controllertest.Slot("mc", 1, 11, "a", 11211), controllertest.Slot("mc", 2, 12, "a", 11211)}
	c.Spec.MaintenanceWindow = window
	for _, m := range members {
		m.Spec.MaintenanceWindow = window
	}
	l.Update(t, func(tx *store.Tx) {
		controllertest.PutGroup(tx, g, members)
		controllertest.PutCluster(tx, c)
	})
	l.Settle(t)
	return l
}

func pendGroup(t *testing.T, l *controllertest.Loop) {
	t.Helper()
	l.Update(t, func(tx *store.Tx) {
		g, _ := resource.ReplicationGroups.Get(tx, "us-east-1/rg")
		g.Spec.Pending.NodeType = core.Ptr("cache.t3.small")
		resource.ReplicationGroups.Put(tx, "us-east-1/rg", g)
	})
}

func group(l *controllertest.Loop) (g *resource.ReplicationGroup) {
	l.Store.Local(func(r store.Reader) { g, _ = resource.ReplicationGroups.Get(r, "us-east-1/rg") })
	return g
}

func cluster(l *controllertest.Loop, id string) (c *resource.CacheCluster) {
	l.Store.Local(func(r store.Reader) { c, _ = resource.CacheClusters.Get(r, "us-east-1/"+id) })
	return c
}

// What waits is applied when the window opens, and not before.
func TestWindowOpens(t *testing.T) {
	t.Parallel()
	l := newLoop(t)
	pendGroup(t, l)
	l.Update(t, func(tx *store.Tx) {
		c, _ := resource.CacheClusters.Get(tx, "us-east-1/mc")
		c.Spec.Pending.RemoveNodes = []string{"0001"}
		c.Spec.Pending.AddNodes = []resource.NodeSlot{controllertest.Slot("mc", 3, 13, "b", 11211)}
		resource.CacheClusters.Put(tx, "us-east-1/mc", c)
	})
	for _, at := range []time.Duration{0, 55*time.Minute + 54*time.Second} {
		l.Clock.Advance(at)
		l.Settle(t)
		if group(l).Spec.Pending.IsZero() || cluster(l, "mc").Spec.Pending.IsZero() {
			t.Fatalf("applied at %v, before the window", l.Clock.Now())
		}
	}
	l.Clock.Advance(time.Second)
	l.Settle(t)
	for _, id := range []string{"rg-001", "rg-002"} {
		if c := cluster(l, id); c.Status.NodeType != "cache.t3.small" || c.Status.ObservedGeneration != 2 {
			t.Errorf("%s is %+v", id, c.Status)
		}
	}
	if g := group(l); !g.Spec.Pending.IsZero() || g.Status.ObservedGeneration != 2 {
		t.Errorf("the group still has %+v, %+v", g.Spec.Pending, g.Status)
	}
	var ids []string
	for _, n := range cluster(l, "mc").Spec.Nodes {
		ids = append(ids, n.ID)
	}
	if !slices.Equal(ids, []string{"0002", "0003"}) || l.Runtime.Engine("us-east-1/mc/0001").Phase != "" || l.Runtime.Engine("us-east-1/mc/0003").Phase != "running" {
		t.Errorf("the nodes are %v", ids)
	}
	for _, source := range []string{"rg", "mc"} {
		if want := source + ": The maintenance window is open: applying pending modifications"; !slices.Contains(controllertest.Events(l.Store), want) {
			t.Errorf("no event %q", want)
		}
	}
}

// A group that is busy when its window opens gets what waits as soon as it is
// available, if the window is still open then.
func TestWindowOfBusyGroup(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		after time.Duration
		want  string
	}{
		{"available in the window", 30 * time.Minute, "cache.t3.small"},
		{"available too late", 2 * time.Hour, "cache.t3.micro"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLoop(t)
			pendGroup(t, l)
			l.Runtime.FailStart("us-east-1/rg-002/0001", "no room")
			l.Runtime.Kill("us-east-1/rg-002/0001")
			l.Settle(t)
			l.Update(t, func(tx *store.Tx) {
				g, _ := resource.ReplicationGroups.Get(tx, "us-east-1/rg")
				g.Generation++
				resource.ReplicationGroups.Put(tx, "us-east-1/rg", g)
			})
			l.Clock.Advance(time.Hour)
			l.Settle(t)
			if group(l).Spec.Pending.IsZero() {
				t.Fatal("applied to a group that is not available")
			}
			l.Clock.Advance(tt.after)
			l.Runtime.FailStart("us-east-1/rg-002/0001", "")
			l.Settle(t)
			if got := cluster(l, "rg-001").Status.NodeType; got != tt.want {
				t.Errorf("the type is %s, want %s", got, tt.want)
			}
		})
	}
}

// A window that is moved to now opens at once.
func TestWindowMoves(t *testing.T) {
	t.Parallel()
	l := newLoop(t)
	pendGroup(t, l)
	l.Settle(t)
	l.Update(t, func(tx *store.Tx) {
		for _, id := range []string{"rg-001", "rg-002"} {
			c, _ := resource.CacheClusters.Get(tx, "us-east-1/"+id)
			c.Spec.MaintenanceWindow = "fri:03:04-fri:05:00"
			resource.CacheClusters.Put(tx, "us-east-1/"+id, c)
		}
	})
	l.Settle(t)
	if got := cluster(l, "rg-001").Status.NodeType; got != "cache.t3.small" {
		t.Errorf("the type is %s", got)
	}
}

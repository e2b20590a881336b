package publication_test

import (
	"testing"

	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/controller/publication"
	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/topology"
)

// A publication goes with what it leads to, and its address is free then.
func TestGoesWithItsCache(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(tx *store.Tx, g *resource.ReplicationGroup, c *resource.CacheCluster){
		"deleted": func(tx *store.Tx, g *resource.ReplicationGroup, c *resource.CacheCluster) {
			resource.ReplicationGroups.Delete(tx, "us-east-1/rg")
			resource.CacheClusters.Delete(tx, "us-east-1/rg-001")
		},
		"being deleted": func(tx *store.Tx, g *resource.ReplicationGroup, c *resource.CacheCluster) {
			g.Spec.Deleting, c.Spec.Deleting = true, true
			controllertest.PutGroup(tx, g, []*resource.CacheCluster{c})
		},
		"made again": func(tx *store.Tx, g *resource.ReplicationGroup, c *resource.CacheCluster) {
			g.UID, c.UID = "later", "later"
			controllertest.PutGroup(tx, g, []*resource.CacheCluster{c})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := controllertest.NewLoop(t, true)
			l.Controllers = []reconcile.Controller{publication.New(publication.Config{Store: l.Store})}
			g, members := controllertest.Group(1)
			l.Update(t, func(tx *store.Tx) {
				resource.VPCs.Put(tx, "us-east-1/vpc-1", controllertest.Network())
				controllertest.PutGroup(tx, g, members)
				for id, p := range map[string]resource.Publication{
					"pub-1": {Endpoint: "primary us-east-1/rg", OwnerUID: g.UID},
					"pub-2": {Endpoint: "node us-east-1/rg-001/0001", OwnerUID: members[0].UID},
				} {
					p.Region, p.ID = "us-east-1", id
					if err := topology.Publish(tx, controllertest.Network(), &p); err != nil {
						t.Fatal(err)
					}
				}
			})
			count := func() (publications, addresses int) {
				l.Store.Local(func(r store.Reader) {
					publications, addresses = len(resource.Publications.Keys(r, "")), len(resource.Addresses.Keys(r, ""))
				})
				return publications, addresses
			}
			before, taken := count()
			l.Settle(t)
			if n, addresses := count(); n != 2 || n != before || addresses != taken {
				t.Fatalf("%d publications with %d addresses, want 2 and %d", n, addresses, taken)
			}
			l.Update(t, func(tx *store.Tx) { end(tx, g, members[0]) })
			l.Settle(t)
			if n, addresses := count(); n != 0 || addresses != taken-2 {
				t.Errorf("%d publications and %d addresses are left, want 0 and %d", n, addresses, taken-2)
			}
		})
	}
}

package hostnames_test

import (
	"errors"
	"testing"

	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/controller/hostnames"
	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// file is a block of a file in memory.
type file struct {
	lines string
	there bool
	err   error
}

func (f *file) Put(lines []byte) error {
	if f.err == nil {
		f.lines, f.there = string(lines), true
	}
	return f.err
}

func (f *file) Remove() error {
	if f.err == nil {
		f.lines, f.there = "", false
	}
	return f.err
}

func TestHostsFile(t *testing.T) {
	t.Parallel()
	f := &file{}
	l := controllertest.NewLoop(t, true)
	c := hostnames.New(hostnames.Config{Store: l.Store, Block: func(string) hostnames.Block { return f }})
	l.Controllers = []reconcile.Controller{c}
	resolver := func(h *resource.HostResolver) {
		l.Update(t, func(tx *store.Tx) { resource.HostResolvers.Put(tx, resource.HostResolverKey, h) })
		l.Settle(t)
	}
	state := func() (h resource.HostResolver, ok bool) {
		l.Store.Local(func(r store.Reader) {
			var p *resource.HostResolver
			if p, ok = resource.HostResolvers.Get(r, resource.HostResolverKey); ok {
				h = *p
			}
		})
		return h, ok
	}
	g, members := controllertest.Group(1)
	l.Update(t, func(tx *store.Tx) { controllertest.PutGroup(tx, g, members) })
	l.Settle(t)
	if f.there {
		t.Error("the file is written unasked")
	}
	resolver(&resource.HostResolver{Via: resource.ViaResolved, Path: "/x", Ready: true})
	if f.there {
		t.Error("the file is written though it is not what resolves")
	}

	resolver(&resource.HostResolver{Via: resource.ViaHosts, Path: "/etc/hosts"})
	want := "127.10.0.1\t0001.rg-001.cache.test\n127.10.0.100\tprimary.rg.cache.test\n127.10.0.101\treader.rg.cache.test\n"
	if h, _ := state(); !h.Ready || h.Trouble != "" || f.lines != want {
		t.Errorf("state %+v, lines\n%s", h, f.lines)
	}
	l.Update(t, func(tx *store.Tx) { resource.ReplicationGroups.Delete(tx, "us-east-1/rg") })
	l.Settle(t)
	if f.lines != "127.10.0.1\t0001.rg-001.cache.test\n" {
		t.Errorf("lines after the group is gone\n%s", f.lines)
	}

	f.err = errors.New("read-only")
	l.Update(t, func(tx *store.Tx) { resource.CacheClusters.Delete(tx, "us-east-1/rg-001") })
	if _, err := c.Reconciler.Reconcile(t.Context(), resource.HostResolverKey); err == nil {
		t.Error("a failure is not tried again")
	}
	if h, _ := state(); h.Ready || h.Trouble != "read-only" {
		t.Errorf("state after a failure: %+v", h)
	}
	f.err = nil
	resolver(&resource.HostResolver{Via: resource.ViaHosts, Path: "/etc/hosts", Removing: true})
	if h, ok := state(); ok || f.there {
		t.Errorf("after the removal: %+v, file %+v", h, f)
	}
}

package cachecluster_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/controller/cachecluster"
	"github.com/larder-cache/larder/internal/controller/certificate"
	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/controller/host"
	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

const (
	clusterKey    = controllertest.Region + "/mc"
	configuration = "configuration " + clusterKey
)

func nodeKey(id string) string { return clusterKey + "/" + id }

// newCluster is a settled Memcached cluster of n nodes, changed by edit before it
// was made.
func newCluster(t testing.TB, n int, edit func(*resource.CacheCluster)) *controllertest.Loop {
	l := controllertest.NewLoop(t, true)
	h := host.New(host.Config{Store: l.Store, Seal: l.Seal, Runtime: l.Runtime, Clock: l.Clock, Log: l.Log})
	l.Record = h.Record
	if err := certificate.EnsureAuthorities(t.Context(), l.Store, l.Seal, l.Clock); err != nil {
		t.Fatal(err)
	}
	ca, err := certificate.Load(t.Context(), l.Store, l.Seal, certificate.ClientAuthority)
	if err != nil {
		t.Fatal(err)
	}
	l.Controllers = []reconcile.Controller{
		cachecluster.New(cachecluster.Config{
			Store: l.Store, Engines: controllertest.Engines{}, Prober: l.Runtime, Clock: l.Clock, NewUID: controllertest.UIDs(), Log: l.Log,
		}),
		h.Controller(),
		certificate.New(certificate.Config{Store: l.Store, Seal: l.Seal, Clock: l.Clock, Log: l.Log, Authority: ca}),
	}
	c := controllertest.Cluster("mc", "memcached", 11211)
	c.Spec.ParameterGroup = "pg"
	c.Spec.ConfigurationEndpoint = controllertest.Endpoint("cfg.mc", 100, 11211)
	for i := range n {
		c.Spec.Nodes = append(c.Spec.Nodes, slot(i+1))
	}
	if edit != nil {
		edit(c)
	}
	l.Update(t, func(tx *store.Tx) {
		v := controllertest.Network()
		resource.VPCs.Put(tx, v.Region+"/"+v.ID, v)
		resource.ParameterGroups.Put(tx, controllertest.Region+"/pg", &resource.ParameterGroup{Region: controllertest.Region, Name: "pg"})
		controllertest.PutCluster(tx, c)
	})
	l.Settle(t)
	return l
}

func slot(i int) resource.NodeSlot { return controllertest.Slot("mc", i, i, "a", 11211) }

func cluster(l *controllertest.Loop) (c *resource.CacheCluster) {
	l.Store.Local(func(r store.Reader) { c, _ = resource.CacheClusters.Get(r, clusterKey) })
	return c
}

func node(l *controllertest.Loop, id string) (n *resource.Node) {
	l.Store.Local(func(r store.Reader) { n, _ = resource.Nodes.Get(r, nodeKey(id)) })
	return n
}

// edit is an operation that asks for work.
func edit(t testing.TB, l *controllertest.Loop, fn func(*resource.CacheCluster)) {
	t.Helper()
	l.Update(t, func(tx *store.Tx) {
		c, _ := resource.CacheClusters.Get(tx, clusterKey)
		c.Generation++
		fn(c)
		resource.CacheClusters.Put(tx, clusterKey, c)
	})
}

func setParameters(t testing.TB, l *controllertest.Loop, group string, values map[string]string) {
	t.Helper()
	l.Update(t, func(tx *store.Tx) {
		resource.ParameterGroups.Put(tx, controllertest.Region+"/"+group,
			&resource.ParameterGroup{Region: controllertest.Region, Name: group, Values: values})
	})
}

func wantEvents(t *testing.T, l *controllertest.Loop, since int, want ...string) {
	t.Helper()
	got := strings.Join(controllertest.Events(l.Store)[since:], "\n")
	for i := range want {
		want[i] = "mc: " + want[i]
	}
	if got != strings.Join(want, "\n") {
		t.Errorf("events:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}

func wantSettled(t *testing.T, l *controllertest.Loop) {
	t.Helper()
	if c := cluster(l); c.Status.ObservedGeneration != c.Generation || c.Status.Available == nil || c.Status.Failure != "" {
		t.Errorf("generation is %d, status %+v", c.Generation, c.Status)
	}
}

func wantNodes(t *testing.T, l *controllertest.Loop, ids ...string) {
	t.Helper()
	var keys []string
	for _, id := range ids {
		keys = append(keys, nodeKey(id))
	}
	if got := l.Runtime.Nodes(); !slices.Equal(got, keys) {
		t.Errorf("nodes are %v, want %v", got, keys)
	}
	if got := l.Runtime.Endpoint(configuration).Nodes; !slices.Equal(got, keys) {
		t.Errorf("the configuration endpoint leads to %v, want %v", got, keys)
	}
	if got := slices.Sorted(maps.Keys(cluster(l).Status.NodeStatus)); !slices.Equal(got, ids) {
		t.Errorf("statuses are of %v, want %v", got, ids)
	}
}

func TestCreate(t *testing.T) {
	t.Parallel()
	l := newCluster(t, 2, nil)
	wantSettled(t, l)
	wantNodes(t, l, "0001", "0002")
	if n := l.Runtime.Engine(nodeKey("0001")).Node; !n.Replication.IsZero() || n.Primary != nil || !n.Auth.NoPassword {
		t.Errorf("the node is %+v", n)
	}
	wantEvents(t, l, 0,
		"Added cache node 0001 in availability zone us-east-1a",
		"Added cache node 0002 in availability zone us-east-1a",
		"Cache cluster created")
}

func TestAddAndRemoveNodes(t *testing.T) {
	t.Parallel()
	l := newCluster(t, 2, nil)
	before := len(controllertest.Events(l.Store))
	edit(t, l, func(c *resource.CacheCluster) { c.Spec.Nodes = append(c.Spec.Nodes, slot(3)) })
	l.Settle(t)
	wantNodes(t, l, "0001", "0002", "0003")
	edit(t, l, func(c *resource.CacheCluster) { c.Spec.Nodes = []resource.NodeSlot{slot(2)} })
	l.Settle(t)
	wantNodes(t, l, "0002")
	wantSettled(t, l)
	want := []string{
		"cluster us-east-1/mc", "node us-east-1/mc/0002",
		"address us-east-1/vpc-1/172.31.0.100", "address us-east-1/vpc-1/172.31.0.2",
		"certificate ca", "certificate node-ca",
	}
	if got := controllertest.Records(l.Store); !slices.Equal(got, want) {
		t.Errorf("records are\n%s", strings.Join(got, "\n"))
	}
	wantEvents(t, l, before, "Added cache node 0003 in availability zone us-east-1a", "Removed cache nodes 0001, 0003")
}

// A slot that comes back before its node has gone waits for that, and gets a new
// node with an identity of its own.
func TestSlotComesBack(t *testing.T) {
	t.Parallel()
	l := newCluster(t, 2, nil)
	l.Runtime.Auto = false
	first := node(l, "0002").UID
	edit(t, l, func(c *resource.CacheCluster) { c.Spec.Nodes = c.Spec.Nodes[:1] })
	l.Pass(t, l.Controllers[0], clusterKey)
	edit(t, l, func(c *resource.CacheCluster) {
		again := controllertest.Slot("mc", 2, 9, "a", 11211)
		c.Spec.Nodes = append(c.Spec.Nodes, again)
	})
	l.Settle(t)
	if n := node(l, "0002"); n.UID == first || n.Spec.Endpoint.VPC.Address != "172.31.0.9" {
		t.Errorf("the node is %+v", n)
	}
	if got := controllertest.Records(l.Store); slices.Contains(got, "address us-east-1/vpc-1/172.31.0.2") {
		t.Error("the address of the former node is not released")
	}
	wantSettled(t, l)
}

func TestRecovery(t *testing.T) {
	t.Parallel()
	l := newCluster(t, 3, nil)
	l.Clock.Advance(time.Minute)
	before := len(controllertest.Events(l.Store))
	l.Runtime.Kill(nodeKey("0001"), nodeKey("0003"))
	l.Settle(t)
	wantNodes(t, l, "0001", "0002", "0003")
	for id, want := range map[string]int{"0001": 2, "0002": 1, "0003": 2} {
		if got := node(l, id).Spec.Incarnation; got != want {
			t.Errorf("node %s: incarnation %d, want %d", id, got, want)
		}
	}
	wantEvents(t, l, before, "Recovering cache nodes 0001, 0003", "Finished recovery for cache nodes 0001, 0003")
}

func TestReboot(t *testing.T) {
	t.Parallel()
	l := newCluster(t, 2, nil)
	before := len(controllertest.Events(l.Store))
	l.Runtime.Auto = false
	edit(t, l, func(c *resource.CacheCluster) { c.Spec.Reboot = map[string]int{"0002": 1} })
	l.Pass(t, l.Controllers[0], clusterKey)
	c := cluster(l)
	if c.Status.NodeStatus["0002"] != "rebooting" || c.Status.NodeStatus["0001"] != "available" || c.Status.ObservedGeneration == c.Generation {
		t.Errorf("while it reboots the status is %+v", c.Status)
	}
	l.Settle(t)
	if a, b := node(l, "0001").Spec.Incarnation, node(l, "0002").Spec.Incarnation; a != 1 || b != 2 {
		t.Errorf("incarnations are %d and %d, want 1 and 2", a, b)
	}
	wantSettled(t, l)
	wantEvents(t, l, before, "Cache node 0002 shutdown", "Cache node 0002 restarted")
}

func TestParameters(t *testing.T) {
	t.Parallel()
	l := newCluster(t, 2, nil)
	before := len(controllertest.Events(l.Store))
	l.Runtime.Auto = false

	setParameters(t, l, "pg", map[string]string{"timeout": "20"})
	l.Pass(t, l.Controllers[0], clusterKey)
	if s := cluster(l).Status; s.ParameterApplyStatus != "applying" {
		t.Errorf("on the way the status is %q, want applying", s.ParameterApplyStatus)
	}
	l.Settle(t)
	for _, id := range []string{"0001", "0002"} {
		if e := l.Runtime.Engine(nodeKey(id)); e.Node.Settings["timeout"] != "20" || e.Node.Incarnation != 1 {
			t.Errorf("node %s runs with %v, incarnation %d", id, e.Node.Settings, e.Node.Incarnation)
		}
	}
	if s := cluster(l).Status; s.ParameterApplyStatus != "in-sync" || len(s.NodesToReboot) > 0 {
		t.Errorf("a live parameter leaves %+v", s)
	}

	setParameters(t, l, "pg", map[string]string{"static-x": "1"})
	l.Settle(t)
	s := cluster(l).Status
	if s.ParameterApplyStatus != "pending-reboot" || !slices.Equal(s.NodesToReboot, []string{"0001", "0002"}) {
		t.Errorf("a static parameter leaves %+v", s)
	}
	if e := l.Runtime.Engine(nodeKey("0001")).Node; e.StartSettings["static-x"] != "" || e.Settings["timeout"] != "" {
		t.Errorf("before the reboot the node has %v and %v", e.Settings, e.StartSettings)
	}
	edit(t, l, func(c *resource.CacheCluster) { c.Spec.Reboot = map[string]int{"0001": 1} })
	l.Settle(t)
	if s := cluster(l).Status; !slices.Equal(s.NodesToReboot, []string{"0002"}) {
		t.Errorf("after one reboot %v have to", s.NodesToReboot)
	}
	if got := l.Runtime.Engine(nodeKey("0001")).Node.StartSettings["static-x"]; got != "1" {
		t.Errorf("after the reboot the node has static-x %q", got)
	}
	edit(t, l, func(c *resource.CacheCluster) { c.Spec.Reboot["0002"] = 1 })
	l.Settle(t)
	if s := cluster(l).Status; s.ParameterApplyStatus != "in-sync" {
		t.Errorf("after both reboots the status is %+v", s)
	}

	setParameters(t, l, "other", map[string]string{"static-x": "1"})
	edit(t, l, func(c *resource.CacheCluster) { c.Spec.ParameterGroup = "other" })
	l.Settle(t)
	wantSettled(t, l)
	wantEvents(t, l, before,
		"Updated parameter timeout to 20",
		"Updated parameter static-x to 1", "Updated parameter timeout to default-of-timeout",
		"Cache node 0001 shutdown", "Cache node 0001 restarted",
		"Cache node 0002 shutdown", "Cache node 0002 restarted",
		"Updated to use a CacheParameterGroup other")
}

// Parameters that cannot be rendered, say because the engine was uninstalled,
// are a failure of the cluster and leave its nodes as they are.
func TestUnrenderableParameters(t *testing.T) {
	t.Parallel()
	l := newCluster(t, 1, nil)
	setParameters(t, l, "pg", map[string]string{"broken": "1"})
	edit(t, l, func(*resource.CacheCluster) {})
	l.Settle(t)
	if c := cluster(l); c.Status.Failure != "parameter broken cannot be rendered" || c.Status.ObservedGeneration != 1 {
		t.Errorf("status is %+v", c.Status)
	}
	if n := node(l, "0001"); n.Spec.Settings["maxmemory"] == "" || n.Spec.Generation != 1 {
		t.Errorf("the node was changed: %+v", n.Spec)
	}
	setParameters(t, l, "pg", nil)
	l.Settle(t)
	wantSettled(t, l)
}

func TestDelete(t *testing.T) {
	t.Parallel()
	// More nodes than go in one transaction, with TLS and addresses of their own.
	l := newCluster(t, 33, func(c *resource.CacheCluster) {
		c.Spec.TLS = resource.TLSRequired
		c.Spec.ConfigurationEndpoint.Advertised.Port = 7000
	})
	wantSettled(t, l)
	l.Update(t, func(tx *store.Tx) { resource.Addresses.Put(tx, "ports/7000", &resource.Address{Owner: "test"}) })
	edit(t, l, func(c *resource.CacheCluster) { c.Spec.Deleting = true })
	l.Settle(t)
	if got := controllertest.Records(l.Store); !slices.Equal(got, []string{"certificate ca", "certificate node-ca"}) {
		t.Errorf("left are %q", got)
	}
	events := controllertest.Events(l.Store)
	if last := events[len(events)-1]; last != "mc: Cache cluster deleted" {
		t.Errorf("the last event is %q", last)
	}
}

// With TLS no node is made before its certificate, and a new node waits until
// the certificate names it.
func TestTLS(t *testing.T) {
	t.Parallel()
	l := newCluster(t, 1, func(c *resource.CacheCluster) { c.Spec.TLS = resource.TLSRequired })
	wantSettled(t, l)
	e := l.Runtime.Endpoint("node " + nodeKey("0001"))
	if e.TLS.Mode != "required" || e.TLS.ChainPEM == "" || e.TLS.KeyPEM.IsZero() {
		t.Errorf("the endpoint has %+v", e.TLS)
	}
	before := e.TLS.ChainPEM
	edit(t, l, func(c *resource.CacheCluster) { c.Spec.Nodes = append(c.Spec.Nodes, slot(2)) })
	l.Pass(t, l.Controllers[0], clusterKey)
	if n := node(l, "0002"); n != nil {
		t.Error("a node was made before its certificate")
	}
	l.Settle(t)
	wantNodes(t, l, "0001", "0002")
	if got := l.Runtime.Endpoint("node " + nodeKey("0001")).TLS.ChainPEM; got == before {
		t.Error("the certificate was not issued again for the new node")
	}
	if node(l, "0001").Spec.Incarnation != 1 {
		t.Error("a new certificate restarted a node")
	}
}

// A node that keeps dying does not keep the others from anything.
func TestDyingNode(t *testing.T) {
	t.Parallel()
	l := newCluster(t, 2, nil)
	l.Runtime.Kill(nodeKey("0001"))
	l.Settle(t)
	l.Runtime.Kill(nodeKey("0001"))
	if waits := l.Settle(t); !slices.Equal(waits, []time.Duration{time.Second}) {
		t.Fatalf("waits are %v, want one second", waits)
	}
	setParameters(t, l, "pg", map[string]string{"timeout": "20"})
	l.Settle(t)
	if got := l.Runtime.Engine(nodeKey("0002")).Node.Settings["timeout"]; got != "20" {
		t.Errorf("the other node has timeout %q", got)
	}
	if got := l.Runtime.Endpoint(configuration).Nodes; !slices.Equal(got, []string{nodeKey("0002")}) {
		t.Errorf("the configuration endpoint leads to %v", got)
	}
}

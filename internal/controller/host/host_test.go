package host_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/controller/host"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/reconcile"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/store"
)

func newHost(t testing.TB, auto bool) (*controllertest.Loop, *host.Host) {
	l := controllertest.NewLoop(t, auto)
	h := host.New(host.Config{Store: l.Store, Seal: l.Seal, Runtime: l.Runtime, Clock: l.Clock, Log: l.Log})
	return l, h
}

// running is a node of a member of the group that runs as it should.
func running(c *resource.CacheCluster, replicaOf string) *resource.Node {
	n := &resource.Node{Region: c.Region, ClusterID: c.ID, ID: "0001", UID: "uid-" + c.ID}
	n.Spec = resource.NodeSpec{
		Generation: 3, Incarnation: 2, Engine: "redis", Version: "7.1.0", ReplicaOf: replicaOf,
		Endpoint: c.Spec.Nodes[0].Endpoint, TLS: c.Spec.TLS,
		Settings: map[string]string{"timeout": "20"}, StartSettings: map[string]string{"databases": "16"},
		Auth: resource.NodeAuth{NoPassword: true, SecretsFrom: "rg-uid"},
	}
	n.Status = resource.NodeStatus{Phase: "running", Incarnation: 2, Generation: 3, Role: "master"}
	if replicaOf != "" {
		n.Status.Role, n.Status.LinkUp = "slave", true
	}
	return n
}

// compose is the document for a group of three, changed by edit.
func compose(t *testing.T, l *controllertest.Loop, edit func(tx *store.Tx, g *resource.ReplicationGroup, nodes []*resource.Node)) *runtime.Document {
	t.Helper()
	g, members := controllertest.Group(3)
	g.Status.Primary = "rg-001"
	nodes := []*resource.Node{
		running(members[0], ""), running(members[1], "us-east-1/rg-001/0001"), running(members[2], "us-east-1/rg-001/0001"),
	}
	l.Update(t, func(tx *store.Tx) {
		if edit != nil {
			edit(tx, g, nodes)
		}
		controllertest.PutGroup(tx, g, members)
		for _, n := range nodes {
			resource.Nodes.Put(tx, n.Key(), n)
		}
	})
	var doc *runtime.Document
	var err error
	l.Store.Local(func(r store.Reader) { doc, err = host.Compose(r, l.Seal) })
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// endpoints prints where the endpoints lead.
func endpoints(doc *runtime.Document) string {
	var lines []string
	for _, e := range doc.Endpoints {
		line := fmt.Sprintf("%s at %s -> %s", e.ID, e.Bound, strings.Join(e.Nodes, " "))
		lines = append(lines, strings.TrimSuffix(strings.ReplaceAll(line, "us-east-1/", ""), " "))
	}
	return strings.Join(lines, "\n")
}

func TestComposeGroup(t *testing.T) {
	t.Parallel()
	l, _ := newHost(t, true)
	doc := compose(t, l, nil)
	want := `node rg-001/0001 at 127.10.0.1:6379 -> rg-001/0001
node rg-002/0001 at 127.10.0.2:6379 -> rg-002/0001
node rg-003/0001 at 127.10.0.3:6379 -> rg-003/0001
primary rg at 127.10.0.100:6379 -> rg-001/0001
reader rg at 127.10.0.101:6379 -> rg-002/0001 rg-003/0001`
	if got := endpoints(doc); got != want {
		t.Errorf("endpoints are\n%s\nwant\n%s", got, want)
	}
	if len(doc.Nodes) != 3 {
		t.Fatalf("there are %d nodes", len(doc.Nodes))
	}
	n := doc.Nodes[1]
	if n.ID != "us-east-1/rg-002/0001" || n.UID != "uid-rg-002" || n.Incarnation != 2 || n.Generation != 3 ||
		n.VPC.String() != "172.31.0.2:6379" || n.Bound.String() != "127.10.0.2:6379" || n.Replication.String() != "127.11.0.2:6379" ||
		n.Primary.String() != "127.11.0.1:6379" || n.Settings["timeout"] != "20" || n.StartSettings["databases"] != "16" {
		t.Errorf("the replica is %+v", n)
	}
	first := doc.Nodes[0]
	if first.Primary != nil || first.Auth.Admin.IsZero() || first.Auth.Admin.Equal(n.Auth.Admin) ||
		!first.Auth.Replication.Equal(n.Auth.Replication) || !first.Auth.Login.IsZero() || first.Auth.Replication.Equal(first.Auth.Admin) {
		t.Error("the hidden passwords are wrong")
	}
}

func TestComposeEndpoints(t *testing.T) {
	t.Parallel()
	type edit = func(tx *store.Tx, g *resource.ReplicationGroup, nodes []*resource.Node)
	for _, tt := range []struct {
		name            string
		edit            edit
		primary, reader string
	}{
		{"primary has exited", func(_ *store.Tx, _ *resource.ReplicationGroup, n []*resource.Node) { n[0].Status.Phase = "exited" }, "", "2 3"},
		{"primary is being restarted", func(_ *store.Tx, _ *resource.ReplicationGroup, n []*resource.Node) { n[0].Spec.Incarnation++ }, "", "2 3"},
		{"primary is a replica still, which the runtime sees to", func(_ *store.Tx, g *resource.ReplicationGroup, n []*resource.Node) {
			g.Status.Primary, n[1].Spec.ReplicaOf = "rg-002", ""
		}, "2", "3"},
		{"primary says so but shall not", func(_ *store.Tx, _ *resource.ReplicationGroup, n []*resource.Node) {
			n[0].Spec.ReplicaOf = n[1].Key()
		}, "", "2 3"},
		{"stand-in is not the primary", func(_ *store.Tx, _ *resource.ReplicationGroup, n []*resource.Node) {
			n[0].Spec.ReplicaOf, n[0].Status.Phase = n[1].Key(), "exited"
			n[1].Spec.ReplicaOf, n[1].Status.Role = "", "master"
		}, "", "3"},
		{"replica far behind", func(_ *store.Tx, _ *resource.ReplicationGroup, n []*resource.Node) { n[1].Status.Lagging = true }, "1", "3"},
		{"replica out of sync", func(_ *store.Tx, _ *resource.ReplicationGroup, n []*resource.Node) { n[1].Status.LinkUp = false }, "1", "3"},
		{"no replica in sync", func(_ *store.Tx, _ *resource.ReplicationGroup, n []*resource.Node) {
			n[1].Status.LinkUp, n[2].Status.Phase = false, "exited"
		}, "1", "1"},
		{"replica to be deleted", func(_ *store.Tx, _ *resource.ReplicationGroup, n []*resource.Node) { n[1].Spec.Deleted = true }, "1", "3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, _ := newHost(t, true)
			doc := compose(t, l, tt.edit)
			got := map[string]string{}
			for _, e := range doc.Endpoints {
				var short []string
				for _, n := range e.Nodes {
					short = append(short, strings.TrimSuffix(strings.TrimPrefix(n, "us-east-1/rg-00"), "/0001"))
				}
				got[e.ID] = strings.Join(short, " ")
			}
			if p, r := got["primary us-east-1/rg"], got["reader us-east-1/rg"]; p != tt.primary || r != tt.reader {
				t.Errorf("primary -> %q, reader -> %q, want %q and %q", p, r, tt.primary, tt.reader)
			}
		})
	}
}

// A deleted node is in the document no more, but its replicas still know where
// it was; a replica of something that never existed does not become a primary.
func TestComposeReplicaOfNothing(t *testing.T) {
	t.Parallel()
	l, _ := newHost(t, true)
	doc := compose(t, l, func(_ *store.Tx, _ *resource.ReplicationGroup, n []*resource.Node) {
		n[0].Spec.Deleted = true
		n[2].Spec.ReplicaOf = "us-east-1/other/0001"
	})
	if len(doc.Nodes) != 2 {
		t.Fatalf("there are %d nodes", len(doc.Nodes))
	}
	if p := doc.Nodes[0].Primary; p == nil || p.String() != "127.11.0.1:6379" {
		t.Errorf("the first replicates from %v", p)
	}
	if p := doc.Nodes[1].Primary; p == nil {
		t.Error("the second became a primary")
	}
}

// A shard that is being removed is in its group no more; its replica stays one until it
// has ended.
func TestComposeRemovedShard(t *testing.T) {
	t.Parallel()
	l, _ := newHost(t, true)
	doc := compose(t, l, func(_ *store.Tx, g *resource.ReplicationGroup, n []*resource.Node) {
		g.Spec.Shards = []resource.Shard{{ID: "0002", Slots: core.AllSlots(), Members: []string{"rg-003"}}}
		n[2].Spec.ReplicaOf = ""
		for i := range n {
			n[i].Spec.Cluster = &resource.NodeCluster{Epoch: i + 1}
		}
	})
	places := map[string]*runtime.Cluster{}
	for _, n := range doc.Nodes {
		places[n.ID] = n.Cluster
	}
	primary, replica := places["us-east-1/rg-001/0001"], places["us-east-1/rg-002/0001"]
	if primary.Primary != "" || replica.Primary == "" || replica.Primary != primary.Self.ID {
		t.Errorf("the primary %s follows %q, its replica %q", primary.Self.ID, primary.Primary, replica.Primary)
	}
}

// An endpoint with TLS must never speak plaintext because its certificate is not
// there.
func TestComposeWithoutCertificate(t *testing.T) {
	t.Parallel()
	l, _ := newHost(t, true)
	tls := func(tx *store.Tx, g *resource.ReplicationGroup, nodes []*resource.Node) {
		for _, n := range nodes {
			n.Spec.TLS = resource.TLSRequired
		}
	}
	for _, e := range compose(t, l, tls).Endpoints {
		if len(e.Nodes) > 0 || e.TLS.Mode != "" {
			t.Errorf("%s leads to %v in mode %q", e.ID, e.Nodes, e.TLS.Mode)
		}
	}
	key, err := l.Seal.Seal(l.Seal.Derive("test", "key"))
	if err != nil {
		t.Fatal(err)
	}
	doc := compose(t, l, func(tx *store.Tx, g *resource.ReplicationGroup, nodes []*resource.Node) {
		tls(tx, g, nodes)
		resource.Certificates.Put(tx, "us-east-1/rg-uid", &resource.Certificate{ChainPEM: "chain", KeyPEM: key})
	})
	for _, e := range doc.Endpoints {
		if len(e.Nodes) == 0 || e.TLS.Mode != "required" || e.TLS.ChainPEM != "chain" || e.TLS.KeyPEM.IsZero() {
			t.Errorf("%s has %+v", e.ID, e.TLS)
		}
	}
}

func TestComposeRefusesDamage(t *testing.T) {
	t.Parallel()
	l, _ := newHost(t, true)
	compose(t, l, nil)
	l.Update(t, func(tx *store.Tx) {
		n, _ := resource.Nodes.Get(tx, "us-east-1/rg-001/0001")
		n.Spec.Auth.Digests = append(n.Spec.Auth.Digests, []byte("garbage"))
		resource.Nodes.Put(tx, n.Key(), n)
	})
	l.Store.Local(func(r store.Reader) {
		if _, err := host.Compose(r, l.Seal); err == nil || !strings.Contains(err.Error(), "us-east-1/rg-001/0001") {
			t.Errorf("error is %v", err)
		}
	})
}

func status(l *controllertest.Loop, key string) (s resource.NodeStatus) {
	l.Store.Local(func(r store.Reader) {
		if n, ok := resource.Nodes.Get(r, key); ok {
			s = n.Status
		}
	})
	return s
}

func TestRecord(t *testing.T) {
	t.Parallel()
	l, h := newHost(t, true)
	compose(t, l, nil)
	const key = "us-east-1/rg-001/0001"
	record := func(r runtime.Report) resource.NodeStatus {
		t.Helper()
		r.ID = key
		if err := h.Record(t.Context(), []runtime.Report{r, {ID: "us-east-1/unknown/0001", Phase: "running"}}); err != nil {
			t.Fatal(err)
		}
		return status(l, key)
	}
	started := l.Clock.Now()
	s := record(runtime.Report{Phase: "running", Incarnation: 2, Generation: 3, PID: 7, Started: started, Role: "master", Binary: "/b", BinaryVersion: "7", MaxClients: 9})
	if s.PID != 7 || s.Started == nil || s.Ended != nil || s.Binary != "/b" || s.BinaryVersion != "7" || s.MaxClients != 9 {
		t.Errorf("status is %+v", s)
	}
	l.Clock.Advance(time.Second)
	ended := l.Clock.Now()
	s = record(runtime.Report{Phase: "exited", Incarnation: 2, Generation: 3, Message: "signal 9"})
	if s.Ended == nil || !s.Ended.Equal(ended) || s.Started == nil || s.Message != "signal 9" {
		t.Errorf("status is %+v", s)
	}
	l.Clock.Advance(time.Second)
	s = record(runtime.Report{Phase: "exited", Incarnation: 2, Generation: 3, Message: "signal 9, again"})
	if !s.Ended.Equal(ended) {
		t.Errorf("it ended anew at %v", s.Ended)
	}
	if s = record(runtime.Report{Phase: "gone", Incarnation: 2}); s.Phase != "exited" {
		t.Errorf("a node that shall exist is %q", s.Phase)
	}
	s = record(runtime.Report{Phase: "running", Incarnation: 3, Generation: 4, Started: l.Clock.Now()})
	if s.Ended != nil || s.Message != "" {
		t.Errorf("status is %+v", s)
	}
}

// What is no news is not written, and an equal document is not applied again.
func TestNothingNew(t *testing.T) {
	t.Parallel()
	l, h := newHost(t, true)
	compose(t, l, nil)
	commits := 0
	defer l.Store.Notify(func([]store.Change) { commits++ })()
	for range 3 {
		l.Clock.Advance(time.Second)
		l.Pass(t, h.Controller(), "host")
	}
	if l.Runtime.Applied() != 1 {
		t.Errorf("%d documents were applied, want 1", l.Runtime.Applied())
	}
	report := runtime.Report{ID: "us-east-1/rg-001/0001", Phase: "running", Incarnation: 2, Generation: 9, Started: l.Clock.Now()}
	for range 3 {
		if err := h.Record(t.Context(), []runtime.Report{report}); err != nil {
			t.Fatal(err)
		}
	}
	if commits != 1 {
		t.Errorf("%d commits for one report", commits)
	}
}

// A later host, and one whose clock stands still, must not be taken for an older
// one by the runtime.
func TestRevisionsGrow(t *testing.T) {
	t.Parallel()
	l, h := newHost(t, true)
	compose(t, l, nil)
	l.Pass(t, h.Controller(), "host")
	for i := range 3 {
		l.Update(t, func(tx *store.Tx) {
			n, _ := resource.Nodes.Get(tx, "us-east-1/rg-001/0001")
			n.Spec.Generation++
			resource.Nodes.Put(tx, n.Key(), n)
		})
		if i == 2 {
			l.Clock.Advance(time.Millisecond)
			h = host.New(h.Config)
		}
		l.Pass(t, h.Controller(), "host")
	}
	if l.Runtime.Applied() != 4 {
		t.Errorf("%d documents were applied, want 4", l.Runtime.Applied())
	}
}

// The runtime is asked about the end of every node that shall go, also of one
// that it does not know any more, until that is written down.
func TestRemoved(t *testing.T) {
	t.Parallel()
	l, h := newHost(t, false)
	l.Record = h.Record
	l.Controllers = []reconcile.Controller{h.Controller()}
	compose(t, l, func(_ *store.Tx, _ *resource.ReplicationGroup, n []*resource.Node) { n[2].Spec.Deleted = true })
	const key = "us-east-1/rg-003/0001"
	l.Pass(t, h.Controller(), "host")
	if got := l.Runtime.Document().Removed; !slices.Equal(got, []string{key}) {
		t.Errorf("removed are %v", got)
	}
	l.Settle(t)
	if s := status(l, key); s.Phase != "gone" {
		t.Errorf("phase is %q, want gone", s.Phase)
	}
	if got := l.Runtime.Document().Removed; len(got) > 0 {
		t.Errorf("removed are still %v", got)
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	l, h := newHost(t, true)
	compose(t, l, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Follow(ctx) }()
	recorded := make(chan string, 10)
	defer l.Store.Notify(func(changes []store.Change) {
		for _, c := range changes {
			recorded <- c.Key
		}
	})()
	l.Pass(t, h.Controller(), "host")
	var got []string
	for len(got) < 3 {
		select {
		case key := <-recorded:
			got = append(got, key)
		case <-time.After(10 * time.Second):
			t.Fatalf("only %v were recorded", got)
		}
	}
	slices.Sort(got)
	if got[0] != "us-east-1/rg-001/0001" || got[2] != "us-east-1/rg-003/0001" {
		t.Errorf("recorded are %v", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// BenchmarkReconcile is what every report and every change costs with 100 nodes.
func BenchmarkReconcile(b *testing.B) {
	l, h := newHost(b, true)
	l.Update(b, func(tx *store.Tx) {
		for i := range 100 {
			c := controllertest.Cluster(fmt.Sprintf("c%03d", i), "redis", 6379)
			c.Spec.Nodes = []resource.NodeSlot{controllertest.Slot(c.ID, 1, i, "a", 6379)}
			controllertest.PutCluster(tx, c)
			resource.Nodes.Put(tx, "us-east-1/"+c.ID+"/0001", running(c, ""))
		}
	})
	for b.Loop() {
		l.Pass(b, h.Controller(), "host")
	}
}

package replicationgroup_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// newEvents are the events since the first n.
func newEvents(l *controllertest.Loop, n int) string {
	return strings.Join(controllertest.Events(l.Store)[n:], "\n")
}

func wantEvents(t *testing.T, l *controllertest.Loop, since int, want ...string) {
	t.Helper()
	if got := newEvents(l, since); got != strings.Join(want, "\n") {
		t.Errorf("events:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}

func wantEndpoint(t *testing.T, l *controllertest.Loop, id string, nodes ...string) {
	t.Helper()
	if got := l.Runtime.Endpoint(id).Nodes; !slices.Equal(got, nodes) {
		t.Errorf("%s leads to %v, want %v", id, got, nodes)
	}
}

func TestCreate(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 3, failover)
	g := group(l)
	if g.Status.Available == nil || g.Status.ObservedGeneration != 1 || g.Status.Primary != "rg-001" {
		t.Errorf("group status is %+v", g.Status)
	}
	for _, id := range g.Spec.Members {
		s := cluster(l, id).Status
		if s.Available == nil || s.ObservedGeneration != 1 || s.NodeStatus["0001"] != "available" || s.ParameterApplyStatus != "in-sync" {
			t.Errorf("%s: status is %+v", id, s)
		}
	}
	for key, replicaOf := range map[string]string{node1: "", node2: node1, node3: node1} {
		if n := node(l, key); n.Spec.ReplicaOf != replicaOf || n.Spec.Incarnation != 1 || n.UID == "" || !n.Spec.Auth.NoPassword {
			t.Errorf("%s: spec is %+v", key, n.Spec)
		}
	}
	wantEndpoint(t, l, primary, node1)
	wantEndpoint(t, l, reader, node2, node3)
	wantEvents(t, l, 0,
		"rg-001: Added cache node 0001 in availability zone us-east-1a",
		"rg-001: Cache cluster created",
		"rg-002: Added cache node 0001 in availability zone us-east-1b",
		"rg-002: Cache cluster created",
		"rg-003: Added cache node 0001 in availability zone us-east-1c",
		"rg-003: Cache cluster created",
		"rg: Replication group rg created",
		"rg: Automatic failover has been turned on for replication group rg",
	)
}

// A settled world must stay at rest: no pass writes, no document is applied.
func TestRest(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 3, failover)
	applied, events := l.Runtime.Applied(), len(controllertest.Events(l.Store))
	for range 3 {
		l.Clock.Advance(time.Minute)
		if waits := l.Settle(t); len(waits) > 0 {
			t.Errorf("something waits: %v", waits)
		}
	}
	if l.Runtime.Applied() != applied || len(controllertest.Events(l.Store)) != events {
		t.Errorf("%d documents applied and events %q at rest", l.Runtime.Applied()-applied, newEvents(l, events))
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		// tokens are the credentials, "" for none.
		tokens     []string
		noPassword bool
		login      bool
	}{
		{"none", []string{""}, true, false},
		{"required", []string{"token-of-sixteen-a"}, false, false},
		{"two", []string{"token-of-sixteen-a", "token-of-sixteen-b"}, false, false},
		{"optional", []string{"", "token-of-sixteen-a"}, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newGroup(t, 2, nil)
			before := len(controllertest.Events(l.Store))
			auth := resource.Auth{Change: "ROTATING"}
			var digests []string
			for _, token := range tt.tokens {
				if token == "" {
					auth.Credentials = append(auth.Credentials, resource.Credential{None: true})
					continue
				}
				auth.Credentials = append(auth.Credentials, l.Token(t, token))
				digests = append(digests, core.NewSecret(token).SHA256())
			}
			editGroup(t, l, func(g *resource.ReplicationGroup) { g.Spec.Auth = auth })
			l.Clock.Advance(time.Second)
			l.Settle(t)
			for _, key := range []string{node1, node2} {
				if from := node(l, key).Spec.Auth.SecretsFrom; from != "rg-uid" {
					t.Errorf("%s: hidden passwords come from %q", key, from)
				}
				e := l.Runtime.Engine(key).Node.Auth
				if !slices.Equal(e.Digests, digests) || e.Login.IsZero() == tt.login || e.NoPassword != tt.noPassword {
					t.Errorf("%s: the engine has %+v", key, e)
				}
			}
			g := group(l)
			if g.Spec.Auth.Change != "" || g.Spec.Auth.Modified == nil || !g.Spec.Auth.Modified.Equal(l.Clock.Now()) || g.Status.ObservedGeneration != 2 {
				t.Errorf("the change is not finished: %+v, %+v", g.Spec.Auth, g.Status)
			}
			wantEvents(t, l, before, "rg: Authentication token of replication group rg has been changed")
		})
	}
}

// The tokens are a change in progress until the last node has them.
func TestTokensReachEveryNode(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 2, nil)
	l.Runtime.Auto = false
	groups, host := l.Controllers[0], l.Controllers[1]
	editGroup(t, l, func(g *resource.ReplicationGroup) {
		g.Spec.Auth = resource.Auth{Credentials: []resource.Credential{l.Token(t, "token-of-sixteen-a")}, Change: "SETTING"}
	})
	for _, key := range []string{node1, node2} {
		if g := group(l); g.Spec.Auth.Change != "SETTING" || g.Status.ObservedGeneration != 1 {
			t.Fatalf("finished before %s has the token", key)
		}
		l.Pass(t, groups, groupKey)
		l.Pass(t, host, "host")
		l.Runtime.Step(key)
		l.Deliver(t)
	}
	l.Pass(t, groups, groupKey)
	if g := group(l); g.Spec.Auth.Change != "" || g.Status.ObservedGeneration != 2 {
		t.Errorf("not finished: %+v", g)
	}
}

// A token of the creation is in the first spec of every node, of later ones too.
func TestTokenFromTheStart(t *testing.T) {
	t.Parallel()
	l := newLoop(t, false)
	g, members := controllertest.Group(2)
	g.Spec.Auth.Credentials = []resource.Credential{l.Token(t, "token-of-sixteen-a")}
	l.Update(t, func(tx *store.Tx) { controllertest.PutGroup(tx, g, members) })
	l.Pass(t, l.Controllers[0], groupKey)
	l.Pass(t, l.Controllers[1], "host")
	for _, n := range l.Runtime.Document().Nodes {
		if n.Generation != 1 || n.Auth.NoPassword || len(n.Auth.Digests) != 1 {
			t.Errorf("%s starts with %+v", n.ID, n.Auth)
		}
	}
	l.Settle(t)
	editGroup(t, l, func(g *resource.ReplicationGroup) { members = append(members, controllertest.Member(g, 3)) })
	l.Update(t, func(tx *store.Tx) { controllertest.PutCluster(tx, members[2]) })
	l.Settle(t)
	n := node(l, node3)
	if n.Spec.Generation != 1 || n.Spec.Auth.NoPassword || len(n.Spec.Auth.Digests) != 1 || n.Spec.ReplicaOf != node1 {
		t.Errorf("the later replica is %+v", n.Spec)
	}
}

func TestReboot(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 2, failover)
	l.Runtime.Write(primary)
	before := len(controllertest.Events(l.Store))
	editCluster(t, l, "rg-001", func(c *resource.CacheCluster) { c.Spec.Reboot = map[string]int{"0001": 1} })
	l.Settle(t)
	if p := group(l).Status.Primary; p != "rg-001" {
		t.Errorf("a reboot moved the primary to %s", p)
	}
	n := node(l, node1)
	if n.Spec.Incarnation != 2 || n.Spec.ReplicaOf != "" || cluster(l, "rg-001").Status.ObservedGeneration != 2 {
		t.Errorf("the node was not rebooted: %+v", n.Spec)
	}
	wantEvents(t, l, before, "rg-001: Cache node 0001 shutdown", "rg-001: Cache node 0001 restarted")
}

// A change of a parameter group reaches every member at once.
func TestParameters(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 2, nil)
	l.Update(t, func(tx *store.Tx) {
		resource.ParameterGroups.Put(tx, "us-east-1/default.redis7", &resource.ParameterGroup{
			Region: "us-east-1", Name: "default.redis7", Values: map[string]string{"timeout": "20", "static-x": "1"},
		})
	})
	l.Settle(t)
	for _, id := range []string{"rg-001", "rg-002"} {
		e := l.Runtime.Engine("us-east-1/" + id + "/0001").Node
		if e.Settings["timeout"] != "20" || e.StartSettings["static-x"] != "" || e.Incarnation != 1 {
			t.Errorf("%s runs with %v and %v, incarnation %d", id, e.Settings, e.StartSettings, e.Incarnation)
		}
		if s := cluster(l, id).Status; s.ParameterApplyStatus != "pending-reboot" {
			t.Errorf("%s: parameters are %s", id, s.ParameterApplyStatus)
		}
	}
	// The next process, whatever it is needed for, takes over the rest.
	l.Clock.Advance(time.Minute)
	l.Runtime.Kill(node2)
	l.Settle(t)
	if e := l.Runtime.Engine(node2).Node; e.StartSettings["static-x"] != "1" {
		t.Errorf("the new process runs with %v", e.StartSettings)
	}
	if s := cluster(l, "rg-002").Status; s.ParameterApplyStatus != "in-sync" {
		t.Errorf("after it the parameters are %s", s.ParameterApplyStatus)
	}
}

func TestRemoveMember(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 3, nil)
	before := len(controllertest.Events(l.Store))
	editGroup(t, l, func(g *resource.ReplicationGroup) { g.Spec.Members = g.Spec.Members[:2] })
	editCluster(t, l, "rg-003", func(c *resource.CacheCluster) { c.Spec.Deleting = true })
	l.Settle(t)
	want := []string{
		"group us-east-1/rg", "cluster us-east-1/rg-001", "cluster us-east-1/rg-002",
		"node us-east-1/rg-001/0001", "node us-east-1/rg-002/0001",
		"address us-east-1/vpc-1/172.31.0.1", "address us-east-1/vpc-1/172.31.0.100",
		"address us-east-1/vpc-1/172.31.0.101", "address us-east-1/vpc-1/172.31.0.2",
	}
	if got := controllertest.Records(l.Store); !slices.Equal(got, want) {
		t.Errorf("left are\n%s", strings.Join(got, "\n"))
	}
	if g := group(l); g.Status.ObservedGeneration != 2 {
		t.Errorf("the group is not settled: %+v", g.Status)
	}
	wantEndpoint(t, l, reader, node2)
	wantEvents(t, l, before, "rg-003: Cache cluster deleted")
}

func TestDelete(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 2, failover)
	before := len(controllertest.Events(l.Store))
	editGroup(t, l, func(g *resource.ReplicationGroup) { g.Spec.Deleting = true })
	for _, id := range []string{"rg-001", "rg-002"} {
		editCluster(t, l, id, func(c *resource.CacheCluster) { c.Spec.Deleting = true })
	}
	l.Settle(t)
	if left := controllertest.Records(l.Store); len(left) > 0 {
		t.Errorf("left are %q", left)
	}
	if doc := l.Runtime.Document(); len(doc.Nodes)+len(doc.Endpoints) > 0 {
		t.Errorf("the document still has %+v", doc)
	}
	wantEvents(t, l, before,
		"rg-001: Cache cluster deleted", "rg-002: Cache cluster deleted", "rg: Replication group rg deleted")
}

func TestDeleteRetainingPrimary(t *testing.T) {
	t.Parallel()
	l := newGroup(t, 2, func(l *controllertest.Loop, g *resource.ReplicationGroup) {
		g.Spec.Auth.Credentials = []resource.Credential{l.Token(t, "token-of-sixteen-a")}
	})
	l.Runtime.Write(primary)
	editGroup(t, l, func(g *resource.ReplicationGroup) { g.Spec.Deleting, g.Spec.RetainPrimary = true, true })
	editCluster(t, l, "rg-002", func(c *resource.CacheCluster) { c.Spec.Deleting = true })
	editCluster(t, l, "rg-001", func(*resource.CacheCluster) {})
	l.Settle(t)
	want := []string{"cluster us-east-1/rg-001", "node us-east-1/rg-001/0001", "address us-east-1/vpc-1/172.31.0.1"}
	if got := controllertest.Records(l.Store); !slices.Equal(got, want) {
		t.Errorf("left are %q, want %q", got, want)
	}
	if c := cluster(l, "rg-001"); c.Spec.ReplicationGroupID != "" || c.Status.ObservedGeneration != 2 {
		t.Errorf("the primary belongs to %q, its status is %+v", c.Spec.ReplicationGroupID, c.Status)
	}
	n, e := node(l, node1), l.Runtime.Engine(node1)
	if n.Spec.Incarnation != 1 || e.Data != 1 || n.Spec.Auth.NoPassword || n.Spec.Auth.SecretsFrom != "rg-uid" {
		t.Errorf("the primary was not kept as it was: %+v, %d writes", n.Spec, e.Data)
	}
}

func TestFailureIsTold(t *testing.T) {
	t.Parallel()
	l := newLoop(t, true)
	l.Runtime.FailStart(node2, "address 127.10.0.2:6379 is taken")
	g, members := controllertest.Group(2)
	l.Update(t, func(tx *store.Tx) { controllertest.PutGroup(tx, g, members) })
	l.Settle(t)
	want := "cache node 0001: address 127.10.0.2:6379 is taken"
	if got := cluster(l, "rg-002").Status.Failure; got != want {
		t.Errorf("the member's failure is %q", got)
	}
	if got := group(l).Status; got.Failure != "rg-002: "+want || got.Available != nil {
		t.Errorf("the group's status is %+v", got)
	}
	l.Runtime.FailStart(node2, "")
	l.Settle(t)
	if got := group(l).Status; got.Failure != "" || got.Available == nil {
		t.Errorf("after the cause went, the group's status is %+v", got)
	}
}

package local

import (
	"fmt"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

// A replica and its successor are told apart by their primary. When the successor takes
// the place, the primary hears of it as of the node, and sends it nothing anew.
func TestSuccessorOfReplica(t *testing.T) {
	t.Parallel()
	needs(t, engine.Redis, engine.Valkey)
	r := newRig(t)
	primary, replica := makeNode(engine.Redis), makeNode(engine.Redis)
	replica.Primary = &primary.Replication
	r.apply(primary, replica)
	r.wait(replica.ID, "in sync", inSync)
	if got := r.client(primary, "SET", "k", "v"); got != "+OK" {
		t.Fatal(got)
	}
	old := r.settled(replica).PID

	successor := replica
	successor.ID, successor.UID, successor.Engine, successor.Successor = replica.ID+"-next", replica.UID+"b", engine.Valkey, true
	successor.Replication.Port = runtime.SecondReplicationPort
	successor.Incarnation = 2
	r.apply(primary, replica, successor)
	r.wait(successor.ID, "in sync", inSync)
	both := []core.Endpoint{replica.Advertised, {Address: replica.Advertised.Address, Port: runtime.SecondReplicationPort}}
	eventually(t, "the primary tells of both", r.tells(primary, both...))
	if rep := r.settled(replica); rep.PID != old || !inSync(rep) {
		t.Errorf("the replica is %+v", rep)
	}

	placed := next(successor, func(n *runtime.Node) { n.ID, n.Successor = replica.ID, false })
	r.apply(primary, placed)
	r.settled(placed)
	r.wait(placed.ID, "in sync", inSync)
	eventually(t, "the replica's process has ended", func() bool { return !alive(old) })
	eventually(t, "the primary tells of the node alone", r.tells(primary, replica.Advertised))
	if got := r.client(primary, "INFO", "stats"); !strings.Contains(got, "sync_full:2\r\n") || !strings.Contains(got, "sync_partial_ok:1\r\n") {
		t.Errorf("the successor did not go on where it was: %s", got)
	}
	if got := r.client(placed, "GET", "k"); got != "$1\r\nv" {
		t.Errorf("the node has %q", got)
	}
}

// tells reports whether a primary tells of these replicas, all in sync, and of no others.
func (r *rig) tells(primary runtime.Node, replicas ...core.Endpoint) func() bool {
	return func() bool {
		info := r.client(primary, "INFO", "replication")
		for _, at := range replicas {
			if !strings.Contains(info, fmt.Sprintf(":ip=%s,port=%d,state=online,", at.Address, at.Port)) {
				return false
			}
		}
		return strings.Contains(info, fmt.Sprintf("connected_slaves:%d\r\n", len(replicas)))
	}
}

// An old primary goes on from what it has as the replica of a newer engine, whose
// datasets it could not read: it stays a copy until it is replaced.
func TestHandoverToNewerEngine(t *testing.T) {
	t.Parallel()
	needs(t, engine.Redis, engine.Valkey)
	r := newRig(t)
	primary, heir := makeNode(engine.Redis), makeNode(engine.Valkey)
	heir.Primary = &primary.Replication
	r.apply(primary, heir)
	r.wait(heir.ID, "in sync", inSync)
	if got := r.client(primary, "SET", "k", "v"); got != "+OK" {
		t.Fatal(got)
	}
	held := next(primary, func(n *runtime.Node) { n.HoldWrites = true })
	r.apply(held, heir)
	r.settled(held)
	demoted := next(held, func(n *runtime.Node) { n.HoldWrites, n.Primary = false, &heir.Replication })
	promoted := next(heir, func(n *runtime.Node) { n.Primary = nil })
	r.apply(demoted, promoted)
	r.wait(promoted.ID, "a primary", func(rep runtime.Report) bool { return rep.Role == "master" })
	r.settled(demoted)
	r.wait(demoted.ID, "in sync", inSync)
	if got := r.client(promoted, "SET", "after", "v"); got != "+OK" {
		t.Fatal(got)
	}
	eventually(t, "the old primary has what was there and what came", func() bool { return r.client(demoted, "DBSIZE") == ":2" })
	if got := r.client(promoted, "INFO", "stats"); !strings.Contains(got, "sync_full:0\r\n") {
		t.Errorf("the old primary has begun anew: %s", got)
	}
}

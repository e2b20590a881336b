package valkey

import (
	"reflect"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

// A replica of a primary outside of its cluster starts as one, with a view that engines
// take for their own.
func TestFirstNodesOutside(t *testing.T) {
	t.Parallel()
	text := string(firstNodes(engine.Binary{Engine: engine.Valkey, Version: "8.0.1"}, &runtime.Cluster{
		Self: runtime.ClusterNode{ID: nodeID(7)}, Epoch: 3,
		Outside: &runtime.ClusterNode{ID: nodeID(8), Address: "127.1.0.8", Replication: 61002, Bus: 61006},
	}))
	nodes, rest, _ := strings.Cut(text, "vars ")
	v, err := parseNodes(nodes)
	if err != nil || !strings.HasPrefix(rest, "currentEpoch 3 ") {
		t.Fatalf("%q: %v", text, err)
	}
	o := v.nodes[nodeID(8)]
	if v.self.id != nodeID(7) || v.self.primary != nodeID(8) || o == nil || o.port != 61002 || o.slots.String() != "0-16383" {
		t.Errorf("itself %+v, the primary %+v", v.self, o)
	}
}

// Each engine is told its shard in a way that it knows.
func TestFirstNodesShard(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ engine, version, want string }{
		{engine.Redis, "7.0.15", nodeID(7) + " :0@0 myself,master"},
		{engine.Redis, "7.2.4", nodeID(7) + " :0@0,,shard-id=" + nodeID(7) + " myself,master"},
		{engine.Redis, "8.0.0", nodeID(7) + " :0@0,,shard-id=" + nodeID(7) + " myself,master"},
		{engine.Valkey, "7.2.5", nodeID(7) + " :0@0,,shard-id=" + nodeID(7) + " myself,master"},
	} {
		t.Run(tt.engine+" "+tt.version, func(t *testing.T) {
			t.Parallel()
			got := string(firstNodes(engine.Binary{Engine: tt.engine, Version: tt.version}, &runtime.Cluster{Self: runtime.ClusterNode{ID: nodeID(7)}}))
			if !strings.HasPrefix(got, tt.want) {
				t.Errorf("%q", got)
			}
		})
	}
}

// An engine forgets who has left the group, but no member that is not in cluster mode now.
func TestFarewells(t *testing.T) {
	t.Parallel()
	v, err := parseNodes(strings.Join([]string{
		nodeID(1) + " 127.0.0.1:1@2 myself,master - 0 0 1 connected 0-16383",
		nodeID(2) + " 127.0.0.2:1@2 slave " + nodeID(1) + " 0 0 1 connected",
		nodeID(3) + " 127.0.0.3:1@2 master - 0 0 1 disconnected",
		nodeID(4) + " 127.0.0.4:1@2 master - 0 0 1 disconnected",
	}, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	c := &runtime.Cluster{Self: runtime.ClusterNode{ID: nodeID(1)}, Peers: []runtime.ClusterNode{{ID: nodeID(2)}}, Absent: []string{nodeID(3)}}
	if got, want := farewells(v, c), [][]string{{"CLUSTER", "FORGET", nodeID(4)}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// What keeps a group from cluster mode is read off the engines.
func TestStateOfDatabases(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, info      string
		other, diverged bool
	}{
		{"database 0", "db0:keys=1,expires=0\r\nunexpected_error_replies:0\r\n", false, false},
		{"another one", "db0:keys=1,expires=0\r\ndb12:keys=1,expires=0\r\n", true, false},
		{"no database", "dbs:1\r\ndb:2\r\n", false, false},
		{"a refused command", "unexpected_error_replies:1\r\n", false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if s := parseState(tt.info); s.OtherDatabases != tt.other || s.Diverged != tt.diverged {
				t.Errorf("%+v", s)
			}
		})
	}
}

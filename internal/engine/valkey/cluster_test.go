package valkey

import (
	"fmt"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/runtime"
)

// nodeID is the name of node i.
func nodeID(i int) string { return fmt.Sprintf("%040x", i) }

func TestParseNodes(t *testing.T) {
	t.Parallel()
	v, err := parseNodes(strings.Join([]string{
		nodeID(1) + " 127.10.0.1:6379@61006,,tls-port=61002,shard-id=x myself,master,nofailover - 0 0 1 connected 0-99 200 [150->-" + nodeID(2) + "] [151-<-" + nodeID(3) + "]",
		nodeID(2) + " 127.10.0.2:6380@61006 slave,nofailover " + nodeID(1) + " 0 17 1 connected",
		nodeID(3) + " 127.10.0.3:6379@61006,host.example master,fail? - 0 17 3 disconnected 100-199",
		nodeID(4) + " 127.10.0.4:6379@61006 handshake - 0 0 0 disconnected",
	}, "\n") + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if v.self.id != nodeID(1) || v.self.slots.String() != "0-99,200" || v.self.leaving[150] != nodeID(2) || v.self.arriving[151] != nodeID(3) {
		t.Errorf("itself: %+v", v.self)
	}
	if n := v.nodes[nodeID(2)]; n.primary != nodeID(1) || n.port != 6380 || !n.connected || n.failing {
		t.Errorf("a replica: %+v", n)
	}
	if n := v.nodes[nodeID(3)]; !n.failing || n.connected || n.slots.Len() != 100 {
		t.Errorf("a suspect: %+v", n)
	}
	if n := v.nodes[nodeID(4)]; !n.handshake {
		t.Errorf("a stranger: %+v", n)
	}
	for _, odd := range []string{"", "one two", nodeID(1) + " a:1@2 myself,master - 0 0 1 connected x-y", nodeID(1) + " a:1@2 master - 0 0 1 connected"} {
		if _, err := parseNodes(odd); err == nil {
			t.Errorf("%q is read", odd)
		}
	}
}

func FuzzParseNodes(f *testing.F) {
	f.Add(nodeID(1) + " 127.10.0.1:6379@61006 myself,master - 0 0 1 connected 0-99 [150->-" + nodeID(2) + "]\n")
	f.Fuzz(func(t *testing.T, text string) {
		if v, err := parseNodes(text); err == nil && v.self == nil {
			t.Error("no error, and nobody")
		}
	})
}

// TestTakeRole: what an engine is told, given what it and the others are.
func TestTakeRole(t *testing.T) {
	t.Parallel()
	all := core.Slots{{First: 0, Last: 99}}
	tests := []struct {
		name    string
		primary string // wanted; empty: this one
		nodes   []string
		want    string
	}{
		{"slots that nobody has", "", []string{"1 myself,master - connected", "2 master - connected"}, "CLUSTER ADDSLOTSRANGE 0 99"},
		{"slots that it has", "", []string{"1 myself,master - connected 0-99", "2 master - connected"}, ""},
		{"slots that another shard has", "", []string{"1 myself,master - connected 0-49", "3 master - connected 50-99"}, ""},
		{"slots of a lost member of its shard", "", []string{"1 myself,master - connected", "2 master,fail - connected 0-99"},
			"CLUSTER DELSLOTSRANGE 0 99; CLUSTER ADDSLOTSRANGE 0 99; CLUSTER BUMPEPOCH"},
		{"a replica that is to be the primary", "", []string{"1 myself,slave 2 connected", "2 master - connected 0-99"}, "CLUSTER FAILOVER TAKEOVER"},
		{"a new replica", "2", []string{"1 myself,master - connected", "2 master - connected 0-99"}, "CLUSTER REPLICATE 2"},
		{"a replica of another", "2", []string{"1 myself,slave 3 connected", "2 master - connected 0-99", "3 slave 2 connected"}, "CLUSTER REPLICATE 2"},
		{"a replica", "2", []string{"1 myself,slave 2 connected", "2 master - connected 0-99"}, ""},
		{"a primary that is to follow its heir", "2", []string{"1 myself,master - connected 0-99", "2 slave 1 connected"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := viewOf(t, tt.nodes...)
			c := &runtime.Cluster{
				Self: runtime.ClusterNode{ID: "1"}, Primary: tt.primary, Slots: all,
				Peers: []runtime.ClusterNode{{ID: "2", SameShard: true}, {ID: "3"}},
			}
			var got []string
			for _, cmd := range takeRole(v, c) {
				got = append(got, strings.Join(cmd, " "))
			}
			if text := strings.Join(got, "; "); text != tt.want {
				t.Errorf("told %q, want %q", text, tt.want)
			}
		})
	}
}

// viewOf is what an engine says with these lines of a node each: its number, flags, primary,
// link and slots.
func viewOf(t *testing.T, nodes ...string) clusterView {
	t.Helper()
	var lines []string
	for _, n := range nodes {
		f := append(strings.Fields(n), "")
		lines = append(lines, fmt.Sprintf("%s 127.10.0.1:6379@61006 %s %s 0 0 1 %s %s", f[0], f[1], f[2], f[3], f[4]))
	}
	v, err := parseNodes(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestContested: an epoch is contested by another primary that the engine can hear of.
func TestContested(t *testing.T) {
	t.Parallel()
	self := "1 myself,master - connected 0-99"
	for other, want := range map[string]bool{
		"2 master - connected": true, "2 master - disconnected": false, "2 slave 1 connected": false,
	} {
		v := viewOf(t, self, other)
		if v.self.epoch != 1 || v.contested() != want {
			t.Errorf("epoch %d beside %s: contested %v", v.self.epoch, other, v.contested())
		}
		v.nodes["2"].epoch++
		if v.contested() {
			t.Errorf("beside another epoch of %s: contested", other)
		}
	}
}

// TestHeirs: a primary of another shard, 3, was succeeded by 4. Its slots are somebody's at
// every moment, and who was not heard of introduces itself.
func TestHeirs(t *testing.T) {
	t.Parallel()
	const self = "1 myself,master - connected 0-8191"
	tests := []struct {
		name              string
		nodes             []string
		farewells, intros string
	}{
		{"all is known", []string{self, "3 slave 4 connected", "4 master - connected 8192-16383"}, "3", ""},
		{"the heir has not said that it took over", []string{self, "3 master - connected 8192-16383", "4 slave 3 connected"}, "", "4"},
		{"the heir is not known", []string{self, "3 master - connected 8192-16383"}, "", "4"},
		{"the heir is being met", []string{self, "3 master - connected 8192-16383", "4 handshake - connected"}, "", "4"},
		{"others told of the heir", []string{self, "3 master - connected 8192-16383", "4 master - disconnected"}, "", ""},
		{"the old one said first that it has lost them", []string{self, "3 master - connected", "4 slave 3 connected"}, "", "4"},
		{"the old one was forgotten first", []string{self, "4 slave - connected"}, "", "4"},
		{"old news of the heir came last", []string{self, "3 slave 4 connected", "4 slave 3 connected"}, "", "4"},
		{"nobody has the slots", []string{self, "4 master - connected"}, "", "4"},
		{"a predecessor in the engine's own shard", []string{self, "2 master - disconnected 0-99"}, "2", "4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := viewOf(t, tt.nodes...)
			c := &runtime.Cluster{
				Self: runtime.ClusterNode{ID: "1"}, Slots: core.Slots{{First: 0, Last: 8191}}, Peers: []runtime.ClusterNode{{ID: "4"}},
			}
			var forgotten []string
			for _, cmd := range farewells(v, c) {
				forgotten = append(forgotten, cmd[2])
			}
			if got := strings.Join(forgotten, " "); got != tt.farewells {
				t.Errorf("forgets %q, want %q", got, tt.farewells)
			}
			if got := strings.Join(strangers(v, c), " "); got != tt.intros {
				t.Errorf("asks %q to introduce themselves, want %q", got, tt.intros)
			}
		})
	}
}

// TestNewShard: one that has no slots yet is no riddle, nor are its replicas.
func TestNewShard(t *testing.T) {
	t.Parallel()
	v := viewOf(t, "1 myself,master - connected 0-16383", "2 master - connected", "3 slave 2 connected")
	c := &runtime.Cluster{Self: runtime.ClusterNode{ID: "1"}, Slots: core.AllSlots(), Peers: []runtime.ClusterNode{{ID: "2", Port: 6379}, {ID: "3", Port: 6379}}}
	if got := strangers(v, c); len(got) > 0 {
		t.Errorf("asks %q to introduce themselves", got)
	}
	place := membership{want: c}
	if place.judge(v); !place.settled {
		t.Error("the engine is not settled")
	}
}

// TestNodeTimeout: what the nodes of a cluster that forms ask each other costs their host
// about the same, however many they are.
func TestNodeTimeout(t *testing.T) {
	t.Parallel()
	for nodes, want := range map[int]int{1: 500, 8: 500, 16: 2000, 44: 15000, 90: 15000, 500: 15000} {
		c := &runtime.Cluster{Peers: make([]runtime.ClusterNode, nodes-1)}
		if got := nodeTimeout(c, false); got != want {
			t.Errorf("%d nodes wait for %d ms for each other until they serve, want %d", nodes, got, want)
		}
		if got := nodeTimeout(c, true); got != 15000 {
			t.Errorf("%d nodes that serve wait for %d ms", nodes, got)
		}
	}
	if got := nodeTimeout(&runtime.Cluster{Outside: &runtime.ClusterNode{}}, false); got != 86400000 {
		t.Errorf("one that follows a primary outside of the cluster waits for %d ms", got)
	}
}

func TestClusterConfig(t *testing.T) {
	t.Parallel()
	n := someNode()
	n.Primary = &core.Endpoint{Address: "127.1.0.8", Port: 61002}
	n.Cluster = &runtime.Cluster{
		Self:     runtime.ClusterNode{ID: nodeID(7), Address: "127.1.0.7", Port: 30001, Replication: 61002, Bus: 61006},
		Hostname: "cache.example", Epoch: 3,
	}
	l, err := Driver{}.Launch(withTLS, n, place)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"cluster-enabled \"yes\"\n", "cluster-config-file \"/run/larder/u1.d/nodes.conf\"\n", "cluster-announce-ip \"127.1.0.7\"\n", "cluster-announce-port \"30001\"\n", "cluster-announce-tls-port \"61002\"\n",
		"cluster-announce-bus-port \"61006\"\n", "cluster-announce-hostname \"cache.example\"\n", "cluster-replica-no-failover \"yes\"\n",
		"+psync +replconf +ping ~* +select +restore-asking\n",
	} {
		if !strings.Contains(string(l.Stdin), want) {
			t.Errorf("no %q in the configuration", want)
		}
	}
	if strings.Contains(string(l.Stdin), "\nreplicaof ") {
		t.Error("replicaof cannot be in it")
	}
	if got := string(l.Local["nodes.conf"]); !strings.HasPrefix(got, nodeID(7)+" :0@0 myself,master - 0 0 3 connected\n") {
		t.Errorf("it begins with %q", got)
	}
	plain := withTLS
	plain.Capabilities.TLS = false
	if _, err := Config(plain, n, place); err == nil {
		t.Error("an engine without TLS joins a cluster")
	}
}

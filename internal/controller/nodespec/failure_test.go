package nodespec

import (
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/resource"
)

// A failure is told once, and stays until the cluster runs: another attempt is no
// success yet.
func TestFailureIsToldOnce(t *testing.T) {
	t.Parallel()
	slot := resource.NodeSlot{ID: "0001"}
	cluster := &resource.CacheCluster{Spec: resource.CacheClusterSpec{Nodes: []resource.NodeSlot{slot}}}
	look := func(phase, message string) []string {
		n := &resource.Node{Status: resource.NodeStatus{Phase: phase, Message: message}}
		o := Observation{
			Cluster: cluster, Members: []Member{{Slot: slot, Node: n}}, Now: time.Unix(1, 0),
			Parameters: Parameters{Default: func(string) string { return "" }},
		}
		var events []string
		cluster.Status, events = o.Status()
		return events
	}
	if events := look(resource.NodeFailed, "no such file"); !strings.Contains(strings.Join(events, "\n"), "Failed to create the cache cluster: ") {
		t.Errorf("events: %v", events)
	}
	for _, phase := range []string{resource.NodeStarting, resource.NodeFailed} {
		if events := look(phase, "no such file"); len(events) > 0 {
			t.Errorf("told again while %s: %v", phase, events)
		}
		if !strings.Contains(cluster.Status.Failure, "no such file") {
			t.Errorf("failure while %s: %q", phase, cluster.Status.Failure)
		}
	}
}

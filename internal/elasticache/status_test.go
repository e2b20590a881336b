package elasticache

import (
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/resource"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	then := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		name           string
		available      *time.Time
		observed       int64
		change         string
		failure        string
		deleting       bool
		cluster, group string
		deletable      bool
	}{
		{name: "just created", cluster: "creating", group: "creating"},
		{name: "nodes run but never available", observed: 2, cluster: "creating", group: "creating"},
		{name: "cannot be made", failure: "no binary", cluster: "create-failed", group: "create-failed", deletable: true},
		{name: "available", available: &then, observed: 2, cluster: "available", group: "available", deletable: true},
		{name: "change left over", available: &then, observed: 2, change: changeModifying, cluster: "available", group: "available", deletable: true},
		{name: "modifying", available: &then, observed: 1, change: changeModifying, cluster: "modifying", group: "modifying"},
		{name: "modifying for no known reason", available: &then, observed: 1, cluster: "modifying", group: "modifying"},
		{name: "rebooting", available: &then, observed: 1, change: changeRebooting, cluster: "rebooting cluster nodes", group: "rebooting cluster nodes"},
		{name: "broken while modifying", available: &then, observed: 1, change: changeModifying, failure: "x", cluster: "modifying", group: "modifying", deletable: true},
		{name: "failed but available before", available: &then, observed: 2, failure: "x", cluster: "available", group: "available", deletable: true},
		{name: "deleting", available: &then, observed: 2, deleting: true, cluster: "deleting", group: "deleting"},
		{name: "deleting before available", deleting: true, cluster: "deleting", group: "deleting"},
		{name: "deleting what failed", failure: "x", deleting: true, cluster: "deleting", group: "deleting"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &resource.CacheCluster{Generation: 2}
			c.Spec.Change, c.Spec.Deleting = tt.change, tt.deleting
			c.Status = resource.CacheClusterStatus{Available: tt.available, ObservedGeneration: tt.observed, Failure: tt.failure}
			g := &resource.ReplicationGroup{Generation: 2}
			g.Spec.Change, g.Spec.Deleting = tt.change, tt.deleting
			g.Status = resource.ReplicationGroupStatus{Available: tt.available, ObservedGeneration: tt.observed, Failure: tt.failure}
			if got := clusterStatus(c); got != tt.cluster {
				t.Errorf("cluster is %q, want %q", got, tt.cluster)
			}
			if got := groupStatus(g); got != tt.group {
				t.Errorf("group is %q, want %q", got, tt.group)
			}
			if clusterDeletable(c) != tt.deletable || groupDeletable(g) != tt.deletable {
				t.Errorf("deletable: cluster %t, group %t, want %t", clusterDeletable(c), groupDeletable(g), tt.deletable)
			}
		})
	}
}

func TestNextTLS(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	const (
		modeOnly = "To modify transit encryption mode, set encryption-in-transit as enabled."
		direct   = "Direct transition from transit-encryption-disabled to transit-encryption-enabled is not allowed. " +
			"Update the cluster to transit-encryption-mode preferred prior to enabling transit encryption."
		skip = "Direct transition from transit-encryption-mode required to transit-encryption-disabled is not allowed. " +
			"Update the cluster to transit-encryption-mode preferred prior to disabling transit encryption."
	)
	tests := []struct {
		name string
		from resource.TLSMode
		on   *bool
		mode string
		want resource.TLSMode
		err  string
	}{
		{"off, nothing asked", "", nil, "", "", ""},
		{"off, stays off", "", &no, "", "", ""},
		{"off to preferred", "", &yes, "preferred", "preferred", ""},
		{"off to required", "", &yes, "required", "", direct},
		{"off to on without mode", "", &yes, "", "", direct},
		{"off, preferred alone", "", nil, "preferred", "", modeOnly},
		{"off, required alone", "", nil, "required", "", modeOnly},
		{"off, switched off with a mode", "", &no, "preferred", "", modeOnly},
		{"preferred to required", "preferred", nil, "required", "required", ""},
		{"preferred to required, on again", "preferred", &yes, "required", "required", ""},
		{"preferred, the same", "preferred", &yes, "preferred", "preferred", ""},
		{"preferred, on again", "preferred", &yes, "", "preferred", ""},
		{"preferred to off", "preferred", &no, "", "", ""},
		{"preferred to off with a mode", "preferred", &no, "required", "preferred", modeOnly},
		{"required to preferred", "required", nil, "preferred", "preferred", ""},
		{"required, on again", "required", &yes, "", "required", ""},
		{"required, the same", "required", &yes, "required", "required", ""},
		{"required to off", "required", &no, "", "required", skip},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := nextTLS(tt.from, tt.on, tt.mode)
			if tt.err != "" {
				wantError(t, err, "InvalidParameterCombination", tt.err)
			} else if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("mode %q, want %q", got, tt.want)
			}
		})
	}
}

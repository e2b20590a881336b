package elasticache

import (
	"slices"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
)

func TestListAllowedNodeTypeModifications(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t)
	in := redisRequest("c")
	in.CacheNodeType = core.Ptr("cache.m6g.large")
	f.createCluster(in)
	f.createGroup(groupRequest("rg", 2))
	const either = "Either CacheClusterId or ReplicationGroupId must be provided, and not both."
	for _, tc := range []struct {
		name           string
		cluster, group *string
		up, down       string
		code, text     string
	}{
		{name: "a cluster", cluster: core.Ptr("C"), up: "cache.m7g.large", down: "cache.t3.micro"},
		{name: "a group", group: core.Ptr("RG"), up: "cache.t3.small"},
		{name: "neither", code: "InvalidParameterCombination", text: either},
		{name: "both", cluster: core.Ptr("c"), group: core.Ptr("rg"), code: "InvalidParameterCombination", text: either},
		{name: "unknown cluster", cluster: core.Ptr("none"), code: "CacheClusterNotFound", text: "CacheCluster not found: none"},
		{name: "unknown group", group: core.Ptr("none"), code: "ReplicationGroupNotFoundFault", text: "ReplicationGroup none not found."},
		{name: "bad id", cluster: core.Ptr("a--b"), code: "InvalidParameterValue", text: invalidIdentifier("CacheClusterIdentifier")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			out, err := f.ListAllowedNodeTypeModifications(f.ctx, &wire.ListAllowedNodeTypeModificationsMessage{CacheClusterId: tc.cluster, ReplicationGroupId: tc.group})
			if tc.code != "" {
				wantError(t, err, tc.code, tc.text)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(out.ScaleUpModifications, tc.up) || tc.down != "" && !slices.Contains(out.ScaleDownModifications, tc.down) ||
				tc.down == "" && (out.ScaleDownModifications == nil || len(out.ScaleDownModifications) != 0) {
				t.Errorf("up %q, down %q", out.ScaleUpModifications, out.ScaleDownModifications)
			}
		})
	}
}

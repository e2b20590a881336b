package e2e

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"

	"github.com/larder-cache/larder/test/harness"
)

// TestReplicaCount grows a group and shrinks it again: new members have the data
// and the token, and nothing is left of those that went.
func TestReplicaCount(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := harness.In(t, harness.Options{})
	g := group(t, d, "g", 1, secured)
	secure := trust(t, d)
	primary := client(t, primaryAddr(g), token, secure)
	must(t, primary.Set(ctx, "k", "v", 0).Err())

	grown, err := d.ElastiCache().IncreaseReplicaCount(ctx, &elasticache.IncreaseReplicaCountInput{
		ReplicationGroupId: aws.String("g"), NewReplicaCount: aws.Int32(3), ApplyImmediately: aws.Bool(true),
	})
	must(t, err)
	want := []string{"g-001", "g-002", "g-003", "g-004"}
	if got := grown.ReplicationGroup; !slices.Equal(got.MemberClusters, want) || aws.ToString(got.Status) != "modifying" {
		t.Errorf("the answer has %v, %s", got.MemberClusters, aws.ToString(got.Status))
	}
	g = available(t, d, "g")
	for _, id := range want[1:] {
		c := client(t, memberAddr(g, id), token, secure)
		if v, err := c.Get(ctx, "k").Result(); v != "v" || err != nil {
			t.Errorf("%s has %q, %v", id, v, err)
		}
		must(t, refused(ping(ctx, memberAddr(g, id), "", secure), "NOAUTH"))
		must(t, event(ctx, d, id, "Cache cluster created"))
	}

	shrunk, err := d.ElastiCache().DecreaseReplicaCount(ctx, &elasticache.DecreaseReplicaCountInput{
		ReplicationGroupId: aws.String("g"), ReplicasToRemove: []string{"g-002", "g-004"}, ApplyImmediately: aws.Bool(true),
	})
	must(t, err)
	want = []string{"g-001", "g-003"}
	if got := shrunk.ReplicationGroup.MemberClusters; !slices.Equal(got, want) {
		t.Errorf("the answer has %v", got)
	}
	g = available(t, d, "g")
	if !slices.Equal(g.MemberClusters, want) || len(g.NodeGroups[0].NodeGroupMembers) != 2 {
		t.Errorf("left are %v", g.MemberClusters)
	}
	awaitEvent(t, d, "g-004", "Cache cluster deleted")
	if v, err := primary.Get(ctx, "k").Result(); v != "v" || err != nil {
		t.Errorf("on the connection from before: %q, %v", v, err)
	}
	harness.Eventually(t, "the primary lists its replica alone", func(ctx context.Context) error {
		info, err := primary.Info(ctx, "replication").Result()
		if err == nil && !strings.Contains(info, "connected_slaves:1\r") {
			err = errors.New(info)
		}
		return err
	})
	tidy(t, d)
}

package elasticache

import (
	"fmt"
	"strings"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

const arnPrefix = "arn:aws:elasticache:us-east-1:000000000000:"

// wireTags makes tags of "key=value".
func wireTags(pairs ...string) []*wire.Tag {
	var out []*wire.Tag
	for _, pair := range pairs {
		k, v, _ := strings.Cut(pair, "=")
		out = append(out, &wire.Tag{Key: &k, Value: &v})
	}
	return out
}

func printTags(list *wire.TagListMessage) string {
	if list == nil {
		return ""
	}
	var out []string
	for _, t := range list.TagList {
		out = append(out, *t.Key+"="+*t.Value)
	}
	return strings.Join(out, " ")
}

func (f *clusterFixture) tags(arn string) string {
	f.t.Helper()
	out, err := f.ListTagsForResource(f.ctx, &wire.ListTagsForResourceMessage{ResourceName: &arn})
	if err != nil {
		f.t.Fatal(err)
	}
	return printTags(out)
}

// newTaggedFixture has one of everything that can be tagged.
func newTaggedFixture(t *testing.T) *clusterFixture {
	f := newClusterFixture(t)
	cluster := redisRequest("single")
	cluster.Tags = wireTags("made=first")
	f.createCluster(cluster)
	group := groupRequest("rg", 2)
	group.Tags = wireTags("made=first")
	f.createGroup(group)
	f.createParameters("pg", "redis7")
	if _, err := f.createSubnets("sg", "subnet-a"); err != nil {
		t.Fatal(err)
	}
	f.settle()
	return f
}

func TestTagLifecycle(t *testing.T) {
	t.Parallel()
	f := newTaggedFixture(t)
	for _, tc := range []struct{ arn, first string }{
		{"cluster:single", "made=first"}, {"replicationgroup:rg", "made=first"}, {"parametergroup:pg", ""}, {"subnetgroup:sg", ""},
	} {
		t.Run(tc.arn, func(t *testing.T) {
			arn := arnPrefix + tc.arn
			if got := f.tags(arn); got != tc.first {
				t.Errorf("at first: %q", got)
			}
			out, err := f.AddTagsToResource(f.ctx, &wire.AddTagsToResourceMessage{ResourceName: &arn, Tags: wireTags("z=1", "a=2", "made=later")})
			if err != nil || printTags(out) != "a=2 made=later z=1" || f.tags(arn) != "a=2 made=later z=1" {
				t.Errorf("added: %q, %v", printTags(out), err)
			}
			out, err = f.RemoveTagsFromResource(f.ctx, &wire.RemoveTagsFromResourceMessage{ResourceName: &arn, TagKeys: []string{"made", "z"}})
			if err != nil || printTags(out) != "a=2" || f.tags(arn) != "a=2" {
				t.Errorf("removed: %q, %v", printTags(out), err)
			}
			_, err = f.RemoveTagsFromResource(f.ctx, &wire.RemoveTagsFromResourceMessage{ResourceName: &arn, TagKeys: []string{"a", "made"}})
			wantError(t, err, "TagNotFound", "Tag with key made was not found.")
			if e, _ := core.AsError(err); e.HTTPStatus() != 404 || f.tags(arn) != "a=2" {
				t.Errorf("status %d, tags %q", e.HTTPStatus(), f.tags(arn))
			}
			var many []string
			for i := range 50 {
				many = append(many, fmt.Sprintf("k%d", i))
			}
			_, err = f.AddTagsToResource(f.ctx, &wire.AddTagsToResourceMessage{ResourceName: &arn, Tags: wireTags(many...)})
			wantError(t, err, "TagQuotaPerResourceExceeded", "A resource can have at most 50 tags.")
			if f.tags(arn) != "a=2" {
				t.Errorf("after the refusal: %q", f.tags(arn))
			}
		})
	}
}

// TestGroupTagsReachMembers: members follow their group and keep what is theirs.
func TestGroupTagsReachMembers(t *testing.T) {
	t.Parallel()
	f := newTaggedFixture(t)
	group, member := arnPrefix+"replicationgroup:rg", arnPrefix+"cluster:rg-001"
	add := func(arn string, pairs ...string) {
		t.Helper()
		if _, err := f.AddTagsToResource(f.ctx, &wire.AddTagsToResourceMessage{ResourceName: &arn, Tags: wireTags(pairs...)}); err != nil {
			t.Fatal(err)
		}
	}
	add(member, "own=1")
	add(group, "shared=1", "gone=1")
	if got := f.tags(member); got != "gone=1 made=first own=1 shared=1" {
		t.Errorf("after adding: %q", got)
	}
	if _, err := f.RemoveTagsFromResource(f.ctx, &wire.RemoveTagsFromResourceMessage{ResourceName: &group, TagKeys: []string{"gone", "made"}}); err != nil {
		t.Fatal(err)
	}
	if got := f.tags(member); got != "own=1 shared=1" {
		t.Errorf("after removing: %q", got)
	}
	if got := f.tags(arnPrefix + "cluster:rg-002"); got != "shared=1" {
		t.Errorf("of the other member: %q", got)
	}
	if got := f.tags(group); got != "shared=1" {
		t.Errorf("of the group: %q", got)
	}
}

func TestTagRefusals(t *testing.T) {
	t.Parallel()
	f := newTaggedFixture(t)
	f.update(func(tx *store.Tx) error {
		g, _ := resource.ReplicationGroups.Get(tx, key(testRegion, "rg"))
		g.Generation++
		g.Spec.Change = "modifying"
		resource.ReplicationGroups.Put(tx, key(testRegion, "rg"), g)
		return nil
	})
	for _, tc := range []struct {
		arn, code, text string
		listable        bool
	}{
		{"", "InvalidParameterValue", "The parameter ResourceName must be provided.", false},
		{"single", "InvalidARN", "Input ARN string does not have 7 components.", false},
		{"arn:aws-cn:elasticache:us-east-1:000000000000:cluster:single", "InvalidARN", "partition field is wrong. Expected value is aws", false},
		{"arn:aws:ec2:us-east-1:000000000000:cluster:single", "InvalidARN", "service field is wrong. Expected value is elasticache", false},
		{"arn:aws:elasticache:us-east-2:000000000000:cluster:single", "InvalidParameterValue", "Unauthorized call. Please check the region or customer id", false},
		{"arn:aws:elasticache:us-east-1:000000000001:cluster:single", "InvalidParameterValue", "Unauthorized call. Please check the region or customer id", false},
		{arnPrefix + "user:u", "InvalidARN", "ARN " + arnPrefix + "user:u is invalid.", false},
		{arnPrefix + "cluster:none", "CacheClusterNotFound", "CacheCluster not found: none", false},
		{arnPrefix + "replicationgroup:none", "ReplicationGroupNotFoundFault", "ReplicationGroup none not found.", false},
		{arnPrefix + "parametergroup:none", "CacheParameterGroupNotFound", "none is not present", false},
		{arnPrefix + "subnetgroup:none", "CacheSubnetGroupNotFoundFault", "Cache subnet group none not found.", false},
		{arnPrefix + "parametergroup:default.redis7", "InvalidParameterValue", "The default group default.redis7 cannot be tagged.", true},
		{arnPrefix + "subnetgroup:default", "InvalidParameterValue", "The default group default cannot be tagged.", true},
		{arnPrefix + "replicationgroup:rg", "InvalidReplicationGroupState", "Cluster not in available state to perform tagging operations.", true},
	} {
		t.Run(tc.arn, func(t *testing.T) {
			_, err := f.AddTagsToResource(f.ctx, &wire.AddTagsToResourceMessage{ResourceName: &tc.arn, Tags: wireTags("a=1")})
			wantError(t, err, tc.code, tc.text)
			_, err = f.RemoveTagsFromResource(f.ctx, &wire.RemoveTagsFromResourceMessage{ResourceName: &tc.arn, TagKeys: []string{"made"}})
			wantError(t, err, tc.code, tc.text)
			_, err = f.ListTagsForResource(f.ctx, &wire.ListTagsForResourceMessage{ResourceName: &tc.arn})
			if tc.listable && err != nil {
				t.Error(err)
			} else if !tc.listable {
				wantError(t, err, tc.code, tc.text)
			}
		})
	}
	_, err := f.RemoveTagsFromResource(f.ctx, &wire.RemoveTagsFromResourceMessage{ResourceName: core.Ptr(arnPrefix + "cluster:single")})
	wantError(t, err, "InvalidParameterValue", "The parameter TagKeys must be provided.")
}

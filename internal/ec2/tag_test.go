package ec2

import (
	"fmt"
	"strings"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
)

// tags reads "key=value"; without "=" the tag has no value.
func tags(texts ...string) []*wire.Tag {
	var out []*wire.Tag
	for _, text := range texts {
		k, v, ok := strings.Cut(text, "=")
		t := &wire.Tag{Key: &k}
		if ok {
			t.Value = &v
		}
		out = append(out, t)
	}
	return out
}

func shownTags(t *testing.T, s *Service, filters ...*wire.Filter) string {
	t.Helper()
	out, err := s.DescribeTags(in(t, home), &wire.DescribeTagsRequest{Filters: filters})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, tag := range out.Tags {
		all = append(all, *tag.ResourceType+":"+*tag.Key+"="+*tag.Value)
	}
	return strings.Join(all, " ")
}

func TestTags(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, home)
	vpc := createVPC(t, s, "10.0.0.0/16")
	subnet, group := createSubnet(t, s, vpc, "10.0.0.0/24", "us-east-1a"), createGroup(t, s, vpc, "cache")
	rules, err := authorize(t, s, group, tcp(1, 1, "10.0.0.0/8"))
	if err != nil {
		t.Fatal(err)
	}
	all := []string{vpc, subnet, group, *rules[0].SecurityGroupRuleId}
	if err := s.CreateTags(ctx, &wire.CreateTagsRequest{Resources: all, Tags: tags("Name=sample", "team=a")}); err != nil {
		t.Fatal(err)
	}
	for i, kind := range []string{"vpc", "subnet", "security-group", "security-group-rule"} {
		want := kind + ":Name=sample " + kind + ":team=a"
		if got := shownTags(t, s, filterBy("resource-id", all[i])...); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := shownTags(t, s, append(filterBy("tag:team", "a"), filterBy("resource-type", "v*", "sub*")...)...); !strings.Contains(got, "vpc:team=a") || !strings.Contains(got, "subnet:team=a") || strings.Contains(got, "group") {
		t.Errorf("by tag and type: %q", got)
	}
	found, err := s.DescribeVpcs(ctx, &wire.DescribeVpcsRequest{Filters: filterBy("tag:Name", "sam*")})
	if err != nil || len(found.Vpcs) != 1 || *found.Vpcs[0].VpcId != vpc {
		t.Errorf("by tag: %v, %v", found, err)
	}
	for _, step := range []struct{ delete, left string }{
		{"team=b", "vpc:Name=sample vpc:team=a"},
		{"team", "vpc:Name=sample"},
		{"none", "vpc:Name=sample"},
		{"", ""},
	} {
		req := &wire.DeleteTagsRequest{Resources: []string{vpc}}
		if step.delete != "" {
			req.Tags = tags(step.delete)
		}
		if err := s.DeleteTags(ctx, req); err != nil {
			t.Fatal(err)
		}
		if got := shownTags(t, s, filterBy("resource-id", vpc)...); got != step.left {
			t.Errorf("without %q there is %q, want %q", step.delete, got, step.left)
		}
	}
}

func TestTagRefusals(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := in(t, home)
	vpc := createVPC(t, s, "10.0.0.0/16")
	var many []string
	for i := range 51 {
		many = append(many, fmt.Sprintf("k%d=v", i))
	}
	for _, c := range []struct {
		name, id   string
		tags       []string
		code, says string
	}{
		{"reserved", vpc, []string{"aws:x=y"}, "InvalidParameterValue", "reserved for internal use"},
		{"no key", vpc, []string{"=y"}, "MissingParameter", "Tag.Key"},
		{"long key", vpc, []string{strings.Repeat("ü", 129) + "=y"}, "InvalidParameterValue", "128"},
		{"long value", vpc, []string{"k=" + strings.Repeat("ü", 257)}, "InvalidParameterValue", "256"},
		{"too many", vpc, many, "TagLimitExceeded", "maximum number of Tags"},
		{"no such VPC", "vpc-0", []string{"k=v"}, "InvalidVpcID.NotFound", "vpc-0"},
		{"no such subnet", "subnet-0", []string{"k=v"}, "InvalidSubnetID.NotFound", "subnet-0"},
		{"no such group", "sg-0", []string{"k=v"}, "InvalidGroup.NotFound", "sg-0"},
		{"no such rule", "sgr-0", []string{"k=v"}, "InvalidSecurityGroupRuleId.NotFound", "sgr-0"},
		{"no such instance", "i-0", []string{"k=v"}, "InvalidInstanceID.NotFound", "i-0"},
		{"no such interface", "eni-0", []string{"k=v"}, "InvalidNetworkInterfaceID.NotFound", "eni-0"},
		{"what has no tags", "igw-0", []string{"k=v"}, "InvalidID", "The ID 'igw-0' is not valid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The other resource of the request gets nothing either.
			refused(t, s.CreateTags(ctx, &wire.CreateTagsRequest{Resources: []string{vpc, c.id}, Tags: tags(c.tags...)}), c.code, c.says)
			if got := shownTags(t, s); got != "" {
				t.Errorf("left %q", got)
			}
		})
	}
	_, err := s.CreateVpc(ctx, &wire.CreateVpcRequest{CidrBlock: core.Ptr("10.0.0.0/16"), TagSpecifications: []*wire.TagSpecification{{ResourceType: core.Ptr("subnet")}}})
	refused(t, err, "InvalidParameterValue", "'subnet' is not a valid taggable resource type for this operation.")
	_, err = s.DescribeTags(ctx, &wire.DescribeTagsRequest{MaxResults: core.Ptr(1)})
	refused(t, err, "InvalidParameterValue", "maxResults")
}

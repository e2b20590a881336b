package elasticache

import (
	"fmt"
	"strings"
	"testing"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
)

// invalidIdentifier is the general refusal of names.
func invalidIdentifier(parameter string) string {
	return "The parameter " + parameter + " is not a valid identifier. Identifiers must begin with a letter; must contain only " +
		"ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive hyphens."
}

func TestIdentifier(t *testing.T) {
	t.Parallel()
	bad := invalidIdentifier("CacheClusterIdentifier")
	for _, tc := range []struct{ name, in, want, text string }{
		{"plain", "my-cluster-1", "my-cluster-1", ""},
		{"lower-cased", "My-Cluster", "my-cluster", ""},
		{"one letter", "a", "a", ""},
		{"as long as it may be", strings.Repeat("a", 50), strings.Repeat("a", 50), ""},
		{"empty", "", "", "The parameter CacheClusterIdentifier must be provided."},
		{"too long", strings.Repeat("a", 51), "", bad},
		{"digit first", "1a", "", bad},
		{"hyphen first", "-a", "", bad},
		{"hyphen last", "a-", "", bad},
		{"two hyphens", "a--b", "", bad},
		{"dot", "default.redis7", "", bad},
		{"space", "a b", "", bad},
		{"slash", "a/b", "", bad},
		{"newline", "a\n", "", bad},
		{"letter of another alphabet", "ä", "", bad},
		{"lower-cases to a letter", "\u212a", "", bad}, // KELVIN SIGN becomes k
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := clusterID(&tc.in)
			if tc.text != "" {
				wantError(t, err, "InvalidParameterValue", tc.text)
			} else if err != nil || got != tc.want {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	_, err := clusterID(nil)
	wantError(t, err, "InvalidParameterValue", "The parameter CacheClusterIdentifier must be provided.")
	_, err = replicationGroupID(core.Ptr(strings.Repeat("a", 41)))
	wantError(t, err, "InvalidParameterValue", "Replication Group ID cannot be longer than 40 characters.")
}

func TestPage(t *testing.T) {
	t.Parallel()
	var items []string
	for i := range 45 {
		items = append(items, fmt.Sprintf("item-%02d", i))
	}
	name := func(s string) string { return s }
	for _, size := range []int{19, 0, -1, 101} {
		_, _, err := page(items, name, "Op", &size, nil)
		wantError(t, err, "InvalidParameterValue", "The parameter MaxRecords must be between 20 and 100.")
	}
	var got []string
	var marker *string
	for range 3 {
		part, next, err := page(items, name, "Op", core.Ptr(20), marker)
		if err != nil {
			t.Fatal(err)
		}
		got, marker = append(got, part...), next
	}
	if strings.Join(got, " ") != strings.Join(items, " ") || marker != nil {
		t.Errorf("three pages gave %q, then %v", got, marker)
	}
	_, next, _ := page(items, name, "Op", core.Ptr(20), nil)
	_, _, err := page(items, name, "Other", nil, next)
	wantError(t, err, "InvalidParameterValue", "The parameter Marker is not valid.")
	_, _, err = page(items, name, "Op", nil, core.Ptr("nonsense"))
	wantError(t, err, "InvalidParameterValue", "The parameter Marker is not valid.")
}

func TestValidateTags(t *testing.T) {
	t.Parallel()
	tag := func(k, v string) *wire.Tag { return &wire.Tag{Key: &k, Value: &v} }
	many := make([]*wire.Tag, 51)
	for i := range many {
		many[i] = tag(fmt.Sprint(i), "")
	}
	for _, tc := range []struct {
		name, code, text string
		in               []*wire.Tag
	}{
		{"none", "", "", nil},
		{"fine", "", "", []*wire.Tag{tag("a", "b"), tag("A", ""), tag(strings.Repeat("ü", 128), strings.Repeat("ü", 256))}},
		{"no value", "", "", []*wire.Tag{{Key: core.Ptr("a")}}},
		{"fifty", "", "", many[:50]},
		{"fifty-one", "TagQuotaPerResourceExceeded", "A resource can have at most 50 tags.", many},
		{"no key", "InvalidParameterValue", "The key of a tag must have between 1 and 128 characters.", []*wire.Tag{{Value: core.Ptr("a")}}},
		{"long key", "InvalidParameterValue", "The key of a tag must have between 1 and 128 characters.", []*wire.Tag{tag(strings.Repeat("a", 129), "")}},
		{"long value", "InvalidParameterValue", "The value of the tag a must not be longer than 256 characters.", []*wire.Tag{tag("a", strings.Repeat("a", 257))}},
		{"reserved", "InvalidParameterValue", "The tag key AWS:x is not valid: the prefix aws: is reserved.", []*wire.Tag{tag("AWS:x", "")}},
		{"twice", "InvalidParameterValue", "The tag key a is given more than once.", []*wire.Tag{tag("a", ""), tag("a", "")}},
		{"nil", "InvalidParameterValue", "The key of a tag must have between 1 and 128 characters.", []*wire.Tag{nil}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := validateTags(tc.in)
			if tc.code != "" {
				wantError(t, err, tc.code, tc.text)
			} else if err != nil || got == nil || len(got) != len(tc.in) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestPort(t *testing.T) {
	t.Parallel()
	if p, err := port(nil, 6379); p != 6379 || err != nil {
		t.Errorf("none: %d, %v", p, err)
	}
	if p, err := port(core.Ptr(65535), 6379); p != 65535 || err != nil {
		t.Errorf("65535: %d, %v", p, err)
	}
	for _, n := range []int{0, -1, 65536} {
		_, err := port(&n, 6379)
		wantError(t, err, "InvalidParameterValue", "The parameter Port must be between 1 and 65535.")
	}
}

package ec2

import (
	"maps"
	"strings"
	"unicode/utf8"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
)

// EC2's limits of tags.
const (
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
)

// wireTags shows tags, sorted by key.
func wireTags(tags map[string]string) []*wire.Tag {
	var out []*wire.Tag
	for _, k := range sortedKeys(tags) {
		out = append(out, &wire.Tag{Key: core.Ptr(k), Value: core.Ptr(tags[k])})
	}
	return out
}

// tagSpecification reads the tags that a new resource of a type shall have.
func tagSpecification(specifications []*wire.TagSpecification, resourceType string) (map[string]string, error) {
	var given []*wire.Tag
	for _, t := range specifications {
		if core.Val(t.ResourceType) != resourceType {
			return nil, errTagResourceType(core.Val(t.ResourceType))
		}
		given = append(given, t.Tags...)
	}
	return withTags(nil, given)
}

// withTags is tags with more of them; the later value of a key counts.
func withTags(tags map[string]string, more []*wire.Tag) (map[string]string, error) {
	out := maps.Clone(tags)
	for _, t := range more {
		k, v := core.Val(t.Key), core.Val(t.Value)
		switch {
		case k == "":
			return nil, errMissing("Tag.Key")
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			return nil, errTagReserved()
		case utf8.RuneCountInString(k) > maxTagKey:
			return nil, errTagLength("key", maxTagKey)
		case utf8.RuneCountInString(v) > maxTagValue:
			return nil, errTagLength("value", maxTagValue)
		}
		if out == nil {
			out = map[string]string{}
		}
		out[k] = v
	}
	if len(out) > maxTags {
		return nil, errTagLimit()
	}
	return out, nil
}

// withoutTags is tags without some of them: a tag with a value goes only if it
// has that value. Naming none takes all.
func withoutTags(tags map[string]string, less []*wire.Tag) map[string]string {
	if len(less) == 0 {
		return nil
	}
	out := maps.Clone(tags)
	for _, t := range less {
		k := core.Val(t.Key)
		if v, ok := out[k]; ok && (t.Value == nil || *t.Value == v) {
			delete(out, k)
		}
	}
	return out
}

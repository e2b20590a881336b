package elasticache

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
)

// Limits that AWS documents.
const (
	maxClusterID          = 50
	maxReplicationGroupID = 40
	maxGroupName          = 255
	maxDescription        = 255
	maxTags               = 50
	maxTagKey             = 128
	maxTagValue           = 256
	// maxGroups is the quota of parameter groups, and of subnet groups, of a region.
	maxGroups  = 300
	maxSubnets = 20

	minPageSize, maxPageSize = 20, 100
)

var identifierPattern = regexp.MustCompile(`^[a-zA-Z]([a-zA-Z0-9]|-[a-zA-Z0-9])*$`)

// identifier checks a name that the caller must give and returns it as it is
// stored, in lower case. parameter is the name that the refusal carries.
func identifier(parameter string, value *string, maxLen int) (string, error) {
	if value == nil || *value == "" {
		return "", errMissing(parameter)
	}
	if len(*value) > maxLen || !identifierPattern.MatchString(*value) {
		return "", errIdentifier(parameter)
	}
	return strings.ToLower(*value), nil
}

// clusterID checks a CacheClusterId.
func clusterID(value *string) (string, error) {
	return identifier("CacheClusterIdentifier", value, maxClusterID)
}

// replicationGroupID checks a ReplicationGroupId.
func replicationGroupID(value *string) (string, error) {
	if len(core.Val(value)) > maxReplicationGroupID {
		return "", errInvalidValue("Replication Group ID cannot be longer than %d characters.", maxReplicationGroupID)
	}
	return identifier("ReplicationGroupId", value, maxReplicationGroupID)
}

// description checks a free text that may not be left out.
func description(parameter string, value *string) (string, error) {
	if value == nil {
		return "", errMissing(parameter)
	}
	if n := utf8.RuneCountInString(*value); n > maxDescription {
		return "", errInvalidValue("The parameter %s must not be longer than %d characters.", parameter, maxDescription)
	}
	return *value, nil
}

// port checks the port of a cluster; standard is the engine's own, used when
// none is given.
func port(value *int, standard int) (int, error) {
	if value == nil {
		return standard, nil
	}
	if *value < 1 || *value > 65535 {
		return 0, errInvalidValue("The parameter Port must be between 1 and 65535.")
	}
	return *value, nil
}

// page cuts the page that a Describe call asked for out of items sorted by key.
// scope is the name of the operation: its markers work nowhere else. The marker
// is nil on the last page.
func page[T any](items []T, key func(T) string, scope string, maxRecords *int, marker *string) ([]T, *string, error) {
	size := maxPageSize
	if maxRecords != nil {
		size = *maxRecords
		if size < minPageSize || size > maxPageSize {
			return nil, nil, errInvalidValue("The parameter MaxRecords must be between %d and %d.", minPageSize, maxPageSize)
		}
	}
	items, next, err := core.Page(items, key, scope, core.Val(marker), size)
	if err != nil {
		return nil, nil, err
	}
	if next == "" {
		return items, nil, nil
	}
	return items, &next, nil
}

// validateTags checks the tags of a request. The result is never nil.
func validateTags(tags []*wire.Tag) (map[string]string, error) {
	out := make(map[string]string, len(tags))
	for _, t := range tags {
		if t == nil {
			t = &wire.Tag{}
		}
		k, v := core.Val(t.Key), core.Val(t.Value)
		switch {
		case k == "" || utf8.RuneCountInString(k) > maxTagKey:
			return nil, errInvalidValue("The key of a tag must have between 1 and %d characters.", maxTagKey)
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			return nil, errInvalidValue("The tag key %s is not valid: the prefix aws: is reserved.", k)
		case utf8.RuneCountInString(v) > maxTagValue:
			return nil, errInvalidValue("The value of the tag %s must not be longer than %d characters.", k, maxTagValue)
		}
		if _, twice := out[k]; twice {
			return nil, errInvalidValue("The tag key %s is given more than once.", k)
		}
		out[k] = v
	}
	if len(out) > maxTags {
		return nil, errTagQuota()
	}
	return out, nil
}

// tagList renders tags sorted by key; the result is never nil.
func tagList(tags map[string]string) []*wire.Tag {
	out := make([]*wire.Tag, 0, len(tags))
	for k, v := range tags {
		out = append(out, &wire.Tag{Key: core.Ptr(k), Value: core.Ptr(v)})
	}
	slices.SortFunc(out, func(a, b *wire.Tag) int { return cmp.Compare(*a.Key, *b.Key) })
	return out
}

package ec2

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
)

// maxFilterValues is EC2's limit of values in one filter.
const maxFilterValues = 200

// attributes is what filters can ask of one item: the values of each filter
// name. A name without values is known but matches nothing.
type attributes map[string][]string

// aliases are the second spellings that EC2 takes for some filters.
var aliases = map[string]string{
	"isDefault":          "is-default",
	"availabilityZone":   "availability-zone",
	"availabilityZoneId": "availability-zone-id",
	"cidrBlock":          "cidr-block",
	"defaultForAz":       "default-for-az",
}

// tagged adds the filters that ask for tags.
func (a attributes) tagged(tags map[string]string) attributes {
	a["tag-key"] = sortedKeys(tags)
	for k, v := range tags {
		a["tag:"+k] = []string{v}
	}
	return a
}

// knownFilters refuses a filter that no item can have.
func knownFilters(filters []*wire.Filter, known attributes) error {
	for _, f := range filters {
		name := filterName(f)
		if _, ok := known[name]; !ok && name != "" && !strings.HasPrefix(name, "tag:") {
			return errFilterName(name)
		}
	}
	return nil
}

func filterName(f *wire.Filter) string {
	name := core.Val(f.Name)
	if alias, ok := aliases[name]; ok {
		return alias
	}
	return name
}

// filtered keeps the items that match all filters; a filter matches when any of
// its values does.
func filtered[T any](items []T, filters []*wire.Filter, of func(T) attributes) ([]T, error) {
	for _, f := range filters {
		name := filterName(f)
		if name == "" {
			return nil, errFilterUnnamed()
		}
		if n := len(f.Values); n == 0 || n > maxFilterValues {
			return nil, errFilterValues(name)
		}
		kept := []T{}
		for _, item := range items {
			values, known := of(item)[name]
			if !known && !strings.HasPrefix(name, "tag:") {
				return nil, errFilterName(name)
			}
			if matchesAny(f.Values, values) {
				kept = append(kept, item)
			}
		}
		items = kept
	}
	return items, nil
}

func matchesAny(patterns, values []string) bool {
	return slices.ContainsFunc(values, func(v string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, v) })
	})
}

// matches reports whether a pattern with * (any characters) and ? (one) covers a
// value; a backslash takes the meaning from the next character. It backs up to
// the latest star only, so it takes at most len(pattern)*len(value) steps.
func matches(pattern, value string) bool {
	p, v := []rune(pattern), []rune(value)
	i, j, star, mark := 0, 0, -1, 0
	for j < len(v) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && p[i] == '?':
			i, j = i+1, j+1
		case i+1 < len(p) && p[i] == '\\' && p[i+1] == v[j]:
			i, j = i+2, j+1
		case i < len(p) && p[i] == v[j] && p[i] != '\\':
			i, j = i+1, j+1
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

func boolText(b bool) []string { return []string{strconv.FormatBool(b)} }

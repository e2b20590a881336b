package parameter

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/larder-cache/larder/internal/catalog"
)

// Why a value is refused. Validate wraps none of them: compare with errors.Is.
var (
	// ErrUnknown: the family has no such parameter.
	ErrUnknown = errors.New("parameter: unknown parameter")
	// ErrFixed: the parameter cannot be modified.
	ErrFixed = errors.New("parameter: not modifiable")
	// ErrValue: the value is not among the allowed ones.
	ErrValue = errors.New("parameter: value not allowed")
	// ErrUnserved: ElastiCache would accept the value, but it would have no effect here.
	ErrUnserved = errors.New("parameter: value not served")
)

// Validate checks a value that a user wants to give to a parameter. The parameter
// cluster-enabled counts as modifiable: see Parameter.Unattached.
func Validate(family, name, value string) error {
	f, ok := Lookup(family)
	if !ok {
		return fmt.Errorf("parameter: no family %q", family)
	}
	p, ok := f.Find(name)
	switch {
	case !ok:
		return ErrUnknown
	case !p.Modifiable:
		return ErrFixed
	case !p.allows(value):
		return ErrValue
	case p.Unserved && value != p.Default:
		return ErrUnserved
	}
	return nil
}

var rangePattern = regexp.MustCompile(`^(-?[0-9.]+)-([0-9.]*)$`)

// allows reports whether Allowed covers a value.
func (p Parameter) allows(value string) bool {
	switch {
	case p.Allowed == "" && p.characters != "":
		return strings.Trim(value, p.characters) == ""
	case p.Allowed == "":
		return true
	case p.Allowed == "-":
		return p.between(value, "", "")
	}
	for _, item := range strings.Split(p.Allowed, ",") {
		m := rangePattern.FindStringSubmatch(item)
		if m == nil && item == value || m != nil && p.between(value, m[1], m[2]) {
			return true
		}
	}
	return false
}

// between reports whether a value is a number from low to high; an empty limit
// is the engine's own.
func (p Parameter) between(value, low, high string) bool {
	if p.DataType == "float" {
		v, err := strconv.ParseFloat(value, 64)
		l, _ := strconv.ParseFloat(low, 64)
		h, _ := strconv.ParseFloat(high, 64)
		return err == nil && l <= v && v <= h
	}
	v, err := strconv.ParseInt(value, 10, 64)
	if err != nil || strconv.FormatInt(v, 10) != value {
		return false
	}
	l, h := -p.largest, p.largest
	if low != "" {
		l, _ = strconv.ParseInt(low, 10, 64)
	}
	if high != "" {
		h, _ = strconv.ParseInt(high, 10, 64)
	}
	return l <= v && v <= h
}

// Conflict is a set of values that does not fit together, or not to a node
// type. Its text names the parameters and is fit for the user.
type Conflict struct{ text string }

func (c *Conflict) Error() string { return c.text }

// slabPage is the bytes of Memcached's slab pages, which chunks must fill.
const slabPage = 1 << 20

// Check reports a Conflict between the values of a group, or between them and a
// node type; nil if an engine can run with them.
func Check(family string, values map[string]string, node catalog.NodeType) error {
	f, ok := Lookup(family)
	if !ok {
		return fmt.Errorf("parameter: no family %q", family)
	}
	for name := range values {
		if _, ok := f.Find(name); !ok {
			return &Conflict{fmt.Sprintf("The family %s has no parameter %s.", family, name)}
		}
	}
	if f.Engine != catalog.Memcached {
		return nil
	}
	item, chunk := f.number(values, maxItemSize), f.number(values, slabChunkMax)
	memory := int64(node.CacheMemory) - f.number(values, connectionsOverhead)
	switch {
	case memory < 1:
		return &Conflict{fmt.Sprintf("The parameter %s leaves no memory on a node of type %s.", connectionsOverhead, node.Name)}
	case chunk > item:
		return &Conflict{fmt.Sprintf("The parameter %s must not be greater than %s.", slabChunkMax, maxItemSize)}
	case item%chunk != 0:
		return &Conflict{fmt.Sprintf("The parameter %s must be a multiple of %s.", maxItemSize, slabChunkMax)}
	case slabPage%chunk != 0:
		return &Conflict{fmt.Sprintf("The parameter %s must divide %d evenly.", slabChunkMax, slabPage)}
	case item > memory<<20/4:
		return &Conflict{fmt.Sprintf("The parameter %s must not be greater than a quarter of the memory of a node of type %s.", maxItemSize, node.Name)}
	}
	return nil
}

// NodeTypeValue is the value of a PerNodeType parameter for a node type; ok is
// false if the family does not run on it.
func (f Family) NodeTypeValue(name string, t catalog.NodeType) (value string, ok bool) {
	if !t.Runs(f.Engine) {
		return "", false
	}
	if f.Engine == catalog.Memcached {
		if name == maxCacheMemory {
			return strconv.Itoa(t.CacheMemory), true
		}
		return strconv.Itoa(t.VCPUs), true
	}
	if name == "maxmemory" {
		return strconv.FormatInt(t.MaxMemory, 10), true
	}
	return strconv.FormatInt(t.MaxMemory/10, 10), true
}

// Unserved are the names of all parameters of which only the default is served,
// sorted, for documentation.
func Unserved() []string {
	var out []string
	for _, name := range Families() {
		f, _ := Lookup(name)
		for _, p := range f.Parameters {
			if p.Unserved && !slices.Contains(out, p.Name) {
				out = append(out, p.Name)
			}
		}
	}
	slices.Sort(out)
	return out
}

package parameter

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/larder-cache/larder/internal/catalog"
)

// How a changed value takes effect.
const (
	Immediate      = "immediate"
	RequiresReboot = "requires-reboot"
)

// ClusterEnabled is the parameter that tells groups for cluster mode from others.
const ClusterEnabled = "cluster-enabled"

// Parameter is one parameter of a family.
type Parameter struct {
	Name, Description string
	// Default is empty where the engine's is, and for PerNodeType parameters.
	Default string
	// DataType is "string", "integer" or "float".
	DataType string
	// Allowed is a list of words and ranges, "yes,no", "0,20-" or "1-100"; "-" is
	// any integer, and nothing means free text.
	Allowed    string
	Modifiable bool
	// ChangeType is Immediate or RequiresReboot.
	ChangeType string
	// MinimumEngineVersion has three parts.
	MinimumEngineVersion string
	// PerNodeType: the value depends on the node type, see NodeTypeValue.
	PerNodeType bool
	// Unattached: the value can change only while no cluster uses the group.
	Unattached bool
	// Unserved: nothing here gives another value than the default an effect, so
	// that one is refused.
	Unserved bool

	// directive is the engine's name for it; empty if it is not written as it is.
	directive  string
	characters string
	largest    int64
}

// Family is the parameters of a line of engine versions.
type Family struct {
	Name   string
	Engine string
	// Parameters are sorted by name.
	Parameters []Parameter
}

// HasClusterMode reports whether there is a default group with cluster mode on.
func (f Family) HasClusterMode() bool { return f.Engine != catalog.Memcached }

// Find finds a parameter by its name.
func (f Family) Find(name string) (Parameter, bool) {
	i, ok := slices.BinarySearchFunc(f.Parameters, name, func(p Parameter, n string) int { return cmp.Compare(p.Name, n) })
	if !ok {
		return Parameter{}, false
	}
	return f.Parameters[i], true
}

// generation orders the families of an engine line, so that a row of a table
// can say from which to which family it goes.
type generation int

const (
	redis40 generation = iota
	redis50
	redis6x
	redis7 // valkey7 as well
	valkey8

	memcached14
	memcached15
	memcached16
)

// line is a family before its rows are chosen.
type line struct {
	name, engine string
	generation   generation
	// first is the first engine version of the family.
	first string
	table func() []row
}

func lines() []line {
	return []line{
		{"memcached1.4", catalog.Memcached, memcached14, "1.4.5", memcachedTable},
		{"memcached1.5", catalog.Memcached, memcached15, "1.5.10", memcachedTable},
		{"memcached1.6", catalog.Memcached, memcached16, "1.6.6", memcachedTable},
		{"redis4.0", catalog.Redis, redis40, "4.0.10", redisTable},
		{"redis5.0", catalog.Redis, redis50, "5.0.0", redisTable},
		{"redis6.x", catalog.Redis, redis6x, "6.0.0", redisTable},
		{"redis7", catalog.Redis, redis7, "7.0.0", redisTable},
		{"valkey7", catalog.Valkey, redis7, "7.2.0", redisTable},
		{"valkey8", catalog.Valkey, valkey8, "8.0.0", redisTable},
	}
}

// flag is a property of a row that most rows do not have.
type flag int

const (
	fixed      flag = 1 << iota // cannot be modified
	reboot                      // takes effect with a restart
	perType                     // depends on the node type
	unattached                  // changes only while no cluster uses the group
	unserved                    // only the default is served
	noEffect                    // not written to the engine, or in another way
	wide                        // 64 bits where the engine has 32 for others
)

// row is a parameter of the families from to to.
type row struct {
	from, to generation
	name     string
	value    string // default
	allowed  string
	flags    flag
	text     string // description
	// since is the engine version that the parameter came with, where that is
	// within a family.
	since string
	// directive is the engine's name where it is another.
	directive string
	// characters are those a free text may consist of.
	characters string
}

func (r row) parameter(first string) Parameter {
	p := Parameter{
		Name: r.name, Description: r.text, Default: r.value, Allowed: r.allowed, DataType: dataType(r),
		Modifiable: r.flags&fixed == 0, ChangeType: Immediate, MinimumEngineVersion: first,
		PerNodeType: r.flags&perType != 0, Unattached: r.flags&unattached != 0, Unserved: r.flags&unserved != 0,
		directive: cmp.Or(r.directive, r.name), characters: r.characters, largest: math.MaxInt32,
	}
	if r.flags&wide != 0 {
		p.largest = math.MaxInt64
	}
	if r.flags&reboot != 0 {
		p.ChangeType = RequiresReboot
	}
	if r.since != "" && catalog.Compare(r.since, first) > 0 {
		p.MinimumEngineVersion = r.since
	}
	if r.flags&(noEffect|unserved|perType) != 0 {
		p.directive = ""
	}
	return p
}

func dataType(r row) string {
	switch {
	case strings.Contains(r.value, ".") && strings.Contains(r.allowed, "."):
		return "float"
	case r.allowed != "" && strings.ContainsAny(r.allowed[:1], "-0123456789"):
		return "integer"
	}
	return "string"
}

// families are built once: they are looked up for every node at every pass of
// its controller.
var families = sync.OnceValue(func() map[string]Family {
	out := map[string]Family{}
	for _, l := range lines() {
		f := Family{Name: l.name, Engine: l.engine}
		for _, r := range l.table() {
			if r.from <= l.generation && l.generation <= r.to {
				f.Parameters = append(f.Parameters, r.parameter(l.first))
			}
		}
		slices.SortFunc(f.Parameters, func(a, b Parameter) int { return cmp.Compare(a.Name, b.Name) })
		out[l.name] = f
	}
	return out
})

// Families are the names of all families, sorted.
func Families() []string {
	var out []string
	for _, l := range lines() {
		out = append(out, l.name)
	}
	return out
}

// Lookup finds a family. Its slices are shared: read only.
func Lookup(family string) (Family, bool) {
	f, ok := families()[family]
	return f, ok
}

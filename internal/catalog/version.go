package catalog

import (
	"cmp"
	"strconv"
	"strings"
)

// The engines.
const (
	Redis     = "redis"
	Valkey    = "valkey"
	Memcached = "memcached"
)

// Version is an engine version as ElastiCache names it.
type Version struct {
	Engine string
	// Name is what a request carries and a list shows: two parts for Redis 6.0
	// and later and for Valkey ("7.1"), three for the rest ("5.0.6").
	Name string
	// Full has three parts: "7.1.0".
	Full string
	// Family is the family of its parameter groups, e.g. "redis7".
	Family string

	// speaks is the version of the open engine that it equals on the wire. Only
	// its leading parts that are given here are compared with a binary's.
	speaks string
}

// versions are those of ElastiCache that Larder knows, oldest first by engine.
// Redis 7.1 is Redis 7.0 on the wire, and Valkey 8.2 is 8.1.
var versions = []Version{
	{Memcached, "1.4.5", "1.4.5", "memcached1.4", "1.4.5"},
	{Memcached, "1.4.14", "1.4.14", "memcached1.4", "1.4.14"},
	{Memcached, "1.4.24", "1.4.24", "memcached1.4", "1.4.24"},
	{Memcached, "1.4.33", "1.4.33", "memcached1.4", "1.4.33"},
	{Memcached, "1.4.34", "1.4.34", "memcached1.4", "1.4.34"},
	{Memcached, "1.5.10", "1.5.10", "memcached1.5", "1.5.10"},
	{Memcached, "1.5.16", "1.5.16", "memcached1.5", "1.5.16"},
	{Memcached, "1.6.6", "1.6.6", "memcached1.6", "1.6.6"},
	{Memcached, "1.6.12", "1.6.12", "memcached1.6", "1.6.12"},
	{Memcached, "1.6.17", "1.6.17", "memcached1.6", "1.6.17"},
	{Memcached, "1.6.22", "1.6.22", "memcached1.6", "1.6.22"},
	{Redis, "4.0.10", "4.0.10", "redis4.0", "4.0"},
	{Redis, "5.0.6", "5.0.6", "redis5.0", "5.0"},
	{Redis, "6.0", "6.0.5", "redis6.x", "6.0"},
	{Redis, "6.2", "6.2.6", "redis6.x", "6.2"},
	{Redis, "7.0", "7.0.7", "redis7", "7.0"},
	{Redis, "7.1", "7.1.0", "redis7", "7.0"},
	{Valkey, "7.2", "7.2.6", "valkey7", "7.2"},
	{Valkey, "8.0", "8.0.1", "valkey8", "8.0"},
	{Valkey, "8.1", "8.1.0", "valkey8", "8.1"},
	{Valkey, "8.2", "8.2.0", "valkey8", "8.1"},
}

// oldest are the first versions of the engines that Larder can run: access
// control lists and TLS came with Redis 6. Older binaries are left alone.
var oldest = map[string]string{Redis: "6.0", Valkey: "7.2", Memcached: "1.4.5"}

// successor is the engine line that took an engine over.
var successor = map[string]string{Redis: Valkey}

// Compare compares two dotted versions number by number, as far as both go:
// "7.0" equals "7.0.15". Parts that are not numbers count as 0.
func Compare(a, b string) int {
	for more := true; more; {
		var x, y string
		var moreX, moreY bool
		x, a, moreX = strings.Cut(a, ".")
		y, b, moreY = strings.Cut(b, ".")
		if c := cmp.Compare(number(x), number(y)); c != 0 {
			return c
		}
		more = moreX && moreY
	}
	return 0
}

func number(part string) int {
	n, _ := strconv.Atoi(part)
	return n
}

// own is a binary's version as a version of its own, for a catalogue that
// offers exactly what is installed. The family is that of the nearest known
// version that is not newer; ok is false if all are newer.
func own(b Binary) (Version, bool) {
	family := ""
	for _, v := range versions {
		if v.Engine == b.Engine && Compare(v.speaks, b.Version) <= 0 {
			family = v.Family
		}
	}
	name := b.Version
	if named(b.Engine, b.Version) {
		name = majorMinor(b.Version)
	}
	return Version{Engine: b.Engine, Name: name, Full: b.Version, Family: family, speaks: b.Version}, family != ""
}

// named reports whether requests carry a version as major.minor only.
func named(engine, version string) bool {
	return engine == Valkey || engine == Redis && Compare(version, "6.0") >= 0
}

func majorMinor(version string) string {
	if p := strings.SplitN(version, ".", 3); len(p) > 2 {
		return p[0] + "." + p[1]
	}
	return version
}

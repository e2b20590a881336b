package parameter

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/larder-cache/larder/internal/catalog"
)

const (
	outputLimit = "client-output-buffer-limit"

	maxClients          = "maxclients"
	maxMemory           = "maxmemory"
	reservedMemory      = "reserved-memory-percent"
	maxCacheMemory      = "max_cache_memory"
	connectionsOverhead = "memcached_connections_overhead"
	maxItemSize         = "max_item_size"
	slabChunkMax        = "slab_chunk_max"
	noModern            = "no_modern"
)

// Directives are settings in the engine's own words.
//
// For Redis and Valkey the names and values are those of the configuration
// file. client-output-buffer-limit is one directive for the classes normal and
// pubsub: "normal HARD SOFT SECONDS pubsub HARD SOFT SECONDS".
//
// For Memcached the names are its long options ("memory-limit" in MB) and, with
// underscores, the sub-options of -o; what is turned on or off is "yes" or "no".
// slab_chunk_max is in bytes. no_modern sets others back, so that it goes first.
type Directives struct {
	// Live can be changed while the engine runs.
	Live map[string]string
	// Start are read when the engine starts.
	Start map[string]string
}

// MemoryLimit is how many bytes settings let an engine use; ok is false where they
// do not limit it while it runs.
func MemoryLimit(live map[string]string) (bytes int64, ok bool) {
	bytes, err := strconv.ParseInt(live[maxMemory], 10, 64)
	return bytes, err == nil
}

// Render gives the directives of a node: defaults of the family, overridden by
// the values that the user set, fitted to the node type, less what version
// (of the program that really runs, e.g. "7.0.15") does not know.
func Render(family, version string, values map[string]string, node catalog.NodeType) (Directives, error) {
	f, ok := Lookup(family)
	if !ok {
		return Directives{}, fmt.Errorf("parameter: no family %q", family)
	}
	if err := Check(family, values, node); err != nil {
		return Directives{}, err
	}
	d := Directives{Live: map[string]string{}, Start: map[string]string{}}
	for _, p := range f.Parameters {
		if p.directive == "" || p.directive == outputLimit || catalog.Compare(version, p.MinimumEngineVersion) < 0 {
			continue
		}
		target := d.Live
		if p.ChangeType == RequiresReboot {
			target = d.Start
		}
		v, set := values[p.Name]
		if !set {
			v = p.Default
		}
		if p.Allowed == "-" && strings.HasPrefix(v, "-") {
			v = "-1" // thresholds: any negative number turns them off, engines take only this one
		}
		target[p.directive] = v
	}
	if f.Engine == catalog.Memcached {
		f.memcached(d.Start, values, node)
	} else {
		f.redis(d, values, node)
	}
	return d, nil
}

// Value is what a parameter is set to: the user's value, or the default.
func (f Family) Value(values map[string]string, name string) string {
	if v, ok := values[name]; ok {
		return v
	}
	p, _ := f.Find(name)
	return p.Default
}

func (f Family) number(values map[string]string, name string) int64 {
	n, _ := strconv.ParseInt(f.Value(values, name), 10, 64)
	return n
}

// redis adds what is made of several parameters or of the node type.
func (f Family) redis(d Directives, values map[string]string, node catalog.NodeType) {
	// What follows from the node type is live, so that the type can change while
	// the engine runs.
	delete(d.Start, maxClients)
	d.Live[maxClients] = strconv.Itoa(node.MaxClients)
	// 0 would mean no limit at all, so that a reserve of 100 % leaves one byte.
	limit := node.MaxMemory * (100 - f.number(values, reservedMemory)) / 100
	d.Live[maxMemory] = strconv.FormatInt(max(limit, 1), 10)
	var parts []string
	for _, class := range []string{"normal", "pubsub"} {
		parts = append(parts, class)
		for _, limit := range []string{"hard-limit", "soft-limit", "soft-seconds"} {
			parts = append(parts, f.Value(values, outputLimit+"-"+class+"-"+limit))
		}
	}
	d.Live[outputLimit] = strings.Join(parts, " ")
}

// memcached adds what depends on the node type or on no_modern, and words
// switches as yes and no.
func (f Family) memcached(start, values map[string]string, node catalog.NodeType) {
	start["threads"] = strconv.Itoa(node.VCPUs)
	start["memory-limit"] = strconv.FormatInt(int64(node.CacheMemory)-f.number(values, connectionsOverhead), 10)
	for _, name := range []string{"disable-cas", "disable-flush-all", "disable-evictions"} {
		start[name] = yesNo(start[name] == "1")
	}
	start["track_sizes"] = yesNo(f.Value(values, "track_sizes") == "enabled")

	// Without no_modern, what was not turned on explicitly is on by default.
	modern := f.Value(values, noModern) == "0"
	start[noModern] = yesNo(!modern)
	for _, name := range []string{"lru_crawler", "lru_maintainer", "slab_reassign", "maxconns_fast"} {
		start[name] = yesNo(modern || f.Value(values, name) == "1")
	}
	start["slab_automove"] = f.Value(values, "slab_automove")
	if modern && start["slab_automove"] == "0" {
		start["slab_automove"] = "1"
	}
	start["hash_algorithm"] = f.Value(values, "hash_algorithm")
	if _, chosen := values["hash_algorithm"]; modern && !chosen {
		start["hash_algorithm"] = "murmur3"
	}
}

func yesNo(on bool) string {
	if on {
		return "yes"
	}
	return "no"
}

package memcached

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// kind is how an option is written on the command line.
type kind int

const (
	valued         kind = iota // --name=value
	flag                       // --name, if the value is true
	extended                   // -o name=value
	extendedFlag               // -o name, if the value is true
	extendedSwitch             // -o name or -o no_name
)

// options are all that is understood, by the program's own long names.
// Everything here is known to every memcached from 1.5.10 on.
var options = map[string]kind{
	"threads":            valued,
	"memory-limit":       valued,
	"max-item-size":      valued,
	"conn-limit":         valued,
	"listen-backlog":     valued,
	"protocol":           valued,
	"slab-min-size":      valued,
	"slab-growth-factor": valued,
	"max-reqs-per-event": valued,
	"disable-cas":        flag,
	"disable-flush-all":  flag,
	"disable-evictions":  flag,
	"enable-largepages":  flag,
	"lock-memory":        flag,

	"hash_algorithm":      extended,
	"hashpower":           extended,
	"idle_timeout":        extended,
	"slab_automove":       extended,
	"slab_chunk_max":      extended, // in bytes, though its help says KiB
	"watcher_logbuf_size": extended,
	"worker_logbuf_size":  extended,
	"no_modern":           extendedFlag,
	"slab_reassign":       extendedFlag,
	"track_sizes":         extendedFlag,
	"lru_crawler":         extendedSwitch,
	"lru_maintainer":      extendedSwitch,
	"maxconns_fast":       extendedSwitch,
}

// otherFiles are descriptors beside the clients' connections: threads' event
// queues, pipes and what is inherited.
const otherFiles = 256

// render turns settings into arguments. unknown are those that this program
// has no option for.
func render(settings map[string]string, descriptors int) (args, unknown []string, err error) {
	var ext []string
	settings = maps.Clone(settings)
	if settings == nil {
		settings = make(map[string]string)
	}
	if settings["conn-limit"], err = connLimit(settings["conn-limit"], descriptors); err != nil {
		return nil, nil, err
	}
	// `no_modern` resets what other extended options set, so it goes first.
	for _, name := range slices.SortedFunc(maps.Keys(settings), noModernFirst) {
		value := settings[name]
		k, known := options[name]
		if !known {
			unknown = append(unknown, name)
			continue
		}
		// A comma would end an extended option and begin another one.
		if strings.ContainsAny(value, ", \x00") {
			return nil, nil, fmt.Errorf("memcached: %s=%q is no value", name, value)
		}
		switch k {
		case valued:
			args = append(args, "--"+name+"="+value)
		case extended:
			ext = append(ext, name+"="+value)
		case flag, extendedFlag, extendedSwitch:
			on, err := truth(name, value)
			if err != nil {
				return nil, nil, err
			}
			switch {
			case on && k == flag:
				args = append(args, "--"+name)
			case on:
				ext = append(ext, name)
			case k == extendedSwitch:
				ext = append(ext, "no_"+name)
			}
		}
	}
	if len(ext) > 0 {
		args = append(args, "-o", strings.Join(ext, ","))
	}
	return args, unknown, nil
}

func noModernFirst(a, b string) int {
	if (a == "no_modern") != (b == "no_modern") {
		if a == "no_modern" {
			return -1
		}
		return 1
	}
	return strings.Compare(a, b)
}

func truth(name, value string) (bool, error) {
	switch value {
	case "1", "yes", "true", "enabled":
		return true, nil
	case "", "0", "no", "false", "disabled":
		return false, nil
	}
	return false, fmt.Errorf("memcached: %s=%q is neither yes nor no", name, value)
}

// connLimit is what is possible with so many descriptors: memcached refuses to
// start with a limit that it cannot have.
func connLimit(setting string, descriptors int) (string, error) {
	want := 65000
	if setting != "" {
		v, err := strconv.Atoi(setting)
		if err != nil || v < 1 {
			return "", fmt.Errorf("memcached: conn-limit %q is not a number above 0", setting)
		}
		want = v
	}
	most := descriptors - otherFiles
	if most < 1 {
		return "", fmt.Errorf("memcached: a limit of %d open files leaves none for clients", descriptors)
	}
	return strconv.Itoa(min(want, most)), nil
}

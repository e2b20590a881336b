package elasticache

import (
	"fmt"

	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
)

// newWindows gives the windows of a new cluster: those asked for, which must not
// overlap, and a default in place of one that was not asked for. A default that
// would meet the other window begins when that one ends.
func newWindows(region, uid string, maintenance, snapshot *string) (string, string, error) {
	m, s, err := givenWindows(maintenance, snapshot)
	if err != nil {
		return "", "", err
	}
	if m != "" && s != "" {
		return m, s, checkWindows(m, s)
	}
	defaultM, defaultS := defaultWindows(region, uid)
	if m == "" {
		m = defaultM
		if checkWindows(m, s) != nil {
			start, _ := parseMaintenance(defaultM)
			taken, _ := parseSnapshot(s)
			from := start.start/day*day + taken.start + taken.length
			m = weekTime(from) + "-" + weekTime(from+hour)
		}
	}
	if s == "" {
		s = defaultS
		if checkWindows(m, s) != nil {
			taken, _ := parseMaintenance(m)
			from := taken.start + taken.length
			s = dayTime(from) + "-" + dayTime(from+hour)
		}
	}
	return m, s, nil
}

// givenWindows checks the form of the windows that were sent; one that was not
// is empty.
func givenWindows(maintenance, snapshot *string) (m, s string, err error) {
	if core.Val(maintenance) != "" {
		if m, err = maintenanceWindow(*maintenance); err != nil {
			return "", "", err
		}
	}
	if core.Val(snapshot) != "" {
		if s, err = snapshotWindow(*snapshot); err != nil {
			return "", "", err
		}
	}
	return m, s, nil
}

// changeWindows applies the windows of a modification to one cluster and
// reports whether anything changed.
func changeWindows(spec *resource.CacheClusterSpec, maintenance, snapshot *string) (bool, error) {
	m, s, err := givenWindows(maintenance, snapshot)
	if err != nil {
		return false, err
	}
	if s != "" && spec.Engine == catalog.Memcached {
		return false, errInvalidCombination("The parameter SnapshotWindow is not supported for engine memcached.")
	}
	before := *spec
	if m != "" {
		spec.MaintenanceWindow = m
	}
	if s != "" {
		spec.SnapshotWindow = s
	}
	changed := before.MaintenanceWindow != spec.MaintenanceWindow || before.SnapshotWindow != spec.SnapshotWindow
	if !changed {
		return false, nil
	}
	return true, checkWindows(spec.MaintenanceWindow, spec.SnapshotWindow)
}

// dayTime is "hh:mm" of a time in minutes.
func dayTime(t int) string { return fmt.Sprintf("%02d:%02d", t/hour%24, t%hour) }

// weekTime is "ddd:hh:mm" of a time in minutes since the start of a week.
func weekTime(t int) string { return weekdays[t/day%7] + ":" + dayTime(t) }

package elasticache

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/resource"
)

// Times of a week and of a day, in minutes.
const (
	hour = 60
	day  = 24 * hour
	week = 7 * day
)

var (
	weekdays        = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	snapshotPattern = regexp.MustCompile(`^(\d\d):(\d\d)-(\d\d):(\d\d)$`)
)

// span is a window: start in minutes from the start of the week (or day), and
// its length.
type span struct{ start, length int }

// maintenanceWindow checks a PreferredMaintenanceWindow, "ddd:hh:mm-ddd:hh:mm"
// in UTC, and returns it as it is stored, in lower case.
func maintenanceWindow(value string) (string, error) {
	value = strings.ToLower(value)
	s, ok := parseMaintenance(value)
	switch {
	case !ok:
		return "", errInvalidValue("The parameter PreferredMaintenanceWindow must have the form ddd:hh24:mi-ddd:hh24:mi.")
	case s.length < hour:
		return "", errInvalidValue("The parameter PreferredMaintenanceWindow must be at least 60 minutes.")
	case s.length > day:
		return "", errInvalidValue("The parameter PreferredMaintenanceWindow must be at most 24 hours.")
	}
	return value, nil
}

// snapshotWindow checks a SnapshotWindow, "hh:mm-hh:mm" in UTC.
func snapshotWindow(value string) (string, error) {
	s, ok := parseSnapshot(value)
	if !ok {
		return "", errInvalidValue("The parameter SnapshotWindow must have the form hh24:mi-hh24:mi.")
	}
	if s.length < hour {
		return "", errInvalidValue("Snapshot window must be at least 60 minutes.")
	}
	return value, nil
}

// checkWindows refuses a snapshot window that meets the maintenance window on
// any day of the week. Both must be valid; an empty one meets nothing.
func checkWindows(maintenance, snapshot string) error {
	m, okM := parseMaintenance(maintenance)
	s, okS := parseSnapshot(snapshot)
	if okM && okS && overlap(m, s) {
		return errInvalidCombination("The snapshot window and maintenance window must not overlap.")
	}
	return nil
}

func overlap(maintenance, snapshot span) bool {
	// From a day before to a day after the week, so that what crosses the end of
	// the week is seen on either side.
	for d := -1; d <= 8; d++ {
		start := d*day + snapshot.start
		for _, m := range []int{maintenance.start, maintenance.start - week, maintenance.start + week} {
			if start < m+maintenance.length && m < start+snapshot.length {
				return true
			}
		}
	}
	return false
}

func parseMaintenance(s string) (span, bool) {
	w, ok := resource.ParseWindow(s)
	return span{int(w.Start / time.Minute), int(w.Length / time.Minute)}, ok
}

func parseSnapshot(s string) (span, bool) {
	m := snapshotPattern.FindStringSubmatch(s)
	if m == nil {
		return span{}, false
	}
	a, okA := minutes(m[1], m[2])
	b, okB := minutes(m[3], m[4])
	return span{a, (b - a + day) % day}, okA && okB
}

func minutes(hh, mm string) (int, bool) {
	h, _ := strconv.Atoi(hh)
	m, _ := strconv.Atoi(mm)
	return h*hour + m, h < 24 && m < 60
}

// nightStart is the minute of the day when the 8-hour block begins that a
// region's default windows lie in. Regions that are not listed begin at 03:00.
var nightStart = map[string]int{
	"us-east-1": 3 * hour, "us-east-2": 4 * hour, "us-west-1": 6 * hour, "us-west-2": 6 * hour, "us-gov-west-1": 6 * hour,
	"sa-east-1": 1 * hour, "eu-west-1": 22 * hour, "eu-west-2": 23 * hour, "eu-central-1": 23 * hour,
	"eu-west-3": 23*hour + 59, "eu-south-1": 21 * hour,
	"ap-northeast-1": 13 * hour, "ap-east-1": 13 * hour, "af-south-1": 13 * hour, "me-south-1": 13 * hour, "me-central-1": 13 * hour,
	"ap-northeast-2": 12 * hour, "ap-northeast-3": 12 * hour, "ap-southeast-2": 12 * hour,
	"ap-southeast-1": 14 * hour, "ap-southeast-3": 14 * hour, "cn-north-1": 14 * hour, "cn-northwest-1": 14 * hour,
	"ap-south-1": 17*hour + 30,
}

// defaultWindows picks the maintenance and the snapshot window of a cluster for
// which none was asked: an hour each in the first and the second half of the
// region's night, spread over clusters by their uid, never overlapping.
func defaultWindows(region, uid string) (maintenance, snapshot string) {
	night, ok := nightStart[region]
	if !ok {
		night = 3 * hour
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(uid))
	draw := int(h.Sum32() >> 1)
	const slots = 6 // half hours an hour-long window can begin at within 4 hours, less the last
	m := (draw%7)*day + night + (draw/7)%slots*30
	s := night + 4*hour + (draw/(7*slots))%slots*30
	clock := func(t int) string { return fmt.Sprintf("%02d:%02d", t/hour%24, t%hour) }
	weekday := func(t int) string { return weekdays[t/day%7] + ":" + clock(t) }
	return weekday(m) + "-" + weekday(m+hour), clock(s) + "-" + clock(s+hour)
}

package resource

import (
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Window is a span of time that comes back every week: Start after Sunday 00:00
// UTC, and how long it lasts, which is less than a week.
type Window struct{ Start, Length time.Duration }

const (
	oneDay  = 24 * time.Hour
	oneWeek = 7 * oneDay
)

var (
	windowDays    = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	windowPattern = regexp.MustCompile(`^([a-z]{3}):(\d\d):(\d\d)-([a-z]{3}):(\d\d):(\d\d)$`)
)

// ParseWindow reads a maintenance window, "ddd:hh:mm-ddd:hh:mm" in lower case.
func ParseWindow(s string) (Window, bool) {
	m := windowPattern.FindStringSubmatch(s)
	if m == nil {
		return Window{}, false
	}
	start, okS := timeOfWeek(m[1], m[2], m[3])
	end, okE := timeOfWeek(m[4], m[5], m[6])
	return Window{start, (end - start + oneWeek) % oneWeek}, okS && okE
}

func timeOfWeek(weekday, hour, minute string) (time.Duration, bool) {
	d := slices.Index(windowDays, weekday)
	h, _ := strconv.Atoi(hour)
	m, _ := strconv.Atoi(minute)
	return time.Duration(d)*oneDay + time.Duration(h)*time.Hour + time.Duration(m)*time.Minute, d >= 0 && h < 24 && m < 60
}

// Until is how long it is from now to the next begin of the window; 0 while it
// is open.
func (w Window) Until(now time.Time) time.Duration {
	now = now.UTC()
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	at := time.Duration(now.Weekday())*oneDay + now.Sub(midnight)
	if since := (at - w.Start + oneWeek) % oneWeek; since >= w.Length {
		return oneWeek - since
	}
	return 0
}

package resource_test

import (
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/resource"
)

func TestWindowUntil(t *testing.T) {
	t.Parallel()
	sunday := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	at := func(days, hours, minutes int) time.Time {
		return sunday.Add(time.Duration(days*24+hours)*time.Hour + time.Duration(minutes)*time.Minute)
	}
	for _, tt := range []struct {
		name, window string
		now          time.Time
		want         time.Duration
	}{
		{"before", "mon:05:00-mon:06:00", at(1, 4, 0), time.Hour},
		{"first moment", "mon:05:00-mon:06:00", at(1, 5, 0), 0},
		{"last moment", "mon:05:00-mon:06:00", at(1, 6, 0).Add(-time.Nanosecond), 0},
		{"over", "mon:05:00-mon:06:00", at(1, 6, 0), 7*24*time.Hour - time.Hour},
		{"over the end of the week, before it", "sat:23:30-sun:00:30", at(6, 23, 45), 0},
		{"over the end of the week, after it", "sat:23:30-sun:00:30", at(0, 0, 15), 0},
		{"over the end of the week, closed", "sat:23:30-sun:00:30", at(0, 0, 30), 7*24*time.Hour - time.Hour},
		{"another zone", "sun:05:00-sun:06:00", time.Date(2026, 3, 1, 7, 30, 0, 0, time.FixedZone("", 2*3600)), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, ok := resource.ParseWindow(tt.window)
			if got := w.Until(tt.now); !ok || got != tt.want {
				t.Errorf("%v until the window, %v; want %v", got, ok, tt.want)
			}
		})
	}
}

func TestParseWindow(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "mon:05:00", "Mon:05:00-mon:06:00", "xxx:05:00-mon:06:00", "mon:24:00-tue:01:00", "mon:05:60-mon:07:00", "mon:5:00-mon:06:00"} {
		if w, ok := resource.ParseWindow(bad); ok {
			t.Errorf("%q is read as %v", bad, w)
		}
	}
}

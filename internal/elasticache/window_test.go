package elasticache

import (
	"fmt"
	"testing"
)

func TestMaintenanceWindow(t *testing.T) {
	t.Parallel()
	const form = "The parameter PreferredMaintenanceWindow must have the form ddd:hh24:mi-ddd:hh24:mi."
	for _, tc := range []struct{ in, want, text string }{
		{"sun:23:00-mon:01:30", "sun:23:00-mon:01:30", ""},
		{"SUN:05:00-Sun:06:00", "sun:05:00-sun:06:00", ""},
		{"sat:23:30-sun:00:30", "sat:23:30-sun:00:30", ""},
		{"mon:00:00-tue:00:00", "mon:00:00-tue:00:00", ""},
		{"sun:05:00-sun:05:59", "", "The parameter PreferredMaintenanceWindow must be at least 60 minutes."},
		{"sun:05:00-sun:05:00", "", "The parameter PreferredMaintenanceWindow must be at least 60 minutes."},
		{"mon:00:00-tue:00:01", "", "The parameter PreferredMaintenanceWindow must be at most 24 hours."},
		{"sun:05:00-sun:04:00", "", "The parameter PreferredMaintenanceWindow must be at most 24 hours."},
		{"sun:24:00-mon:01:00", "", form},
		{"sun:05:60-sun:07:00", "", form},
		{"day:05:00-sun:07:00", "", form},
		{"05:00-07:00", "", form},
		{"sun:5:00-sun:7:00", "", form},
		{"", "", form},
	} {
		t.Run(tc.in, func(t *testing.T) {
			t.Parallel()
			got, err := maintenanceWindow(tc.in)
			if tc.text != "" {
				wantError(t, err, "InvalidParameterValue", tc.text)
			} else if err != nil || got != tc.want {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestSnapshotWindow(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ in, text string }{
		{"05:00-06:00", ""},
		{"23:30-00:30", ""},
		{"05:00-05:30", "Snapshot window must be at least 60 minutes."},
		{"05:00-05:00", "Snapshot window must be at least 60 minutes."},
		{"5-6", "The parameter SnapshotWindow must have the form hh24:mi-hh24:mi."},
		{"25:00-26:00", "The parameter SnapshotWindow must have the form hh24:mi-hh24:mi."},
	} {
		t.Run(tc.in, func(t *testing.T) {
			t.Parallel()
			got, err := snapshotWindow(tc.in)
			if tc.text != "" {
				wantError(t, err, "InvalidParameterValue", tc.text)
			} else if err != nil || got != tc.in {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestWindowsOverlap(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		maintenance, snapshot string
		overlap               bool
	}{
		{"sun:05:00-sun:06:00", "05:30-06:30", true},
		{"sun:05:00-sun:06:00", "04:00-08:00", true},
		{"sun:05:00-sun:06:00", "06:00-07:00", false},
		{"sun:05:00-sun:06:00", "04:00-05:00", false},
		{"sat:23:30-sun:00:30", "00:00-01:00", true},
		{"sat:23:30-sun:00:30", "23:00-00:00", true},
		{"sun:00:00-sun:01:00", "23:30-00:30", true},
		{"mon:12:00-tue:12:00", "03:00-04:00", true},
		{"sun:05:00-sun:06:00", "", false},
		{"", "05:00-06:00", false},
	} {
		t.Run(tc.maintenance+" "+tc.snapshot, func(t *testing.T) {
			t.Parallel()
			err := checkWindows(tc.maintenance, tc.snapshot)
			if tc.overlap {
				wantError(t, err, "InvalidParameterCombination", "The snapshot window and maintenance window must not overlap.")
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDefaultWindows draws many windows: each is valid, both never overlap, and
// they lie in the region's night.
func TestDefaultWindows(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, region := range []string{"us-east-1", "eu-west-1", "eu-west-3", "ap-south-1", "xx-nowhere-1"} {
		for i := range 500 {
			m, s := defaultWindows(region, fmt.Sprintf("uid-%d", i))
			if _, err := maintenanceWindow(m); err != nil {
				t.Fatalf("%s: %q: %v", region, m, err)
			}
			if _, err := snapshotWindow(s); err != nil {
				t.Fatalf("%s: %q: %v", region, s, err)
			}
			if err := checkWindows(m, s); err != nil {
				t.Fatalf("%s: %s and %s: %v", region, m, s, err)
			}
			if region == "us-east-1" {
				seen[m] = true
				if p, _ := parseMaintenance(m); p.start%day < 3*hour || p.start%day > 10*hour {
					t.Fatalf("%s is outside of the night", m)
				}
			}
		}
	}
	if len(seen) < 30 {
		t.Errorf("only %d different windows of 500", len(seen))
	}
	if a, b := defaultWindows("us-east-1", "same"); true {
		if c, d := defaultWindows("us-east-1", "same"); a != c || b != d {
			t.Error("the windows of one uid differ")
		}
	}
}

package robustness

import (
	"testing"
	"time"
)

// TestRivals holds the judgement itself against drawn-up stories.
func TestRivals(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	at := func(member, reign string, from, to int) sighting {
		return sighting{member, reign, begin.Add(time.Duration(from) * time.Millisecond), begin.Add(time.Duration(to) * time.Millisecond)}
	}
	for name, tc := range map[string]struct {
		seen []sighting
		want int
	}{
		"one after the other":         {[]sighting{at("a", "1", 0, 1), at("a", "1", 4, 5), at("b", "2", 6, 7), at("b", "2", 8, 9)}, 0},
		"there and back":              {[]sighting{at("a", "1", 0, 1), at("b", "2", 2, 3), at("a", "3", 4, 5)}, 0},
		"in between":                  {[]sighting{at("a", "1", 0, 1), at("b", "2", 2, 3), at("a", "1", 4, 5)}, 1},
		"interleaved":                 {[]sighting{at("a", "1", 0, 1), at("b", "2", 2, 3), at("a", "1", 4, 5), at("b", "2", 6, 7)}, 2},
		"answered late, taken before": {[]sighting{at("a", "1", 0, 1), at("b", "2", 0, 9), at("a", "1", 4, 5)}, 0},
	} {
		w := witness{seen: tc.seen}
		if got := w.rivals(); len(got) != tc.want {
			t.Errorf("%s: %q, want %d", name, got, tc.want)
		}
	}
}

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
		return sighting{"", member, reign, begin.Add(time.Duration(from) * time.Millisecond), begin.Add(time.Duration(to) * time.Millisecond)}
	}
	tagged := func(tag string, s sighting) sighting {
		s.tag = tag
		return s
	}
	for name, tc := range map[string]struct {
		seen []sighting
		want int
	}{
		"one after the other":         {[]sighting{at("a", "1", 0, 1), at("a", "1", 4, 5), at("b", "2", 6, 7), at("b", "2", 8, 9)}, 0},
		"there and back":              {[]sighting{at("a", "1", 0, 1), at("b", "2", 2, 3), at("a", "3", 4, 5)}, 0},
		"in between":                  {[]sighting{at("a", "1", 0, 1), at("b", "2", 2, 3), at("a", "1", 4, 5)}, 1},
		"interleaved":                 {[]sighting{at("a", "1", 0, 1), at("b", "2", 2, 3), at("a", "1", 4, 5), at("b", "2", 6, 7)}, 2},
		"keys of two shards":          {[]sighting{tagged("{a}", at("a", "1", 0, 1)), tagged("{b}", at("b", "2", 2, 3)), tagged("{a}", at("a", "1", 4, 5))}, 0},
		"answered late, taken before": {[]sighting{at("a", "1", 0, 1), at("b", "2", 0, 9), at("a", "1", 4, 5)}, 0},
	} {
		w := witness{seen: tc.seen}
		if got := w.rivals(); len(got) != tc.want {
			t.Errorf("%s: %q, want %d", name, got, tc.want)
		}
	}
}

// TestSlotOf: the slots of some keys as engines tell them.
func TestSlotOf(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]int{"a": 15495, "b": 3300, "foo": 12182, "hello": 866} {
		if got := slotOf(key); got != want {
			t.Errorf("%s is in slot %d, want %d", key, got, want)
		}
	}
}

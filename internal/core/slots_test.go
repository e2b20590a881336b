package core_test

import (
	"math/rand/v2"
	"testing"

	"github.com/larder-cache/larder/internal/core"
)

func TestSplitSlots(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n    int
		want []string
	}{
		{1, []string{"0-16383"}},
		{2, []string{"0-8191", "8192-16383"}},
		{3, []string{"0-5461", "5462-10922", "10923-16383"}},
		{5, []string{"0-3276", "3277-6553", "6554-9830", "9831-13107", "13108-16383"}},
	} {
		got := core.SplitSlots(c.n)
		if len(got) != len(c.want) {
			t.Fatalf("%d shards get %d sets", c.n, len(got))
		}
		for i := range got {
			if got[i].String() != c.want[i] {
				t.Errorf("shard %d of %d has %s, want %s", i+1, c.n, got[i], c.want[i])
			}
		}
	}
	for n := 1; n <= 500; n++ {
		var all core.Slots
		for _, s := range core.SplitSlots(n) {
			if size := s.Len(); size != core.SlotCount/n && size != core.SlotCount/n+1 {
				t.Errorf("a shard of %d has %d slots", n, size)
			}
			if len(all.Shared(s)) > 0 {
				t.Errorf("%d shards share %s", n, all.Shared(s))
			}
			all = all.With(s)
		}
		if !all.Equal(core.AllSlots()) {
			t.Errorf("%d shards have %s", n, all)
		}
	}
}

func TestParseSlots(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text, want string
	}{
		{"one range", "0-5461", "0-5461"},
		{"one slot", "7", "7"},
		{"several", "894-1767,3134-4443", "894-1767,3134-4443"},
		{"any order, spaces", "10-12, 0-3", "0-3,10-12"},
		{"touching", "0-3,4-9", "0-9"},
		{"overlapping", "0-3,3-9", ""},
		{"backwards", "9-3", ""},
		{"too high", "0-16384", ""},
		{"negative", "-1-4", ""},
		{"words", "a-b", ""},
		{"empty", "", ""},
		{"gap between commas", "1,,2", ""},
	} {
		got, err := core.ParseSlots(c.text)
		if (err != nil) != (c.want == "") || got.String() != c.want {
			t.Errorf("%s: %q is read as %q (%v), want %q", c.name, c.text, got, err, c.want)
		}
	}
}

// TestSlotSets holds the sets of ranges against plain sets of numbers.
func TestSlotSets(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		random := func() (core.Slots, map[int]bool) {
			var s core.Slots
			m := map[int]bool{}
			for range rng.IntN(6) {
				first := rng.IntN(40)
				r := core.SlotRange{First: first, Last: first + rng.IntN(8)}
				s = s.With(core.Slots{r})
				for i := r.First; i <= r.Last; i++ {
					m[i] = true
				}
			}
			return s, m
		}
		a, inA := random()
		b, inB := random()
		check := func(what string, got core.Slots, in func(int) bool) {
			t.Helper()
			n := 0
			for i := range 60 {
				if in(i) {
					n++
				}
				if got.Contains(i) != in(i) {
					t.Errorf("%s of %s and %s is %s, wrong about %d", what, a, b, got, i)
				}
			}
			if got.Len() != n {
				t.Errorf("%s of %s and %s is %s with %d slots, want %d", what, a, b, got, got.Len(), n)
			}
			for i := 1; i < len(got); i++ {
				if got[i].First <= got[i-1].Last+1 {
					t.Errorf("%s of %s and %s is %s, which is not merged", what, a, b, got)
				}
			}
		}
		check("union", a.With(b), func(i int) bool { return inA[i] || inB[i] })
		check("difference", a.Without(b), func(i int) bool { return inA[i] && !inB[i] })
		check("intersection", a.Shared(b), func(i int) bool { return inA[i] && inB[i] })
		n, count := rng.IntN(10), 0
		check("beginning", a.First(n), func(i int) bool {
			if !inA[i] {
				return false
			}
			count = 0
			for j := range i {
				if inA[j] {
					count++
				}
			}
			return count < n
		})
		var listed core.Slots
		for slot := range a.Each {
			listed = listed.With(core.Slots{{First: slot, Last: slot}})
		}
		if !listed.Equal(a) {
			t.Errorf("%s is listed as %s", a, listed)
		}
	}
}

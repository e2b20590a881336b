package core

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// SlotCount is the number of hash slots that the keys of a group in cluster mode
// fall into.
const SlotCount = 16384

// SlotRange is a run of slots, both ends included.
type SlotRange struct{ First, Last int }

// Slots is a set of slots: ranges in ascending order that neither touch nor
// overlap. Its methods give such sets again.
type Slots []SlotRange

// AllSlots is every slot there is.
func AllSlots() Slots { return Slots{{0, SlotCount - 1}} }

// SplitSlots deals all slots out to n shards in ascending order, the first ones
// having one more where it does not come out even.
func SplitSlots(n int) []Slots {
	out := make([]Slots, 0, n)
	next := 0
	for i := range n {
		size := SlotCount / n
		if i < SlotCount%n {
			size++
		}
		out = append(out, Slots{{next, next + size - 1}})
		next += size
	}
	return out
}

// ParseSlots reads the form in which the API writes a set: "0-5461,9000". The
// ranges may come in any order, but no slot twice.
func ParseSlots(text string) (Slots, error) {
	var ranges []SlotRange
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			last = first
		}
		r := SlotRange{}
		var err1, err2 error
		r.First, err1 = strconv.Atoi(first)
		r.Last, err2 = strconv.Atoi(last)
		if err1 != nil || err2 != nil || r.First < 0 || r.Last < r.First || r.Last >= SlotCount {
			return nil, fmt.Errorf("%q is no range of slots", part)
		}
		ranges = append(ranges, r)
	}
	slices.SortFunc(ranges, func(a, b SlotRange) int { return a.First - b.First })
	for i := 1; i < len(ranges); i++ {
		if ranges[i].First <= ranges[i-1].Last {
			return nil, fmt.Errorf("slot %d is named twice", ranges[i].First)
		}
	}
	return merge(ranges), nil
}

// merge joins sorted ranges that touch or overlap.
func merge(ranges []SlotRange) Slots {
	var out Slots
	for _, r := range ranges {
		if n := len(out); n > 0 && r.First <= out[n-1].Last+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// String is the set as the API writes it.
func (s Slots) String() string {
	var parts []string
	for _, r := range s {
		part := strconv.Itoa(r.First)
		if r.Last > r.First {
			part += "-" + strconv.Itoa(r.Last)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ",")
}

// Len counts the slots.
func (s Slots) Len() (n int) {
	for _, r := range s {
		n += r.Last - r.First + 1
	}
	return n
}

// Contains reports whether a slot is in the set.
func (s Slots) Contains(slot int) bool {
	return slices.ContainsFunc(s, func(r SlotRange) bool { return r.First <= slot && slot <= r.Last })
}

// Equal reports whether two sets have the same slots.
func (s Slots) Equal(o Slots) bool { return slices.Equal(s, o) }

// With is the set of slots that are in either.
func (s Slots) With(o Slots) Slots {
	all := slices.Concat(s, o)
	slices.SortFunc(all, func(a, b SlotRange) int { return a.First - b.First })
	return merge(all)
}

// Without is the set of slots that are in s but not in o.
func (s Slots) Without(o Slots) Slots {
	var out Slots
	for _, r := range s {
		next := r.First
		for _, hole := range o {
			if hole.Last < next || hole.First > r.Last {
				continue
			}
			if hole.First > next {
				out = append(out, SlotRange{next, hole.First - 1})
			}
			next = hole.Last + 1
		}
		if next <= r.Last {
			out = append(out, SlotRange{next, r.Last})
		}
	}
	return out
}

// Shared is the set of slots that are in both.
func (s Slots) Shared(o Slots) Slots { return s.Without(s.Without(o)) }

// First is the set of the n lowest slots, or all if there are fewer.
func (s Slots) First(n int) Slots {
	var out Slots
	for _, r := range s {
		if n <= 0 {
			break
		}
		r.Last = min(r.Last, r.First+n-1)
		out = append(out, r)
		n -= r.Last - r.First + 1
	}
	return out
}

// Each calls yield for each slot in ascending order until it gives false.
func (s Slots) Each(yield func(slot int) bool) {
	for _, r := range s {
		for slot := r.First; slot <= r.Last; slot++ {
			if !yield(slot) {
				return
			}
		}
	}
}

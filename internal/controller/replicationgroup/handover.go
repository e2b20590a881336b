package replicationgroup

import (
	"cmp"
	"slices"

	"github.com/larder-cache/larder/internal/controller/nodespec"
	"github.com/larder-cache/larder/internal/controller/step"
	"github.com/larder-cache/larder/internal/resource"
)

// handOver lets a source that is well make way for another member without losing
// a write:
//
//	hold writes --all of the source is at an heir--> heir is source and primary
//	     |
//	     +--HandoverLimit--> let writes go on; a test or a promotion is given up,
//	                         a primary that comes back tries again
//
// That the two change places in the right order is the runtime's part.
func (w World) handOver(members []*member, r roles) roles {
	wanted, heirs := w.heirs(members, r)
	if !wanted {
		return r
	}
	since := w.Group.Status.HandoverSince
	// The clock may have been set back since.
	if since == nil || w.Now.Before(*since) || w.Now.Sub(*since) >= step.HandoverPause {
		since = &w.Now
	}
	waited := w.Now.Sub(*since)
	if waited >= step.HandoverLimit {
		r.gaveUp = w.Group.Spec.Handover != nil
		if !r.gaveUp {
			r.holdSince, r.again = since, step.HandoverPause-waited
		}
		return r
	}
	r.hold, r.holdSince, r.again = len(heirs) > 0, since, step.HandoverLimit-waited
	if !r.hold || !r.source.node.Spec.HoldWrites || !nodespec.CaughtUp(r.source.node) {
		return r
	}
	if w.Offsets == nil {
		for _, m := range members {
			if m.node != nil && nodespec.Alive(m.node) {
				r.ask = append(r.ask, m.key())
			}
		}
		return r
	}
	heir := w.mostAdvanced(heirs, r.source)
	last, known := w.Offsets[r.source.key()]
	if at, ok := w.Offsets[heir.key()]; !known || !ok || at < last {
		r.again = step.CatchUpPause
		return r
	}
	r.source, r.primary = heir, heir
	r.hold, r.holdSince, r.again = false, nil, 0
	return r
}

// heirs reports whether another member shall take the source's place, and which
// ones could: for the primary that is to come back, because somebody has asked for
// it, or because the source alone is of an older version.
func (w World) heirs(members []*member, r roles) (wanted bool, heirs []*member) {
	h := w.Group.Spec.Handover
	switch {
	case r.source != r.primary:
		if inSync(r.primary, r.source) {
			return true, []*member{r.primary}
		}
		return false, nil
	case h == nil:
		unready := func(m *member) bool { return m != r.source && !inSync(m, r.source) }
		if !r.sourceIsLast(members) || slices.ContainsFunc(members, unready) {
			return false, nil // writers do not wait while replicas fill
		}
		h = &resource.Handover{}
	case r.primary.id() != h.From:
		return false, nil
	}
	for _, m := range members {
		if m != r.source && (h.To == "" || h.To == m.id()) && inSync(m, r.source) {
			heirs = append(heirs, m)
		}
	}
	return len(heirs) > 0 || w.Group.Spec.Handover != nil, heirs
}

// mostAdvanced is the member with the most of the data; of several, one in
// another zone than the one that it takes over from, which may be nil.
func (w World) mostAdvanced(members []*member, from *member) *member {
	return slices.MinFunc(members, func(a, b *member) int {
		return cmp.Or(
			-cmp.Compare(w.Offsets[a.key()], w.Offsets[b.key()]),
			cmp.Compare(sameZone(a, from), sameZone(b, from)),
			cmp.Compare(a.id(), b.id()),
		)
	})
}

package elasticache

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

const (
	// eventRetention is how far back events can be asked for.
	eventRetention = 14 * 24 * time.Hour
	// eventDuration is how far back they are listed when no time is given.
	eventDuration = time.Hour
)

// DescribeEvents implements wire.Service: the newest event comes first.
func (s *Service) DescribeEvents(ctx context.Context, in *wire.DescribeEventsMessage) (*wire.EventsMessage, error) {
	if set(in.SourceIdentifier) && !set(in.SourceType) {
		return nil, errInvalidCombination("The parameter SourceType must be provided together with SourceIdentifier.")
	}
	start, end, err := eventPeriod(s.clock.Now(), in)
	if err != nil {
		return nil, err
	}
	out := &wire.EventsMessage{}
	err = s.store.View(ctx, func(r store.Reader) error {
		events, next, err := page(findEvents(r, region(ctx), start, end, in), newestFirst, "DescribeEvents", in.MaxRecords, in.Marker)
		if err != nil {
			return err
		}
		out.Marker, out.Events = next, make([]*wire.Event, 0, len(events))
		for _, e := range events {
			out.Events = append(out.Events, &wire.Event{
				SourceIdentifier: core.Ptr(e.SourceID), SourceType: core.Ptr(e.SourceType),
				Message: core.Ptr(e.Message), Date: core.Ptr(e.Time),
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// eventPeriod is the time that is asked for, both ends included.
func eventPeriod(now time.Time, in *wire.DescribeEventsMessage) (start, end time.Time, err error) {
	length := eventDuration
	if in.Duration != nil {
		most := int(eventRetention.Minutes())
		if *in.Duration < 1 || *in.Duration > most {
			return start, end, errInvalidValue("The parameter Duration must be between 1 and %d.", most)
		}
		length = time.Duration(*in.Duration) * time.Minute
	}
	switch {
	case in.StartTime != nil && in.EndTime != nil:
		start, end = *in.StartTime, *in.EndTime
	case in.StartTime != nil && in.Duration != nil:
		start, end = *in.StartTime, in.StartTime.Add(length)
	case in.StartTime != nil:
		start, end = *in.StartTime, now
	case in.EndTime != nil:
		start, end = in.EndTime.Add(-length), *in.EndTime
	default:
		start, end = now.Add(-length), now
	}
	if start.After(end) {
		return start, end, errInvalidCombination("The parameter StartTime must not be later than EndTime.")
	}
	if oldest := now.Add(-eventRetention); start.Before(oldest) {
		start = oldest
	}
	return start, end, nil
}

// findEvents are the events of a period, newest first.
func findEvents(r store.Reader, region string, start, end time.Time, in *wire.DescribeEventsMessage) []*resource.Event {
	first, last := resource.EventKey(region, start, ""), resource.EventKey(region, end, "\xff")
	kind, id := core.Val(in.SourceType), strings.ToLower(core.Val(in.SourceIdentifier))
	var out []*resource.Event
	for _, k := range slices.Backward(resource.Events.Keys(r, key(region, ""))) {
		if k < first || k > last {
			continue
		}
		e, ok := resource.Events.Get(r, k)
		if ok && (kind == "" || e.SourceType == kind) && (id == "" || e.SourceID == id) {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b *resource.Event) int { return strings.Compare(newestFirst(a), newestFirst(b)) })
	return out
}

// newestFirst is a key that sorts later events before earlier ones.
func newestFirst(e *resource.Event) string {
	return fmt.Sprintf("%019d/%s", math.MaxInt64-e.Time.UnixNano(), e.UID)
}

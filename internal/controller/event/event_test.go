package event_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/controller/event"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

func TestRetention(t *testing.T) {
	t.Parallel()
	l := controllertest.NewLoop(t, true)
	c := event.New(event.Config{Store: l.Store, Clock: l.Clock, Log: l.Log})
	const old = 250
	l.Update(t, func(tx *store.Tx) {
		for i := range old {
			resource.RecordEvent(tx, resource.Event{
				Region: controllertest.Region, UID: fmt.Sprint(i), Time: l.Clock.Now(), SourceID: "old", Message: "m",
			})
		}
		resource.RecordEvent(tx, resource.Event{
			Region: "eu-west-1", UID: "x", Time: l.Clock.Now().Add(time.Second), SourceID: "new", Message: "m",
		})
	})
	l.Clock.Advance(14 * 24 * time.Hour)
	if wait := l.Pass(t, c, "events"); wait != 0 || len(controllertest.Events(l.Store)) != old+1 {
		t.Fatal("events of exactly 14 days are gone")
	}
	l.Clock.Advance(time.Second)
	for range 3 {
		l.Pass(t, c, "events")
	}
	if got := controllertest.Events(l.Store); len(got) != 1 || got[0] != "new: m" {
		t.Errorf("%d events are left", len(got))
	}
	if wait := l.Pass(t, c, "events"); wait != 0 {
		t.Errorf("with nothing to do it looks again after %v", wait)
	}
}

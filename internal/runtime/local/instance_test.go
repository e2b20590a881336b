package local

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/runtime"
)

// Instances are reported once the fabric has taken them, each with its boot.
func TestInstancesAreReported(t *testing.T) {
	t.Parallel()
	fabric := &picky{got: make(chan Network, 10), refused: map[string]error{"r/i-bad": errors.New("no room")}}
	reports := make(chan runtime.Report, 10)
	n := newNetwork(fabric, core.SystemClock{}, slog.New(slog.DiscardHandler), func(map[string]bool) {}, func(r runtime.Report) { reports <- r })
	n.setDocument(&runtime.Document{Endpoints: []runtime.Endpoint{}, Instances: []runtime.Instance{
		{ID: "r/i-bad", Running: true, Boots: 1}, {ID: "r/i-on", Running: true, Boots: 2}, {ID: "r/i-off", Boots: 3},
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go n.run(ctx)
	defer func() { cancel(); <-n.done }()
	if got := <-fabric.got; len(got.Instances) != 3 {
		t.Errorf("the fabric has %+v", got.Instances)
	}
	got := map[string]runtime.Report{}
	for len(got) < 3 {
		select {
		case r := <-reports:
			id, ok := runtime.ReportedInstance(r.ID)
			if !ok {
				t.Errorf("report of %q", r.ID)
			}
			r.ID = ""
			got[id] = r
		case <-time.After(patience):
			t.Fatalf("reported %+v", got)
		}
	}
	want := map[string]runtime.Report{
		"r/i-bad": {Phase: runtime.PhaseFailed, Incarnation: 1, Message: "no room"},
		"r/i-on":  {Phase: runtime.PhaseRunning, Incarnation: 2},
		"r/i-off": {Phase: runtime.PhaseGone, Incarnation: 3},
	}
	if !maps.Equal(got, want) {
		t.Errorf("reported %+v, want %+v", got, want)
	}
}

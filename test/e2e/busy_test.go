package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/test/harness"
)

// TestBusyPrimary keeps a primary busy with a script that does not end, for longer than
// it may be without a word of it: an event says so, and nothing else is done about it. When the
// script is killed another event says that the node answers, and it serves as before.
func TestBusyPrimary(t *testing.T) {
	t.Parallel()
	// In one fabric: the script takes a processor from all other tests.
	d := harness.In(t, harness.Options{})
	g := group(t, d, "g", 2, failover)
	addr, busy := primaryAddr(g), member(g, "primary")
	was := node(t, d, busy+"/0001")
	w := newWriter(t, addr, "", nil)
	w.beyond(t, 100)

	script := make(chan error, 1)
	c := client(t, addr, "", nil)
	go func() { script <- c.WithTimeout(2*time.Minute).Eval(t.Context(), "while true do end", nil).Err() }()
	awaitEvent(t, d, busy, "Cache node 0001 does not respond: it is busy")
	select {
	case err := <-script:
		t.Fatalf("the script has ended: %v", err)
	default:
	}
	unmoved := func() error {
		g, err := d.Group(t.Context(), "g")
		if err != nil {
			return err
		}
		is, err := d.Node(t.Context(), busy+"/0001")
		if err != nil {
			return err
		}
		if member(g, "primary") != busy || is.PID != was.PID || event(t.Context(), d, "g", "Failover from") == nil {
			return fmt.Errorf("the primary was %s, process %d; it is %s, process %d", busy, was.PID, member(g, "primary"), is.PID)
		}
		return nil
	}
	must(t, unmoved())

	harness.Eventually(t, "the script is killed", func(ctx context.Context) error { return c.ScriptKill(ctx).Err() })
	if err := <-script; err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the script ended with: %v", err)
	}
	awaitEvent(t, d, busy, "Cache node 0001 responds again")
	w.beyond(t, 100)
	must(t, unmoved())
	if n := w.lost(t, client(t, addr, "", nil)); n > 0 {
		t.Errorf("%d of %d acknowledged writes are lost", n, len(w.acked))
	}
	must(t, c.Set(t.Context(), "after", "it", 0).Err())
	awaitReplica(t, g, member(g, "replica"), "after", "it")
	tidy(t, d)
}

package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/larder-cache/larder/test/harness"
)

// TestHungPrimary stops the process of a primary: it is ended and a replica takes
// over, without a lost write.
func TestHungPrimary(t *testing.T) {
	t.Parallel()
	d := harness.In(t, harness.Options{})
	g := group(t, d, "g", 2, failover)
	w := newWriter(t, primaryAddr(g), "", nil)
	w.beyond(t, 300)
	w.pause()
	old := member(g, "primary")
	pid := node(t, d, old+"/0001").PID
	began := time.Now()
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	g = awaitPrimary(t, d, "g", func(id string) bool { return id != old })
	t.Logf("another primary after %v", time.Since(began))
	w.beyond(t, 100)
	t.Logf("writes paused for %v", w.pause())
	awaitRestart(t, d, old+"/0001", pid)
	awaitEvent(t, d, "g", "Failover from primary node "+old+" to replica node "+member(g, "primary")+" completed")
	if n := w.lost(t, client(t, primaryAddr(g), "", nil)); n > 0 {
		t.Errorf("%d of %d acknowledged writes are lost", n, len(w.acked))
	}
	tidy(t, d)
}

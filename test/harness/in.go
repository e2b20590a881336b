package harness

import (
	"context"
	"os"
	"testing"
	"time"
)

// In launches a deployment that lives as long as the test, and shows the server's
// last words when the test failed; which it does too if anything is left behind.
func In(t testing.TB, opts Options) *Deployment {
	t.Helper()
	if opts.fabric() == "kernel" && os.Geteuid() != 0 {
		t.Skip("the kernel fabric needs root")
	}
	d, err := Launch(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("taking the deployment down: %v", err)
		}
		if t.Failed() {
			t.Logf("the server's last words:\n%s", d.Output())
		}
	})
	return d
}

// Eventually waits until check gives nil, for at most 30 s.
func Eventually(t testing.TB, what string, check func(ctx context.Context) error) {
	t.Helper()
	if err := Await(t.Context(), 30*time.Second, check); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// Between two looks it waits: shortly at first, since most things take
// milliseconds, and longer when they do not, since looking takes time from them.
const (
	firstPause = 2 * time.Millisecond
	lastPause  = 50 * time.Millisecond
)

// Await repeats check until it gives nil or the time is over; its error is the
// last one of check.
func Await(ctx context.Context, limit time.Duration, check func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	for pause := firstPause; ; pause = min(pause*3/2, lastPause) {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(pause):
		}
	}
}

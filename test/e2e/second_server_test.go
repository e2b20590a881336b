package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/internal/relay"
	"github.com/larder-cache/larder/test/harness"
)

// TestSecondServer: one data directory has one server, and the second is told so.
func TestSecondServer(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := harness.In(t, harness.Options{})
	g := group(t, d, "g", 1, nil)
	_, err := d.Larder(ctx, "serve", "--run-dir", d.RunDir, "--listen", "127.0.0.1:0")
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("another larder serve (pid %d) uses %s", d.Pid(), d.DataDir)) {
		t.Errorf("the second server says: %v", err)
	}
	must(t, ping(ctx, primaryAddr(g), "", nil))
	available(t, d, "g")
	tidy(t, d)
}

// TestDown: `larder down` ends all processes, which it finds, and keeps what was wanted; the
// next start brings it back, empty.
func TestDown(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := harness.In(t, harness.Options{})
	g := group(t, d, "g", 2, secured)
	secure := trust(t, d)
	must(t, client(t, primaryAddr(g), token, secure).Set(ctx, "k", "v", 0).Err())

	d.Stop()
	other := filepath.Join(t.TempDir(), "run")
	_, err := d.Larder(ctx, "serve", "--run-dir", other, "--listen", "127.0.0.1:0")
	if err == nil || !strings.Contains(err.Error(), "start with --run-dir="+d.RunDir) {
		t.Errorf("with another run directory, while engines go on: %v", err)
	}
	must(t, d.Start(ctx))

	for range 2 { // also with nothing left to end
		_, err := d.Larder(ctx, "down") // wherever their sockets are
		must(t, err)
		harness.Eventually(t, "the end of all processes", func(context.Context) error {
			if pids, at := d.Processes(), d.Listening(); len(pids)+len(at) > 0 {
				return fmt.Errorf("processes %v, addresses %v", pids, at)
			}
			return nil
		})
	}
	d.Stop()
	must(t, d.Start(ctx))
	harness.Eventually(t, "the group", func(ctx context.Context) error {
		c := harness.Redis(primaryAddr(g), token, secure)
		defer c.Close()
		if err := c.Get(ctx, "k").Err(); !errors.Is(err, redis.Nil) {
			return fmt.Errorf("k: %w", err)
		}
		return refused(ping(ctx, readerAddr(g), "", secure), "NOAUTH")
	})
	now := available(t, d, "g")
	if primaryAddr(now) != primaryAddr(g) {
		t.Errorf("the primary endpoint is %s, was %s", primaryAddr(now), primaryAddr(g))
	}
	tidy(t, d)
}

// TestInterrupt: Ctrl-C ends the server alone, and says what goes on.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := harness.In(t, harness.Options{})
	g := group(t, d, "g", 2, nil)
	h := hold(t)
	h.redis(ctx, "g", client(t, primaryAddr(g), "", nil))
	must(t, d.Interrupt())
	if !strings.Contains(d.Output(), "2 nodes go on") {
		t.Error("it does not say that nodes go on")
	}
	must(t, ping(ctx, readerAddr(g), "", nil))
	must(t, d.Start(ctx))
	available(t, d, "g")
	must(t, h.end())
	tidy(t, d)
}

// TestEphemeral leaves nothing.
func TestEphemeral(t *testing.T) {
	t.Parallel()
	d := harness.In(t, harness.Options{Args: []string{"--ephemeral"}})
	group(t, d, "g", 2, secured)
	cluster(t, d, "m", "memcached", 1)
	must(t, d.Interrupt())
	for _, dir := range []string{d.DataDir, d.RunDir} {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", dir, err)
		}
	}
	if pids, at := d.Processes(), d.Listening(); len(pids)+len(at) > 0 {
		t.Errorf("left are processes %v, addresses %v", pids, at)
	}
}

// TestUpgrade: the relay of the new binary takes the endpoints over, the old one
// serves its connections to their end.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	next := anotherBuild(t)
	d := harness.In(t, harness.Options{})
	plain, secret := group(t, d, "plain", 2, nil), group(t, d, "secret", 2, secured)
	h := hold(t)
	h.redis(ctx, "plain", client(t, primaryAddr(plain), "", nil))
	h.redis(ctx, "secret", client(t, primaryAddr(secret), token, trust(t, d)))
	old := relayPid(t, d)

	d.Stop()
	d.Upgrade(next)
	must(t, d.Start(ctx))
	harness.Eventually(t, "the new relay beside the old one", func(context.Context) error {
		if pids := relays(d); len(pids) != 2 || pids[0] != old && pids[1] != old {
			return fmt.Errorf("relays are %v, the old one is %d", pids, old)
		}
		return nil
	})
	for range 100 { // none of them is refused
		must(t, ping(ctx, primaryAddr(plain), "", nil))
	}
	must(t, ping(ctx, primaryAddr(secret), token, trust(t, d)))
	must(t, h.end())
	harness.Eventually(t, "the end of the old relay", func(context.Context) error {
		if pids := relays(d); len(pids) != 1 || pids[0] == old {
			return fmt.Errorf("relays are %v, the old one is %d", pids, old)
		}
		return nil
	})
	available(t, d, "secret")
	tidy(t, d)
}

// anotherBuild is the binary under another build id, which is what one release
// differs in from the next for the relay.
func anotherBuild(t testing.TB) string {
	t.Helper()
	path, err := harness.Binary(t.Context())
	must(t, err)
	id, err := relay.BuildID(path)
	must(t, err)
	program, err := os.ReadFile(path)
	must(t, err)
	other := bytes.ReplaceAll(program, []byte(id), []byte("~"+id[1:]))
	copied := filepath.Join(t.TempDir(), "larder")
	must(t, os.WriteFile(copied, other, 0o700))
	if now, err := relay.BuildID(copied); err != nil || now == id {
		t.Fatalf("the build id is %q, %v", now, err)
	}
	return copied
}

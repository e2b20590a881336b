package relays

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/relay"
)

// TestGivenUpRelay: who is told to end while a relay starts takes the relay along, which
// nobody would find, as it has no socket yet.
func TestGivenUpRelay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	exe, pidFile := filepath.Join(dir, "relay"), filepath.Join(dir, "pid")
	slow := "#!/bin/sh\necho $$ > " + pidFile + ".new\nmv " + pidFile + ".new " + pidFile + "\nexec sleep 600\n"
	if err := os.WriteFile(exe, []byte(slow), 0o700); err != nil {
		t.Fatal(err)
	}
	r, err := New(t.Context(), Config{RunDir: dir, Exe: exe, Version: "slow", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	failed := make(chan error, 1)
	go func() {
		_, err := r.Apply(ctx, relay.Document{})
		failed <- err
	}()
	pid := started(t, pidFile)
	end()
	if err := <-failed; err == nil {
		t.Error("a relay that never answered has taken a document")
	}
	if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
		_ = unix.Kill(pid, unix.SIGKILL)
		t.Errorf("the relay goes on: %v", err)
	}
}

// TestStopEnding: relays that end by themselves meanwhile, one before it is reached and
// one before it answers, are as good as stopped.
func TestStopEnding(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "stop") // t.TempDir makes paths too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	listen := func(name string) net.Listener {
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	asked, gone := listen("relay-1.sock"), listen("relay-2.sock")
	go func() {
		for {
			c, err := asked.Accept()
			if err != nil {
				return
			}
			// Whoever only looks whether somebody listens sends nothing.
			if n, _ := c.Read(make([]byte, 1)); n == 1 {
				gone.Close()
				asked.Close()
			}
			c.Close()
		}
	}()
	if err := Stop(t.Context(), dir); err != nil {
		t.Error(err)
	}
}

// started waits until a process has written its pid.
func started(t *testing.T, file string) int {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		if text, err := os.ReadFile(file); err == nil {
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
		if time.Now().After(deadline) {
			t.Fatal("the relay was not started")
		}
		time.Sleep(time.Millisecond)
	}
}

package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// systemd-resolved is told of the server, of nothing but its domain, and forgets it
// again.
func TestResolved(t *testing.T) {
	t.Parallel()
	dataDir, _ := serve(t)
	dir := filepath.Join(t.TempDir(), "resolved.conf.d")
	path := filepath.Join(dir, "larder.conf")
	var reloads []string
	var failure error
	larder := func(args ...string) (code int, out, errOut string) {
		return line{
			args: append([]string{"dns", args[0], "--data-dir", dataDir}, args[1:]...),
			tool: func(_ context.Context, name string, args ...string) error {
				text, _ := os.ReadFile(path)
				reloads = append(reloads, name+" "+strings.Join(args, " ")+" with "+string(text))
				return failure
			},
		}.run(t.Context())
	}
	expect := func(what string, wantCode int, wantReloads int, words string, args ...string) {
		t.Helper()
		reloads = nil
		code, out, errOut := larder(args...)
		if code != wantCode || len(reloads) != wantReloads || !strings.Contains(out+errOut, words) {
			t.Errorf("%s: code %d, reloads %q, output %q", what, code, reloads, out+errOut)
		}
	}
	expect("before", exitOK, 0, "does not resolve them", "status")
	failure = errors.New("no such unit")
	expect("a systemd-resolved that is none", exitFailed, 2, "no such unit", "install", "--via", "systemd-resolved", "--resolved-dir", dir)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left after a failure are %v, %v", entries, err)
	}
	failure = nil
	for range 2 {
		expect("install", exitOK, 1, "this host resolves names of d.test by systemd-resolved", "install", "--via", "systemd-resolved", "--resolved-dir", dir)
		if len(reloads) != 1 || !strings.HasPrefix(reloads[0], "systemctl reload-or-restart systemd-resolved.service") ||
			!strings.Contains(reloads[0], "[Resolve]\nDNS=127.0.0.1:4553\nDomains=~d.test\n") {
			t.Errorf("reloads are %q", reloads)
		}
	}
	expect("afterwards", exitOK, 0, "installed by systemd-resolved, "+path, "status")
	expect("by another way as well", exitFailed, 0, "remove that first", "install", "--via", "hosts")
	expect("remove", exitOK, 1, "", "remove")
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is left: %v", err)
	}
	expect("remove again", exitOK, 0, "", "remove")
	expect("at the end", exitOK, 0, "does not resolve them", "status")
	expect("an unknown way", exitUsage, 0, "is none of", "install", "--via", "carrier-pigeon")
}

func TestPublishAsksForAddress(t *testing.T) {
	t.Parallel()
	dataDir, _ := serve(t)
	code, _, errOut := line{args: []string{"publish", "cache", "--data-dir", dataDir}}.run(t.Context())
	if code != exitUsage || !strings.Contains(errOut, "--listen") {
		t.Errorf("code %d, %q", code, errOut)
	}
	code, out, errOut := line{args: []string{"publish", "--data-dir", dataDir}}.run(t.Context())
	if code != exitOK || !strings.HasPrefix(out, "ID ") || errOut != "" {
		t.Errorf("code %d, %q, %q", code, out, errOut)
	}
}

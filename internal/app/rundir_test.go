package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunDir(t *testing.T) {
	t.Parallel()
	data, one, other := t.TempDir(), t.TempDir(), t.TempDir()
	keep := func(dir string) {
		t.Helper()
		if err := keepRunDir(data, dir); err != nil {
			t.Fatal(err)
		}
		if last, err := lastRunDir(data); last != dir || err != nil {
			t.Fatalf("the data directory knows %q, %v", last, err)
		}
	}
	if last, err := lastRunDir(data); last != "" || err != nil {
		t.Fatalf("a new data directory knows %q, %v", last, err)
	}
	keep(one)
	keep(one)
	keep(other) // nothing was left in the first
	socket := filepath.Join(other, "relay-1.sock")
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	keep(other)
	if err := keepRunDir(data, one); err == nil || !strings.Contains(err.Error(), "start with --run-dir="+other) {
		t.Errorf("while a relay is left, another run directory: %v", err)
	}
	if last, _ := lastRunDir(data); last != other {
		t.Errorf("the data directory knows %q after that", last)
	}
	for range 2 {
		if err := forgetRunDir(data); err != nil {
			t.Fatal(err)
		}
	}
	keep(one)
}

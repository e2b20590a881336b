package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/core"
)

const (
	recordFile = "process.json"
	logFile    = "engine.log"
)

// record is what is kept of a process, so that a later Larder knows it. Its file is
// replaced as a whole. It is not synced: it is worth nothing after a crash of
// the host, because then no process is left.
type record struct {
	// ID and UID are the node's.
	ID, UID string
	// PID, Start and Boot name the process: its start time in clock ticks since
	// boot, and which boot.
	PID   int
	Start uint64
	Boot  string
	// Started is the time of the start for people.
	Started     time.Time
	Binary      string
	Version     string
	Incarnation int
	// Generation is the highest that was fully applied.
	Generation int64
	// Ready: the process has been in service. One that ends before is a failed
	// start, one that ends later an exit.
	Ready bool
	// MaxClients is the process's real limit, once it is Ready.
	MaxClients int
	// Direct is where clients reach it with nobody in between.
	Direct core.Endpoint
}

func (r *record) write(dir string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, recordFile+".new")
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep the process: %w", err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, recordFile)); err != nil {
		return fmt.Errorf("keep the process: %w", err)
	}
	return nil
}

// readRecord gives nil if there is none; a damaged one counts as none, and the
// search for orphans finds its process.
func readRecord(dir string) *record {
	b, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err != nil {
		return nil
	}
	var r record
	if json.Unmarshal(b, &r) != nil || r.PID <= 0 {
		return nil
	}
	return &r
}

// process takes hold of the recorded process if it still runs.
func (r *record) process(boot string) (*process, error) {
	if r.Boot != boot {
		return nil, errNoProcess
	}
	return find(r.PID, r.Start)
}

// bootID tells one boot of the host from another.
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("local: %w", err)
	}
	id := strings.TrimSpace(string(b))
	if id == "" {
		return "", errors.New("local: the host has no boot id")
	}
	return id, nil
}

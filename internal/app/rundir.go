package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Engines and relays go on without a server, and who comes later finds them by their
// sockets. Where those are follows from flags and the environment, which may be others then;
// so the data directory says where they were last, until larder down has ended all.

// runDirFile is the name of the file in the data directory with the run directory.
const runDirFile = "run-dir"

// lastRunDir is the run directory that a data directory knows; empty if it knows none.
func lastRunDir(dataDir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dataDir, runDirFile))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("looking up the run directory: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// keepRunDir has a data directory know the run directory. Another one is refused as
// long as the last one has sockets.
func keepRunDir(dataDir, runDir string) error {
	last, err := lastRunDir(dataDir)
	if err != nil || last == runDir {
		return err
	}
	if last != "" {
		sockets, err := filepath.Glob(filepath.Join(last, "*.sock"))
		if err != nil || len(sockets) > 0 {
			return errors.Join(err, fmt.Errorf("run-dir: processes of this deployment have their sockets in %s, not in %s: "+
				"start with --run-dir=%[1]s, or end them by larder down first", last, runDir))
		}
	}
	if err := os.WriteFile(filepath.Join(dataDir, runDirFile), []byte(runDir+"\n"), 0o600); err != nil {
		return fmt.Errorf("noting the run directory: %w", err)
	}
	return nil
}

// forgetRunDir is for a deployment without processes.
func forgetRunDir(dataDir string) error {
	if err := os.Remove(filepath.Join(dataDir, runDirFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forgetting the run directory: %w", err)
	}
	return nil
}

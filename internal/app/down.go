package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/config"
	"github.com/larder-cache/larder/internal/runtime/local"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/kernel"
)

// Down stops the server of a data directory, its engines, its relay and its networks. State
// stays: the next server starts the nodes again, empty, as after a reboot.
func Down(ctx context.Context, cfg config.Config) error {
	if _, err := os.Stat(cfg.DataDir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	l, err := stopServer(ctx, cfg.DataDir)
	if err != nil {
		return err
	}
	return errors.Join(stopProcesses(ctx, cfg), l.release())
}

// stopProcesses ends what goes on without a server.
func stopProcesses(ctx context.Context, cfg config.Config) error {
	last, err := lastRunDir(cfg.DataDir)
	if err != nil {
		return err
	}
	if last != "" {
		cfg.RunDir = last
	}
	_, engines := local.Stop(cfg.DataDir, cfg.RunDir)
	// Namespaces of the kernel fabric go last: they live as long as processes in them.
	if err := errors.Join(engines, kernel.Stop(ctx, cfg.RunDir, cfg.Deployment())); err != nil {
		return err
	}
	return forgetRunDir(cfg.DataDir)
}

// stopServer asks the server that holds the lock to end, and takes the lock.
func stopServer(ctx context.Context, dataDir string) (*lock, error) {
	asked := false
	for {
		l, err := takeLock(dataDir)
		if err == nil || !errors.Is(err, errLocked) {
			return l, err
		}
		if pid := holderOf(filepath.Join(dataDir, "lock")); pid > 0 && !asked {
			if err := unix.Kill(pid, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
				return nil, fmt.Errorf("stopping the server (pid %d): %w", pid, err)
			}
			asked = true
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

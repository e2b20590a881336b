package robustness

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// disk is a small file system of its own for what is kept of nodes.
type disk string

// mountDisk makes the directory of a deployment's nodes a file system of 128 MiB: more
// than the logs of all nodes come to, which at their longest are 8 MiB each. A disk
// that they fill is full for good, and nodes that end stay away as long.
func mountDisk(dataDir string) (disk, error) {
	nodes := filepath.Join(dataDir, "nodes")
	if err := os.MkdirAll(nodes, 0o700); err != nil {
		return "", err
	}
	return disk(nodes), unix.Mount("none", nodes, "tmpfs", 0, "size=128m,mode=700")
}

func (d disk) unmount() error { return unix.Unmount(string(d), unix.MNT_DETACH) }

// trouble leaves no room on the disk now and then, until ctx ends.
func (d disk) trouble(ctx context.Context, r *rand.Rand) {
	filler := filepath.Join(string(d), "filler")
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(1000+r.IntN(4000)) * time.Millisecond):
		}
		fill(filler)
		time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
		_ = os.Remove(filler)
	}
}

// fill writes a file until nothing more fits.
func fill(path string) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
}

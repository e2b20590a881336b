package config

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// MakeDirs creates both directories, readable by nobody else, where they do not
// exist. A run directory that another user owns, can enter or could replace is
// refused: whoever reaches the sockets in it is an engine's administrator.
func (c Config) MakeDirs() error {
	for _, dir := range []string{c.DataDir, c.RunDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("create directory: %w", err)
		}
	}
	parent := filepath.Dir(c.RunDir)
	if uid, err := owner(parent); err != nil {
		return err
	} else if uid != os.Geteuid() && uid != 0 {
		return fmt.Errorf("run-dir: %s belongs to user %d, who could replace %s: choose another one", parent, uid, c.RunDir)
	}
	if uid, err := owner(c.RunDir); err != nil {
		return err
	} else if uid != os.Geteuid() {
		return fmt.Errorf("run-dir: %s belongs to user %d: choose another one", c.RunDir, uid)
	}
	info, err := os.Lstat(c.RunDir)
	if err != nil {
		return fmt.Errorf("look at run-dir: %w", err)
	}
	if info.Mode()&(os.ModeSymlink|0o077) != 0 {
		return fmt.Errorf("run-dir: %s must be a directory that only its owner can enter (mode 0700)", c.RunDir)
	}
	return nil
}

func owner(path string) (int, error) {
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return 0, fmt.Errorf("look at %s: %w", path, err)
	}
	return int(st.Uid), nil
}

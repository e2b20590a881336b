package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/larder-cache/larder/internal/admin"
)

// resolvedFile is wholly Larder's.
const resolvedFile = "larder.conf"

// installResolved makes systemd-resolved ask the server for names of its domain, and
// for no others.
func installResolved(ctx context.Context, p Process, c *admin.Client, d admin.DNS, path string) error {
	if d.Listen == "" {
		return errors.New("the server answers no names: start it with --dns-listen, such as 127.0.0.1:4553")
	}
	if d.Trouble != "" {
		return fmt.Errorf("the server does not answer names: %s", d.Trouble)
	}
	text := "# Written by larder dns install; larder dns remove removes it.\n[Resolve]\nDNS=" + d.Listen + "\nDomains=~" + d.Domain + "\n"
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return mayNot(path, err)
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil { //nolint:gosec // systemd-resolved reads it as a user of its own
		return mayNot(path, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return errors.Join(mayNot(path, err), os.Remove(path+".new"))
	}
	err := reloadResolved(ctx, p)
	if err == nil {
		_, err = c.InstallDNS(ctx, admin.InstallDNS{Via: viaResolved, Path: path})
	}
	if err != nil && d.Host == nil {
		return errors.Join(err, removeResolved(ctx, p, path))
	}
	return err
}

func removeResolved(ctx context.Context, p Process, path string) error {
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return mayNot(path, err)
	}
	return reloadResolved(ctx, p)
}

func reloadResolved(ctx context.Context, p Process) error {
	if err := p.Run(ctx, "systemctl", "reload-or-restart", "systemd-resolved.service"); err != nil {
		return fmt.Errorf("have systemd-resolved read its configuration: %w", err)
	}
	return nil
}

// mayNot says what to do about a file that may not be written.
func mayNot(path string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("you may not write %s: run this as root", path)
	}
	return err
}

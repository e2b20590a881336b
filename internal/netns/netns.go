// Package netns holds named network namespaces: it makes, opens, lists and takes
// away namespaces under their names, and runs code inside of them.
//
// A name is a bind mount in Dir, as of `ip netns`, so that an operator sees with
// the usual tools what there is. A namespace lives as long as its name, a process
// in it, or a descriptor of it does.
package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Dir is where the names of namespaces are.
const Dir = "/run/netns"

// mode of Dir and of the files in it, as `ip netns` makes them: a namespace can be
// seen by everybody and entered with privileges alone.
const (
	dirMode  = 0o755
	fileMode = 0o444
)

// Namespace is an open network namespace. It may be used by several goroutines.
type Namespace struct {
	path string
	file *os.File
}

// Path names the namespace to other processes.
func (n *Namespace) Path() string { return n.path }

// FD is the descriptor of the namespace, good until Close.
func (n *Namespace) FD() int { return int(n.file.Fd()) }

// Close lets go of the namespace and leaves its name.
func (n *Namespace) Close() error { return n.file.Close() }

// Same reports whether both are one namespace, by whichever name.
func (n *Namespace) Same(other *Namespace) (bool, error) {
	a, err := n.file.Stat()
	if err != nil {
		return false, fmt.Errorf("stat namespace %s: %w", n.path, err)
	}
	b, err := other.file.Stat()
	if err != nil {
		return false, fmt.Errorf("stat namespace %s: %w", other.path, err)
	}
	return os.SameFile(a, b), nil
}

// Named reports whether the path still leads to this namespace: somebody may have
// deleted the name, which does not end what is open.
func (n *Namespace) Named() bool {
	at, err := os.Stat(n.path)
	if err != nil {
		return false
	}
	here, err := n.file.Stat()
	return err == nil && os.SameFile(at, here)
}

// Path is where the name is, whether it exists or not.
func Path(name string) string { return filepath.Join(Dir, name) }

// Open opens a namespace by its name, or by its path if there is a slash in it
// (such as /proc/PID/ns/net). The error is an fs.ErrNotExist also if the name is a
// leftover that leads to no namespace.
func Open(nameOrPath string) (*Namespace, error) {
	path := nameOrPath
	if !strings.Contains(path, "/") {
		path = Path(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open namespace: %w", err)
	}
	if !isNamespace(f) {
		_ = f.Close()
		return nil, fmt.Errorf("open namespace: %s leads to none: %w", path, fs.ErrNotExist)
	}
	return &Namespace{path: path, file: f}, nil
}

// Current opens the namespace that this process is in.
func Current() (*Namespace, error) {
	// The main thread never changes its namespace here, see Do.
	return Open(fmt.Sprintf("/proc/%d/ns/net", os.Getpid()))
}

// isNamespace reports whether an open file is a namespace, not an ordinary file
// that waits for one to be mounted.
func isNamespace(f *os.File) bool {
	var st unix.Statfs_t
	return unix.Fstatfs(int(f.Fd()), &st) == nil && st.Type == unix.NSFS_MAGIC
}

// Exists reports whether the name leads to a namespace.
func Exists(name string) bool {
	var st unix.Statfs_t
	return unix.Statfs(Path(name), &st) == nil && st.Type == unix.NSFS_MAGIC
}

// List gives the names that begin with prefix, sorted; leftovers that lead to no
// namespace are among them, so that they can be deleted.
func List(prefix string) ([]string, error) {
	entries, err := os.ReadDir(Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Delete takes the name away. The namespace ends when nothing is in it any more. A
// name that does not exist is no error.
func Delete(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	unlock, err := lockDir()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	// A name can have been mounted over more than once.
	for {
		err := unix.Unmount(Path(name), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break
		}
		if err != nil {
			return fmt.Errorf("unmount namespace %s: %w", name, err)
		}
	}
	if err := os.Remove(Path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete namespace: %w", err)
	}
	return nil
}

// checkName refuses what would lead out of Dir.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") || len(name) > unix.NAME_MAX {
		return fmt.Errorf("%q cannot be the name of a namespace", name)
	}
	return nil
}

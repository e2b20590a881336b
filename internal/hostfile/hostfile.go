// Package hostfile edits files of the host that Larder shares with others: it keeps a
// block of lines between markers of its own and leaves everything else as it is, to
// the byte.
package hostfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxFile bounds what is read: no file of names that people edit is as large.
const maxFile = 16 << 20

// Block is a block of a file. Blocks of different owners do not meet.
type Block struct {
	// Path is that of the file, Owner a word or path that tells blocks apart.
	Path, Owner string
}

func (b Block) begin() []byte {
	return []byte("# BEGIN larder " + b.Owner + " (kept by larder serve; larder dns remove takes it out)\n")
}

func (b Block) end() []byte { return []byte("# END larder " + b.Owner + "\n") }

// Put makes the block hold lines, which each end in a newline. A block that is not
// there yet is put at the file's beginning, so that taking it out again leaves what
// was there. The file must exist; it keeps its mode and owner. Nothing is written if
// the block is as it should be.
func (b Block) Put(lines []byte) error {
	return b.edit(func(before, rest []byte) []byte {
		return bytes.Join([][]byte{before, b.begin(), lines, b.end(), rest}, nil)
	})
}

// Remove takes the block out. A file without it, and one that is gone, are as they
// should be.
func (b Block) Remove() error {
	err := b.edit(func(before, rest []byte) []byte { return append(bytes.Clone(before), rest...) })
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFile) {
		return nil
	}
	return err
}

// errNoFile: what is there cannot hold a block.
var errNoFile = errors.New("not a file of names")

// edit replaces the file by what make gives for the parts before and after the block.
func (b Block) edit(change func(before, rest []byte) []byte) error {
	path, err := filepath.EvalSymlinks(b.Path)
	if err != nil {
		return fmt.Errorf("edit %s: %w", b.Path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("edit %s: %w", b.Path, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return fmt.Errorf("edit %s: %w", b.Path, errNoFile)
	}
	was, err := os.ReadFile(path)
	if err != nil {
		return readable(b.Path, err)
	}
	before, rest, err := b.split(was)
	if err != nil {
		return err
	}
	will := change(before, rest)
	if bytes.Equal(was, will) {
		return nil
	}
	return readable(b.Path, replace(path, info, will))
}

// split finds the parts before and after the block; without one everything is after
// it.
func (b Block) split(text []byte) (before, rest []byte, err error) {
	from := lineAt(text, b.begin())
	if from < 0 {
		return nil, text, nil
	}
	inside := text[from+len(b.begin()):]
	to := lineAt(inside, b.end())
	if to < 0 {
		return nil, nil, fmt.Errorf("%s has %q without the line that ends it: mend it by hand", b.Path, bytes.TrimSpace(b.begin()))
	}
	return text[:from], inside[to+len(b.end()):], nil
}

// lineAt finds a whole line.
func lineAt(text, line []byte) int {
	for from := 0; ; {
		at := bytes.Index(text[from:], line)
		if at < 0 {
			return -1
		}
		if at += from; at == 0 || text[at-1] == '\n' {
			return at
		}
		from = at + 1
	}
}

// readable says what to do about a file that may not be written.
func readable(path string, err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return fmt.Errorf("user %d may not write %s: run larder serve as a user who may", os.Geteuid(), path)
	}
	return err
}

// replace puts a new file in the place of another one at once. Where that is a mount
// of its own, as in containers, it is written in place.
func replace(path string, as fs.FileInfo, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".larder-*")
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return inPlace(path, data)
		}
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Chmod(as.Mode().Perm())
	}
	if err == nil {
		err = sameOwner(tmp, as)
	}
	if err == nil {
		err = tmp.Sync()
	}
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err == nil {
		return nil
	}
	_ = os.Remove(tmp.Name())
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EXDEV) || errors.Is(err, fs.ErrPermission) {
		return inPlace(path, data)
	}
	return fmt.Errorf("write %s: %w", path, err)
}

func sameOwner(f *os.File, as fs.FileInfo) error {
	st, ok := as.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return f.Chown(int(st.Uid), int(st.Gid))
}

func inPlace(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Truncate(int64(len(data)))
	}
	return errors.Join(err, f.Close())
}

package hostfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Whatever was in the file is in it afterwards, to the byte, wherever the block has
// got to.
func TestRestores(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"ordinary":                   "127.0.0.1 localhost\n::1 localhost\n",
		"empty":                      "",
		"without a newline":          "127.0.0.1 localhost",
		"of another system":          "127.0.0.1 localhost\r\n\r\n",
		"block of somebody else":     "# BEGIN larder /other (kept by larder serve; larder dns remove takes it out)\n127.1.1.1 x\n# END larder /other\n",
		"marker within another line": "# see # BEGIN larder /data (kept by larder serve; larder dns remove takes it out)\n",
		"no text":                    "\xff\x00\n\x00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "hosts")
			put(t, path, text)
			b := Block{Path: path, Owner: "/data"}
			for _, lines := range []string{"127.10.0.4 a.d.test\n", "127.10.0.5 b.d.test\n127.10.0.6 c.d.test\n", ""} {
				for range 2 {
					if err := b.Put([]byte(lines)); err != nil {
						t.Fatal(err)
					}
				}
				if got := get(t, path); !strings.HasSuffix(got, text) || strings.Count(got, lines) < 1 || strings.Count(got, "# END larder /data\n") != 1 {
					t.Errorf("the file is %q", got)
				}
			}
			put(t, path, "# somebody's\n"+get(t, path))
			if err := b.Put([]byte("127.10.0.7 d.d.test\n")); err != nil {
				t.Fatal(err)
			}
			if got := get(t, path); !strings.HasPrefix(got, "# somebody's\n# BEGIN larder /data") {
				t.Errorf("the block has moved: %q", got)
			}
			for range 2 {
				if err := b.Remove(); err != nil {
					t.Fatal(err)
				}
				if got := get(t, path); got != "# somebody's\n"+text {
					t.Errorf("left is %q", got)
				}
			}
			entries, err := os.ReadDir(filepath.Dir(path))
			if err != nil || len(entries) != 1 {
				t.Errorf("left behind are %v, %v", entries, err)
			}
		})
	}
}

// The file keeps who may read it, and a link to it stays one.
func TestKeepsModeAndLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, link := filepath.Join(dir, "hosts"), filepath.Join(dir, "link")
	put(t, path, "x\n")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	owner := os.Geteuid()
	if owner == 0 {
		owner = 4711
		if err := os.Chown(path, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	if err := (Block{Path: link, Owner: "/data"}).Put([]byte("127.10.0.4 a\n")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != 0o640 || int(info.Sys().(*syscall.Stat_t).Uid) != owner {
		t.Errorf("mode %v, owner %v, %v", info.Mode(), info.Sys().(*syscall.Stat_t).Uid, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
}

// Where a file cannot be replaced, as one that is mounted into a container, it is
// written in place, longer or shorter than before.
func TestInPlace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hosts")
	put(t, path, "127.0.0.1 localhost\n")
	for _, text := range []string{"a longer text than there was before\n", "short\n", ""} {
		if err := inPlace(path, []byte(text)); err != nil || get(t, path) != text {
			t.Errorf("got %q, %v", get(t, path), err)
		}
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	begin := string(Block{Owner: "/data"}.begin())
	damaged := filepath.Join(dir, "damaged")
	put(t, damaged, begin+"127.10.0.4 a\nothers\n")
	for name, path := range map[string]string{"damaged": damaged, "missing": filepath.Join(dir, "none"), "a directory": dir} {
		if err := (Block{Path: path, Owner: "/data"}).Put([]byte("x\n")); err == nil {
			t.Errorf("a file that is %s is written", name)
		}
	}
	if err := (Block{Path: damaged, Owner: "/data"}).Remove(); err == nil || get(t, damaged) != begin+"127.10.0.4 a\nothers\n" {
		t.Errorf("a damaged block is removed: %v", err)
	}
	if err := (Block{Path: filepath.Join(dir, "none"), Owner: "/data"}).Remove(); err != nil {
		t.Errorf("removing from a file that is gone: %v", err)
	}
}

// FuzzBlock: any file is restored, or refused and left alone.
func FuzzBlock(f *testing.F) {
	b := Block{Owner: "/d"}
	f.Add("127.0.0.1 localhost\n", "127.10.0.4 a\n")
	f.Add(string(b.begin())+"x\n"+string(b.end()), "y\n")
	f.Add("x"+string(b.begin()), "")
	f.Fuzz(func(t *testing.T, text, lines string) {
		if strings.Contains(lines, "larder") || lines != "" && !strings.HasSuffix(lines, "\n") {
			return // no line of ours has either
		}
		b := Block{Path: filepath.Join(t.TempDir(), "hosts"), Owner: "/d"}
		put(t, b.Path, text)
		had := strings.Contains(text, string(b.begin()))
		if b.Put([]byte(lines)) != nil || b.Remove() != nil {
			if get(t, b.Path) != text {
				t.Error("a file that is refused is changed")
			}
			return
		}
		if got := get(t, b.Path); !had && got != text {
			t.Errorf("left is %q of %q", got, text)
		}
	})
}

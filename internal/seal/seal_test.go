package seal_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/seal"
)

const token = "correct-horse-battery-staple"

func mustSeal(t *testing.T, r *seal.Ring, text string) core.Sealed {
	t.Helper()
	s, err := r.Seal(core.NewSecret(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealAndUnseal(t *testing.T) {
	t.Parallel()
	r := seal.NewTest()
	for _, text := range []string{"", "x", token, strings.Repeat("long", 10_000), "\x00\xff"} {
		sealed := mustSeal(t, r, text)
		if len(text) > 1 && bytes.Contains(sealed, []byte(text)) {
			t.Error("the sealed value shows the secret")
		}
		got, err := r.Unseal(sealed)
		if err != nil || got.Reveal() != text {
			t.Errorf("unseal gives %d bytes, error %v; want %d bytes", got.Len(), err, len(text))
		}
	}
	if bytes.Equal(mustSeal(t, r, token), mustSeal(t, r, token)) {
		t.Error("the same secret seals to the same value")
	}
	if sealed := mustSeal(t, r, ""); !sealed.IsZero() {
		t.Error("no secret seals to something")
	}
}

func TestUnsealRefuses(t *testing.T) {
	t.Parallel()
	r := seal.NewTest()
	good := mustSeal(t, r, token)
	damaged := func(at int) core.Sealed {
		s := bytes.Clone(good)
		s[(at+len(s))%len(s)] ^= 1
		return s
	}
	for name, sealed := range map[string]core.Sealed{
		"another deployment": mustSeal(t, seal.NewTest(), token),
		"garbage":            core.Sealed("garbage"),
		"one byte":           {1},
		"plaintext":          core.Sealed(token),
		"cut short":          good[:len(good)-1],
		"header only":        good[:17],
		"version changed":    damaged(0),
		"key id changed":     damaged(1),
		"nonce changed":      damaged(5),
		"text changed":       damaged(20),
		"tag changed":        damaged(-1),
	} {
		if got, err := r.Unseal(sealed); !errors.Is(err, seal.ErrUnseal) || !got.IsZero() {
			t.Errorf("%s: error %v, want ErrUnseal", name, err)
		}
	}
}

func FuzzUnseal(f *testing.F) {
	r := seal.NewTest()
	good, err := r.Seal(core.NewSecret(token))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(good))
	f.Add([]byte{})
	f.Add([]byte(token))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := r.Unseal(b)
		if err == nil && len(b) > 0 && !(bytes.Equal(b, good) && got.Reveal() == token) {
			t.Errorf("%x unseals", b)
		}
	})
}

func TestOpenMakesAKeyAndKeepsIt(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	first, err := seal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "seal.key")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || info.Size() != 32 {
		t.Errorf("key file: %v, %v; want 32 bytes of mode 0600", info, err)
	}
	sealed := mustSeal(t, first, token)
	second, err := seal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := second.Unseal(sealed); err != nil || got.Reveal() != token {
		t.Errorf("after opening again: %v", err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

func TestOpenByManyAtOnceMakesOneKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var wg sync.WaitGroup
	derived := make([]core.Secret, 8)
	for i := range derived {
		wg.Go(func() {
			r, err := seal.Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			derived[i] = r.Derive("p", "u")
		})
	}
	wg.Wait()
	for _, d := range derived {
		if !d.Equal(derived[0]) {
			t.Fatal("two processes that started together use different keys")
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		key  []byte
		mode os.FileMode
		want string
	}{
		{"readable by the group", make([]byte, 32), 0o640, "accessible to others"},
		{"readable by all", make([]byte, 32), 0o604, "accessible to others"},
		{"too short", make([]byte, 31), 0o600, "31 bytes"},
		{"empty", nil, 0o600, "0 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "seal.key")
			if err := os.WriteFile(path, test.key, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, test.mode); err != nil {
				t.Fatal(err)
			}
			if _, err := seal.Open(dir); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Open = %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestDerive(t *testing.T) {
	t.Parallel()
	r := seal.NewTest()
	base := r.Derive("admin", "uid-1")
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(base.Reveal()) {
		t.Error("not 32 bytes in hexadecimal")
	}
	if !base.Equal(r.Derive("admin", "uid-1")) {
		t.Error("not the same each time")
	}
	for name, other := range map[string]core.Secret{
		"another object":     r.Derive("admin", "uid-2"),
		"another purpose":    r.Derive("replication", "uid-1"),
		"shifted boundary":   r.Derive("admin:uid", "1"),
		"another deployment": seal.NewTest().Derive("admin", "uid-1"),
	} {
		if base.Equal(other) {
			t.Errorf("%s gives the same password", name)
		}
	}
}

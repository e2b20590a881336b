package etcd_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/etcd"
	"github.com/larder-cache/larder/internal/store/storetest"
)

var discard = slog.New(slog.DiscardHandler)

func openEmbedded(t testing.TB, dir string) store.Backend {
	t.Helper()
	b, err := etcd.OpenEmbedded(t.Context(), dir, discard)
	if err != nil {
		t.Fatalf("open embedded etcd: %v", err)
	}
	return b
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	storetest.RunBackend(t, func(t *testing.T) store.Backend { return openEmbedded(t, t.TempDir()) })
}

func TestEmbeddedKeepsRecordsOverARestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	b := openEmbedded(t, dir)
	rev, _, err := b.Commit(t.Context(), store.Txn{Writes: []store.Write{{Key: "t/a", Value: []byte("1")}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("data directory: %v, %v; want mode 0700", info.Mode(), err)
	}
	b = openEmbedded(t, dir)
	defer b.Close()
	records, loaded, err := b.Load(t.Context())
	if err != nil || len(records) != 1 || records[0].Key != "t/a" || records[0].Mod != rev || loaded < rev {
		t.Errorf("after restart: %v at %d, error %v", records, loaded, err)
	}
}

func TestEmbeddedRefusesADirectoryInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := openEmbedded(t, dir)
	defer b.Close()
	if _, err := etcd.OpenEmbedded(t.Context(), dir, discard); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("second open = %v, want an error that says the directory is in use", err)
	}
}

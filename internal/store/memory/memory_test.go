package memory_test

import (
	"errors"
	"testing"

	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/memory"
	"github.com/larder-cache/larder/internal/store/storetest"
)

func TestBackend(t *testing.T) {
	t.Parallel()
	storetest.RunBackend(t, func(*testing.T) store.Backend { return memory.New() })
}

func TestWatchFromBeforeACompactionIsRefused(t *testing.T) {
	t.Parallel()
	b := memory.New()
	for range 3 {
		if _, _, err := b.Commit(t.Context(), store.Txn{Writes: []store.Write{{Key: "t/a"}}}); err != nil {
			t.Fatal(err)
		}
	}
	b.Compact()
	if err := b.Watch(t.Context(), 1, func(store.Batch) {}); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("Watch = %v, want ErrCompacted", err)
	}
}

// Package storetest gives tests a store, and holds every backend to the same
// contract.
package storetest

import (
	"log/slog"
	"testing"

	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/memory"
)

// New is an empty store in memory that is closed with the test. The test fails
// if anyone changed a record that View or Local handed out.
func New(t testing.TB) *store.Store {
	t.Helper()
	return Open(t, memory.New())
}

// Open is New on a given backend.
func Open(t testing.TB, b store.Backend) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), b, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	t.Cleanup(func() {
		if err := s.VerifyShared(); err != nil {
			t.Errorf("a shared record was changed in place: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return s
}

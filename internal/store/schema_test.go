package store_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/memory"
)

type upgrades = []func(tx *store.Tx) error

// openVersion opens b as a program with these upgrades, looks, and closes.
func openVersion(t *testing.T, b store.Backend, steps upgrades, look func(r store.Reader)) error {
	t.Helper()
	s, err := store.OpenWithUpgrades(t.Context(), b, discard, steps)
	if err != nil {
		return err
	}
	s.Local(look)
	return s.Close()
}

// renameField is an upgrade from a shape without a type of its own any more.
func renameField(from, to string) func(tx *store.Tx) error {
	return func(tx *store.Tx) error {
		old := store.NewTable[map[string]any]("pets")
		for _, key := range old.Keys(tx, "") {
			rec, _ := old.Get(tx, key)
			(*rec)[to] = (*rec)[from]
			delete(*rec, from)
			old.Put(tx, key, rec)
		}
		return nil
	}
}

func TestSchemaUpgradesRunOnceAndInOrder(t *testing.T) {
	t.Parallel()
	b := memory.New()
	s, err := store.Open(t.Context(), b, discard)
	if err != nil {
		t.Fatal(err)
	}
	older := store.NewTable[map[string]string]("pets")
	update(t, s, func(tx *store.Tx) error { older.Put(tx, "a", &map[string]string{"Title": "rex"}); return nil })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	steps := upgrades{renameField("Title", "Label"), renameField("Label", "Name")}
	for _, when := range []string{"first", "second"} {
		err := openVersion(t, b, steps, func(r store.Reader) {
			if p, ok := pets.Get(r, "a"); !ok || p.Name != "rex" {
				t.Errorf("after the %s start of the newer program: %+v, %v", when, p, ok)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	err = openVersion(t, b, steps[:1], func(store.Reader) {})
	if err == nil || !strings.Contains(err.Error(), "schema version 3 is newer than 2") {
		t.Errorf("an older program opens: %v, want a refusal", err)
	}
}

func TestASchemaUpgradeThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	b := memory.New()
	if err := openVersion(t, b, nil, func(store.Reader) {}); err != nil {
		t.Fatal(err)
	}
	before, _ := b.Head(t.Context())
	broken := errors.New("broken")
	err := openVersion(t, b, upgrades{func(tx *store.Tx) error {
		pets.Put(tx, "half", &pet{})
		return broken
	}}, func(store.Reader) {})
	if !errors.Is(err, broken) {
		t.Errorf("open = %v, want the upgrade's error", err)
	}
	if head, _ := b.Head(t.Context()); head != before {
		t.Error("a failed upgrade made a commit")
	}
}

func TestANewStoreHasTheNewestSchema(t *testing.T) {
	t.Parallel()
	never := func(*store.Tx) error { return errors.New("nothing to upgrade") }
	if err := openVersion(t, memory.New(), upgrades{never}, func(store.Reader) {}); err != nil {
		t.Error(err)
	}
}

func TestServersThatStartTogetherUpgradeOnce(t *testing.T) {
	t.Parallel()
	b := memory.New()
	s, err := store.Open(t.Context(), b, discard)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put(t, s, "a", pet{Age: 1})
	double := func(tx *store.Tx) error {
		p, _ := pets.Get(tx, "a")
		p.Age *= 2
		pets.Put(tx, "a", p)
		return nil
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := openVersion(t, b, upgrades{double}, func(store.Reader) {}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := s.View(t.Context(), func(r store.Reader) error {
		if p, _ := pets.Get(r, "a"); p.Age != 2 {
			t.Errorf("age %d after one upgrade, want 2", p.Age)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

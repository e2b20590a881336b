package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/storetest"
)

type pet struct {
	Name string
	Age  int
	Tags map[string]string
}

var (
	pets = store.NewTable[pet]("pets")
	jobs = store.NewTable[pet]("jobs")
)

func put(t testing.TB, s *store.Store, key string, p pet) {
	t.Helper()
	update(t, s, func(tx *store.Tx) error { pets.Put(tx, key, &p); return nil })
}

func update(t testing.TB, s *store.Store, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), fn); err != nil {
		t.Fatalf("update: %v", err)
	}
}

func names(list []*pet) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.Name)
	}
	return out
}

func TestUpdateIsSeenByViewAndLocalAtOnce(t *testing.T) {
	t.Parallel()
	s := storetest.New(t)
	for i := range 100 {
		put(t, s, "eu/rex", pet{Name: "rex", Age: i})
		check := func(where string, r store.Reader) {
			if p, ok := pets.Get(r, "eu/rex"); !ok || p.Age != i {
				t.Fatalf("%s after update %d: got %+v, %v", where, i, p, ok)
			}
		}
		s.Local(func(r store.Reader) { check("Local", r) })
		if err := s.View(t.Context(), func(r store.Reader) error { check("View", r); return nil }); err != nil {
			t.Fatal(err)
		}
	}
}

func TestListIsSortedAndLimitedToThePrefix(t *testing.T) {
	t.Parallel()
	s := storetest.New(t)
	update(t, s, func(tx *store.Tx) error {
		for _, key := range []string{"eu/c", "eu/a", "us/d", "eu2/e", "eu/b"} {
			pets.Put(tx, key, &pet{Name: key})
		}
		jobs.Put(tx, "eu/z", &pet{Name: "job"})
		return nil
	})
	for _, test := range []struct {
		prefix string
		want   []string
	}{
		{"", []string{"eu/a", "eu/b", "eu/c", "eu2/e", "us/d"}},
		{"eu/", []string{"eu/a", "eu/b", "eu/c"}},
		{"us/", []string{"us/d"}},
		{"ap/", nil},
	} {
		s.Local(func(r store.Reader) {
			if got := names(pets.List(r, test.prefix)); !slices.Equal(got, test.want) {
				t.Errorf("List(%q) = %v, want %v", test.prefix, got, test.want)
			}
			if got := pets.Keys(r, test.prefix); !slices.Equal(got, test.want) {
				t.Errorf("Keys(%q) = %v, want %v", test.prefix, got, test.want)
			}
		})
	}
}

func TestTxReadsItsOwnWrites(t *testing.T) {
	t.Parallel()
	s := storetest.New(t)
	put(t, s, "a", pet{Name: "a"})
	put(t, s, "b", pet{Name: "b"})
	update(t, s, func(tx *store.Tx) error {
		pets.Put(tx, "c", &pet{Name: "c"})
		pets.Put(tx, "0", &pet{Name: "0"})
		pets.Put(tx, "a", &pet{Name: "A"})
		pets.Delete(tx, "b")
		pets.Put(tx, "x", &pet{Name: "x"})
		pets.Delete(tx, "x")
		pets.Delete(tx, "never")
		if got, want := names(pets.List(tx, "")), []string{"0", "A", "c"}; !slices.Equal(got, want) {
			t.Errorf("List in the transaction = %v, want %v", got, want)
		}
		if _, ok := pets.Get(tx, "b"); ok {
			t.Error("Get finds what the transaction deleted")
		}
		if p, ok := pets.Get(tx, "c"); !ok || p.Name != "c" {
			t.Errorf("Get after Put = %+v, %v", p, ok)
		}
		return nil
	})
	s.Local(func(r store.Reader) {
		if got, want := names(pets.List(r, "")), []string{"0", "A", "c"}; !slices.Equal(got, want) {
			t.Errorf("List after commit = %v, want %v", got, want)
		}
	})
}

func TestTxGivesCopies(t *testing.T) {
	t.Parallel()
	s := storetest.New(t)
	put(t, s, "a", pet{Name: "a", Tags: map[string]string{"k": "v"}})
	s.Local(func(r store.Reader) { pets.Get(r, "a") }) // decoded once, shared
	update(t, s, func(tx *store.Tx) error {
		p, _ := pets.Get(tx, "a")
		p.Tags["k"] = "changed"
		if q, _ := pets.Get(tx, "a"); q.Tags["k"] != "v" {
			t.Error("a change without Put shows in the next Get")
		}
		return nil
	})
	s.Local(func(r store.Reader) {
		if p, _ := pets.Get(r, "a"); p.Tags["k"] != "v" {
			t.Error("a change to a transaction's copy shows in the shared record")
		}
	})
}

func TestUpdateErrorStoresNothing(t *testing.T) {
	t.Parallel()
	s := storetest.New(t)
	refused := errors.New("refused")
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		pets.Put(tx, "a", &pet{Name: "a"})
		return refused
	})
	if !errors.Is(err, refused) {
		t.Errorf("Update = %v, want the error of the function", err)
	}
	s.Local(func(r store.Reader) {
		if _, ok := pets.Get(r, "a"); ok {
			t.Error("a refused update was stored")
		}
	})
}

func TestConcurrentUpdatesLoseNothing(t *testing.T) {
	t.Parallel()
	s := storetest.New(t)
	const workers, rounds = 8, 20
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range rounds {
				err := s.Update(context.WithoutCancel(t.Context()), func(tx *store.Tx) error {
					p, ok := pets.Get(tx, "count")
					if !ok {
						p = &pet{}
					}
					p.Age++
					pets.Put(tx, "count", p)
					return nil
				})
				if err != nil {
					t.Errorf("update: %v", err)
				}
			}
		})
	}
	wg.Wait()
	s.Local(func(r store.Reader) {
		if p, _ := pets.Get(r, "count"); p.Age != workers*rounds {
			t.Errorf("count = %d, want %d", p.Age, workers*rounds)
		}
	})
}

func ExampleTable() {
	fmt.Println(pets.Name())
	// Output: pets
}

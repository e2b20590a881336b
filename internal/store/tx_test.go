package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/memory"
	"github.com/larder-cache/larder/internal/store/storetest"
)

// Whatever a transaction has read and another changed meanwhile makes it run
// again; nothing else does.
func TestConflicts(t *testing.T) {
	t.Parallel()
	get := func(key string) func(*store.Tx) { return func(tx *store.Tx) { pets.Get(tx, key) } }
	list := func(prefix string) func(*store.Tx) { return func(tx *store.Tx) { pets.List(tx, prefix) } }
	write := func(key string) func(*store.Tx) {
		return func(tx *store.Tx) { pets.Put(tx, key, &pet{Name: "other"}) }
	}
	remove := func(key string) func(*store.Tx) { return func(tx *store.Tx) { pets.Delete(tx, key) } }
	for _, test := range []struct {
		name  string
		read  func(*store.Tx)
		other func(*store.Tx)
		again bool
	}{
		{"key changed", get("eu/a"), write("eu/a"), true},
		{"key removed", get("eu/a"), remove("eu/a"), true},
		{"absent key written", get("eu/new"), write("eu/new"), true},
		{"other key changed", get("eu/a"), write("eu/b"), false},
		{"nothing read", func(*store.Tx) {}, write("eu/a"), false},
		{"listed record changed", list("eu/"), write("eu/a"), true},
		{"record came into the list", list("eu/"), write("eu/new"), true},
		{"record came into an empty list", list("ap/"), write("ap/new"), true},
		{"record left the list", list("eu/"), remove("eu/a"), true},
		{"change beside the list", list("eu/"), write("us/c"), false},
		{"same value written", list("eu/"), func(tx *store.Tx) { pets.Put(tx, "eu/a", &pet{Name: "a"}) }, false},
		{"deleted what is not there, then it came", remove("eu/new"), write("eu/new"), true},
		{"wrote what is there already, then it changed", func(tx *store.Tx) { pets.Put(tx, "eu/a", &pet{Name: "a"}) }, write("eu/a"), true},
		{"got and listed, then it changed", func(tx *store.Tx) { get("eu/a")(tx); list("eu/")(tx) }, write("eu/a"), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := storetest.New(t)
			for _, key := range []string{"eu/a", "eu/b", "us/c"} {
				put(t, s, key, pet{Name: strings.SplitAfter(key, "/")[1]})
			}
			runs := 0
			update(t, s, func(tx *store.Tx) error {
				runs++
				test.read(tx)
				if runs == 1 {
					update(t, s, func(tx *store.Tx) error { test.other(tx); return nil })
				}
				jobs.Put(tx, "result", &pet{Age: runs})
				return nil
			})
			if again := runs == 2; again != test.again || runs > 2 {
				t.Errorf("ran %d times, want again: %v", runs, test.again)
			}
		})
	}
}

func TestUpdateGivesUpAfterManyConflicts(t *testing.T) {
	t.Parallel()
	s := storetest.New(t)
	runs := 0
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		runs++
		pets.Get(tx, "a")
		put(t, s, "a", pet{Age: runs})
		pets.Put(tx, "a", &pet{})
		return nil
	})
	if !errors.Is(err, store.ErrConflict) || runs < 10 {
		t.Errorf("Update = %v after %d runs, want ErrConflict after many", err, runs)
	}
}

func TestUpdateWithoutAnEffectCommitsNothing(t *testing.T) {
	t.Parallel()
	b := memory.New()
	s := storetest.Open(t, b)
	put(t, s, "a", pet{Name: "a"})
	before, err := b.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, fn := range map[string]func(tx *store.Tx){
		"read only":            func(tx *store.Tx) { pets.List(tx, "") },
		"same value":           func(tx *store.Tx) { pets.Put(tx, "a", &pet{Name: "a"}) },
		"changed and put back": func(tx *store.Tx) { pets.Put(tx, "a", &pet{}); pets.Put(tx, "a", &pet{Name: "a"}) },
		"put and deleted":      func(tx *store.Tx) { pets.Put(tx, "b", &pet{}); pets.Delete(tx, "b") },
		"deleted what is not":  func(tx *store.Tx) { pets.Delete(tx, "none") },
	} {
		update(t, s, func(tx *store.Tx) error { fn(tx); return nil })
		if head, _ := b.Head(t.Context()); head != before {
			t.Errorf("%s: made a commit", name)
			before = head
		}
	}
}

func TestPutOfWhatCannotBeEncodedFails(t *testing.T) {
	t.Parallel()
	s := storetest.New(t)
	bad := store.NewTable[chan int]("bad")
	c := make(chan int)
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		pets.Put(tx, "a", &pet{})
		bad.Put(tx, "b", &c)
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "bad/b") {
		t.Errorf("Update = %v, want an error that names the record", err)
	}
	s.Local(func(r store.Reader) {
		if _, ok := pets.Get(r, "a"); ok {
			t.Error("half of a failed transaction was stored")
		}
	})
}

// slow is a backend that is far away, so that transactions overlap.
type slow struct{ *memory.Backend }

func (s slow) Commit(ctx context.Context, txn store.Txn) (store.Revision, bool, error) {
	time.Sleep(rand.N(200 * time.Microsecond))
	return s.Backend.Commit(ctx, txn)
}

// Transactions at random from several goroutines, each of which keeps the same
// two promises if and only if it runs as if it were alone: the sum of all ages
// is constant, and at least one record of each group remains.
func TestConcurrentTransactionsAreSerializable(t *testing.T) {
	t.Parallel()
	const groups, members, age, workers, rounds = 2, 3, 10, 4, 60
	s := storetest.Open(t, slow{memory.New()})
	for g := range groups {
		for m := range members {
			put(t, s, fmt.Sprintf("%d/%d", g, m), pet{Age: age})
		}
	}
	ctx := t.Context()
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			for range rounds {
				from, to := random.IntN(groups), random.IntN(groups)
				key, pick, all := fmt.Sprintf("%d/%d", to, random.IntN(members)), random.IntN(members), random.IntN(2) == 0
				err := s.Update(ctx, func(tx *store.Tx) error { mutate(tx, fmt.Sprint(from), key, pick, all); return nil })
				if err != nil {
					t.Errorf("update: %v", err)
				}
				checkPromises(t, s, groups, groups*members*age)
			}
		})
	}
	wg.Wait()
}

// mutate moves a year, or all of them, from one record of a group to another
// key, which it makes if it is not there. A record without years left is removed,
// unless it is the only one of its group.
func mutate(tx *store.Tx, group, key string, pick int, all bool) {
	list, keys := pets.List(tx, group+"/"), pets.Keys(tx, group+"/")
	pick %= len(list)
	if keys[pick] == key {
		return
	}
	years := 1
	if all {
		years = list[pick].Age
	}
	to, ok := pets.Get(tx, key)
	if !ok {
		to = &pet{}
	}
	to.Age += years
	list[pick].Age -= years
	pets.Put(tx, key, to)
	pets.Put(tx, keys[pick], list[pick])
	if all && len(list) > 1 {
		pets.Delete(tx, keys[pick])
	}
}

func checkPromises(t *testing.T, s *store.Store, groups, want int) {
	t.Helper()
	s.Local(func(r store.Reader) {
		sum := 0
		for _, p := range pets.List(r, "") {
			sum += p.Age
		}
		if sum != want {
			t.Errorf("ages sum up to %d, want %d", sum, want)
		}
		for g := range groups {
			if len(pets.Keys(r, fmt.Sprintf("%d/", g))) == 0 {
				t.Errorf("group %d has lost all its records", g)
			}
		}
	})
}

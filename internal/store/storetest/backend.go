package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/store"
)

// patience bounds every wait of the suite.
const patience = 10 * time.Second

// RunBackend holds a backend to the contract of store.Backend. open gives an
// empty one, which the suite closes.
func RunBackend(t *testing.T, open func(t *testing.T) store.Backend) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, b store.Backend)
	}{
		{"empty", testEmpty},
		{"commit and load", testCommitLoad},
		{"load many", testLoadMany},
		{"conditions", testConditions},
		{"refused commits change nothing", testRefused},
		{"head is linearizable", testHead},
		{"watch", testWatch},
		{"watch resumes", testWatchResumes},
		{"watch ends with its context", testWatchEnds},
		{"campaign", testCampaign},
		{"store", testStore},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			closed := false
			t.Cleanup(func() {
				if closed {
					return
				}
				if err := b.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			if test.name == "store" {
				closed = true // the store closes it
			}
			test.run(t, b)
		})
	}
}

func put(key, value string) store.Write { return store.Write{Key: key, Value: []byte(value)} }

func del(key string) store.Write { return store.Write{Key: key, Delete: true} }

func commit(t *testing.T, b store.Backend, writes ...store.Write) store.Revision {
	t.Helper()
	rev, ok, err := b.Commit(t.Context(), store.Txn{Writes: writes})
	if err != nil || !ok {
		t.Fatalf("commit %v: ok %v, error %v", writes, ok, err)
	}
	return rev
}

func load(t *testing.T, b store.Backend) ([]store.Record, store.Revision) {
	t.Helper()
	records, rev, err := b.Load(t.Context())
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return records, rev
}

func testEmpty(t *testing.T, b store.Backend) {
	records, rev := load(t, b)
	if len(records) != 0 {
		t.Errorf("an empty backend has records: %v", records)
	}
	if head, err := b.Head(t.Context()); err != nil || head > rev {
		t.Errorf("Head = %d, %v; want at most the loaded revision %d", head, err, rev)
	}
}

func testCommitLoad(t *testing.T, b store.Backend) {
	first := commit(t, b, put("t/b", "1"), put("t/a", "2"), put("t/gone", "x"))
	second := commit(t, b, put("u/c", "3"), del("t/gone"), del("t/never"))
	if second <= first {
		t.Errorf("revisions do not grow: %d, then %d", first, second)
	}
	records, rev := load(t, b)
	want := []store.Record{
		{Key: "t/a", Value: []byte("2"), Mod: first},
		{Key: "t/b", Value: []byte("1"), Mod: first},
		{Key: "u/c", Value: []byte("3"), Mod: second},
	}
	if !reflect.DeepEqual(records, want) {
		t.Errorf("loaded %v, want %v", records, want)
	}
	if rev < second {
		t.Errorf("loaded revision %d is older than the last commit, %d", rev, second)
	}
}

func testLoadMany(t *testing.T, b store.Backend) {
	const count = 2500
	for start := 0; start < count; start += 100 {
		var writes []store.Write
		for i := start; i < start+100; i++ {
			writes = append(writes, put(fmt.Sprintf("t/%05d", i), "v"))
		}
		commit(t, b, writes...)
	}
	records, _ := load(t, b)
	if len(records) != count {
		t.Fatalf("loaded %d records, want %d", len(records), count)
	}
	if !slices.IsSortedFunc(records, func(x, y store.Record) int { return compare(x.Key, y.Key) }) {
		t.Error("records are not sorted by key")
	}
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func testConditions(t *testing.T, b store.Backend) {
	first := commit(t, b, put("t/a", "1"), put("t/b", "1"), put("t/gone", "1"), put("tt/x", "1"))
	second := commit(t, b, put("t/b", "2"), del("t/gone"))
	for _, test := range []struct {
		name string
		cond store.Condition
		want bool
	}{
		{"same revision", store.Condition{Key: "t/a", Mod: first}, true},
		{"changed since", store.Condition{Key: "t/b", Mod: first}, false},
		{"latest revision", store.Condition{Key: "t/b", Mod: second}, true},
		{"absent", store.Condition{Key: "t/none", Mod: 0}, true},
		{"removed", store.Condition{Key: "t/gone", Mod: 0}, true},
		{"removed since", store.Condition{Key: "t/gone", Mod: first}, false},
		{"not absent", store.Condition{Key: "t/a", Mod: 0}, false},
		{"prefix unchanged", store.Condition{Key: "t/", Prefix: true, Mod: second}, true},
		{"prefix changed", store.Condition{Key: "t/", Prefix: true, Mod: first}, false},
		{"narrower prefix unchanged", store.Condition{Key: "t/a", Prefix: true, Mod: first}, true},
		{"neighbour of the prefix", store.Condition{Key: "tt/", Prefix: true, Mod: first}, true},
		{"empty prefix", store.Condition{Key: "nothing/", Prefix: true, Mod: first}, true},
	} {
		_, ok, err := b.Commit(t.Context(), store.Txn{
			Conditions: []store.Condition{test.cond},
			Writes:     []store.Write{put("result/"+test.name, "1")},
		})
		if err != nil || ok != test.want {
			t.Errorf("%s: committed %v, error %v; want %v", test.name, ok, err, test.want)
		}
	}
}

func testRefused(t *testing.T, b store.Backend) {
	rev := commit(t, b, put("t/a", "1"))
	_, ok, err := b.Commit(t.Context(), store.Txn{
		Conditions: []store.Condition{{Key: "t/a", Mod: rev}, {Key: "t/b", Mod: rev}},
		Writes:     []store.Write{put("t/a", "2"), del("t/a2")},
	})
	if err != nil || ok {
		t.Fatalf("commit with one false condition: ok %v, error %v", ok, err)
	}
	records, _ := load(t, b)
	if len(records) != 1 || string(records[0].Value) != "1" || records[0].Mod != rev {
		t.Errorf("records after a refused commit: %v", records)
	}
	if head, _ := b.Head(t.Context()); head != rev {
		t.Errorf("head after a refused commit is %d, want %d", head, rev)
	}
}

func testHead(t *testing.T, b store.Backend) {
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 25 {
				rev, ok, err := b.Commit(t.Context(), store.Txn{Writes: []store.Write{put(fmt.Sprintf("t/%d", worker), fmt.Sprint(i))}})
				if err != nil || !ok {
					t.Errorf("commit: ok %v, error %v", ok, err)
					return
				}
				if head, err := b.Head(t.Context()); err != nil || head < rev {
					t.Errorf("Head = %d, %v after commit %d", head, err, rev)
				}
			}
		})
	}
	wg.Wait()
}

// watching collects what a watch delivers, until the test ends.
func watching(t *testing.T, b store.Backend, after store.Revision) <-chan store.Batch {
	t.Helper()
	got := make(chan store.Batch, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := b.Watch(ctx, after, func(batch store.Batch) { got <- batch }); !errors.Is(err, context.Canceled) {
			t.Errorf("watch ended with %v, want the context's error", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return got
}

func expect(t *testing.T, got <-chan store.Batch, rev store.Revision, writes ...store.Write) {
	t.Helper()
	select {
	case b := <-got:
		byKey := func(x, y store.Write) int { return compare(x.Key, y.Key) }
		slices.SortFunc(b.Writes, byKey)
		slices.SortFunc(writes, byKey)
		same := slices.EqualFunc(b.Writes, writes, func(x, y store.Write) bool {
			return x.Key == y.Key && x.Delete == y.Delete && string(x.Value) == string(y.Value)
		})
		if b.Revision != rev || !same {
			t.Fatalf("watched %d %v, want %d %v", b.Revision, b.Writes, rev, writes)
		}
	case <-time.After(patience):
		t.Fatalf("no batch for revision %d", rev)
	}
}

func testWatch(t *testing.T, b store.Backend) {
	_, start := load(t, b)
	got := watching(t, b, start)
	first := commit(t, b, put("t/a", "1"), put("t/b", "2"))
	expect(t, got, first, put("t/a", "1"), put("t/b", "2"))
	second := commit(t, b, del("t/a"), put("t/b", "3"))
	expect(t, got, second, del("t/a"), put("t/b", "3"))
	for i := range 50 {
		rev := commit(t, b, put("t/n", fmt.Sprint(i)))
		expect(t, got, rev, put("t/n", fmt.Sprint(i)))
	}
}

func testWatchResumes(t *testing.T, b store.Backend) {
	first := commit(t, b, put("t/a", "1"))
	second := commit(t, b, put("t/a", "2"))
	third := commit(t, b, put("t/b", "3"), del("t/a"))
	got := watching(t, b, first)
	expect(t, got, second, put("t/a", "2"))
	expect(t, got, third, put("t/b", "3"), del("t/a"))
}

func testWatchEnds(t *testing.T, b store.Backend) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- b.Watch(ctx, 0, func(store.Batch) {}) }()
	select {
	case err := <-ended:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("watch ended with %v", err)
		}
	case <-time.After(patience):
		t.Error("the watch does not end with its context")
	}
}

func testCampaign(t *testing.T, b store.Backend) {
	lost, resign, err := b.Campaign(t.Context(), "one")
	if err != nil {
		t.Fatalf("first campaign: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := b.Campaign(short, "two"); err == nil {
		t.Fatal("two leaders at once")
	}
	type outcome struct {
		resign func()
		err    error
	}
	second := make(chan outcome, 1)
	go func() {
		_, resign, err := b.Campaign(t.Context(), "three")
		second <- outcome{resign, err}
	}()
	select {
	case <-lost:
		t.Fatal("leadership was lost without a reason")
	case <-second:
		t.Fatal("two leaders at once")
	case <-time.After(20 * time.Millisecond):
	}
	resign()
	resign() // harmless
	for what, ended := range map[string]<-chan struct{}{"lost is closed": lost} {
		select {
		case <-ended:
		case <-time.After(patience):
			t.Errorf("after resigning: no %s", what)
		}
	}
	select {
	case o := <-second:
		if o.err != nil {
			t.Fatalf("next campaign: %v", o.err)
		}
		o.resign()
	case <-time.After(patience):
		t.Fatal("nobody follows a leader that resigned")
	}
}

var words = store.NewTable[string]("words")

// testStore runs a Store on the backend: transactions that collide, and the view
// after them.
func testStore(t *testing.T, b store.Backend) {
	s := Open(t, b)
	const workers, rounds = 4, 10
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for i := range rounds {
				err := s.Update(t.Context(), func(tx *store.Tx) error {
					text := fmt.Sprint(len(words.List(tx, "w/")))
					words.Put(tx, fmt.Sprintf("w/%d-%d", worker, i), &text)
					return nil
				})
				if err != nil {
					t.Errorf("update: %v", err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	s.Local(func(r store.Reader) {
		for _, text := range words.List(r, "w/") {
			seen[*text] = true
		}
	})
	if len(seen) != workers*rounds {
		t.Errorf("%d different counts were stored, want %d: a transaction missed another's record", len(seen), workers*rounds)
	}
}

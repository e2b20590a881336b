package store

import (
	"bytes"
	"strings"
	"sync/atomic"

	"github.com/google/btree"
)

// Reader is a consistent state of the store at one revision. Tables read it.
type Reader interface {
	find(path string) *record
	// scan visits the records under a prefix in order of their keys.
	scan(prefix string, visit func(*record))
	// owned says that decoded values belong to the caller.
	owned() bool
}

// record is a value of the view; it never changes.
type record struct {
	key     string
	raw     []byte
	mod     Revision
	decoded atomic.Value // *T of its table, once someone has read it
}

func byKey(a, b *record) bool { return a.key < b.key }

// treeDegree makes nodes of 63 records: few pointers to chase, little to copy.
const treeDegree = 32

// snapshot is all records at one revision. It is immutable: a commit makes a new
// one that shares what did not change.
type snapshot struct {
	rev  Revision
	tree *btree.BTreeG[*record]
}

func newSnapshot(records []Record, rev Revision) *snapshot {
	s := &snapshot{rev: rev, tree: btree.NewG(treeDegree, byKey)}
	for _, r := range records {
		s.tree.ReplaceOrInsert(&record{key: r.Key, raw: r.Value, mod: r.Mod})
	}
	return s
}

// with is the snapshot after one more commit, and what that changed. Only one
// goroutine may call it on the same snapshot.
func (s *snapshot) with(b Batch) (*snapshot, []Change) {
	next := &snapshot{rev: b.Revision, tree: s.tree.Clone()}
	changes := make([]Change, 0, len(b.Writes))
	for _, w := range b.Writes {
		if w.Delete {
			if _, had := next.tree.Delete(&record{key: w.Key}); !had {
				continue
			}
		} else {
			next.tree.ReplaceOrInsert(&record{key: w.Key, raw: w.Value, mod: b.Revision})
		}
		changes = appendChange(changes, w.Key, w.Delete)
	}
	return next, changes
}

// diff lists what differs in a later snapshot.
func (s *snapshot) diff(later *snapshot) []Change {
	var changes []Change
	later.tree.Ascend(func(r *record) bool {
		if old := s.find(r.key); old == nil || old.mod != r.mod || !bytes.Equal(old.raw, r.raw) {
			changes = appendChange(changes, r.key, false)
		}
		return true
	})
	s.tree.Ascend(func(r *record) bool {
		if later.find(r.key) == nil {
			changes = appendChange(changes, r.key, true)
		}
		return true
	})
	return changes
}

func appendChange(changes []Change, path string, deleted bool) []Change {
	table, key, _ := strings.Cut(path, "/")
	if table == metaTable {
		return changes
	}
	return append(changes, Change{Table: table, Key: key, Deleted: deleted})
}

func (s *snapshot) find(path string) *record {
	r, _ := s.tree.Get(&record{key: path})
	return r
}

func (s *snapshot) scan(prefix string, visit func(*record)) {
	s.tree.AscendGreaterOrEqual(&record{key: prefix}, func(r *record) bool {
		if !strings.HasPrefix(r.key, prefix) {
			return false
		}
		visit(r)
		return true
	})
}

func (*snapshot) owned() bool { return false }

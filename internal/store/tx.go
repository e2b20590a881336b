package store

import (
	"bytes"
	"slices"
	"strings"
)

// Tx is a transaction: the state at one revision, overlaid with its own writes.
// It records what was read, keys and prefixes, and commits only if all of that
// still holds then. It must not be used outside the function it was given to.
type Tx struct {
	base   *snapshot
	writes map[string]*record // nil: deleted
	keys   map[string]Revision
	ranges map[string]struct{}
	err    error
}

func newTx(base *snapshot) *Tx {
	return &Tx{
		base:   base,
		writes: map[string]*record{},
		keys:   map[string]Revision{},
		ranges: map[string]struct{}{},
	}
}

func (tx *Tx) owned() bool { return true }

func (tx *Tx) find(path string) *record {
	if w, ok := tx.writes[path]; ok {
		return w
	}
	r := tx.base.find(path)
	tx.keys[path] = 0
	if r != nil {
		tx.keys[path] = r.mod
	}
	return r
}

func (tx *Tx) scan(prefix string, visit func(*record)) {
	tx.ranges[prefix] = struct{}{}
	var found []*record
	tx.base.scan(prefix, func(r *record) {
		if _, written := tx.writes[r.key]; !written {
			found = append(found, r)
		}
	})
	for path, w := range tx.writes {
		if w != nil && strings.HasPrefix(path, prefix) {
			found = append(found, w)
		}
	}
	slices.SortFunc(found, func(a, b *record) int { return strings.Compare(a.key, b.key) })
	for _, r := range found {
		visit(r)
	}
}

// put writes nothing where the value is there already: a reconciler that stores
// what it found true again wakes nobody, itself least of all.
func (tx *Tx) put(path string, raw []byte) {
	if old := tx.base.find(path); old != nil && bytes.Equal(old.raw, raw) {
		delete(tx.writes, path)
		tx.find(path)
		return
	}
	tx.writes[path] = &record{key: path, raw: raw}
}

func (tx *Tx) remove(path string) {
	if tx.find(path) == nil {
		return
	}
	tx.writes[path] = nil
	if tx.base.find(path) == nil {
		delete(tx.writes, path) // was only ever written here
	}
}

// fail makes the transaction fail; the first reason wins.
func (tx *Tx) fail(err error) {
	if tx.err == nil {
		tx.err = err
	}
}

// txn is what to commit. A range condition sees what was written in a range but
// not what was removed; so each table that loses a record has a mark, written in
// the same commit, and whoever listed the table has read the mark.
func (tx *Tx) txn() Txn {
	var t Txn
	marks := map[string]struct{}{}
	for path, w := range tx.writes {
		if w != nil {
			t.Writes = append(t.Writes, Write{Key: path, Value: w.raw})
			continue
		}
		t.Writes = append(t.Writes, Write{Key: path, Delete: true})
		marks[removalMark(path)] = struct{}{}
	}
	for mark := range marks {
		t.Writes = append(t.Writes, Write{Key: mark, Value: []byte("true")})
	}
	for prefix := range tx.ranges {
		t.Conditions = append(t.Conditions, Condition{Key: prefix, Prefix: true, Mod: tx.base.rev})
		tx.find(removalMark(prefix))
	}
	for path, mod := range tx.keys {
		if !tx.listed(path) {
			t.Conditions = append(t.Conditions, Condition{Key: path, Mod: mod})
		}
	}
	slices.SortFunc(t.Writes, func(a, b Write) int { return strings.Compare(a.Key, b.Key) })
	return t
}

// listed says that a range condition covers a key already.
func (tx *Tx) listed(path string) bool {
	for prefix := range tx.ranges {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// removalMark is the key that says when a record of the table was last removed.
func removalMark(path string) string {
	table, _, _ := strings.Cut(path, "/")
	return metaTable + "/removed/" + table
}

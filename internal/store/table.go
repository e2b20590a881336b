package store

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Table is a named set of records of one type, stored as JSON.
type Table[T any] struct{ name string }

// NewTable names a table. Names are unique in a program and contain no slash.
func NewTable[T any](name string) Table[T] {
	if name == "" || strings.Contains(name, "/") {
		panic("store: bad table name " + name)
	}
	return Table[T]{name: name}
}

// Name is the table's name, as in Change.Table.
func (t Table[T]) Name() string { return t.name }

func (t Table[T]) path(key string) string { return t.name + "/" + key }

// Get returns the record of a key, and whether there is one. From a Tx it is the
// caller's own copy; from View and Local it is shared and must not be changed.
func (t Table[T]) Get(r Reader, key string) (*T, bool) {
	rec := r.find(t.path(key))
	if rec == nil {
		return nil, false
	}
	return decode[T](r, rec), true
}

// List returns the records whose keys start with prefix, sorted by key. For the
// ownership of each see Get; the slice is the caller's.
func (t Table[T]) List(r Reader, prefix string) []*T {
	var out []*T
	r.scan(t.path(prefix), func(rec *record) {
		out = append(out, decode[T](r, rec))
	})
	return out
}

// Keys returns the keys that start with prefix, sorted, without reading the
// records.
func (t Table[T]) Keys(r Reader, prefix string) []string {
	var out []string
	r.scan(t.path(prefix), func(rec *record) {
		out = append(out, rec.key[len(t.name)+1:])
	})
	return out
}

// Put stores v under key when the transaction commits; v is encoded at once, so
// later changes to it have no effect.
func (t Table[T]) Put(tx *Tx, key string, v *T) {
	raw, err := json.Marshal(v)
	if err != nil {
		tx.fail(fmt.Errorf("store: encoding %s: %w", t.path(key), err))
		return
	}
	tx.put(t.path(key), raw)
}

// Delete removes the record of key, if there is one.
func (t Table[T]) Delete(tx *Tx, key string) { tx.remove(t.path(key)) }

// decode gives the value of a record: a copy to a transaction, else the one that
// all readers share, decoded once.
func decode[T any](r Reader, rec *record) *T {
	if !r.owned() {
		if v := rec.decoded.Load(); v != nil {
			return v.(*T)
		}
	}
	v := new(T)
	if err := json.Unmarshal(rec.raw, v); err != nil {
		panic(corruption{fmt.Errorf("store: decoding %s: %w", rec.key, err)})
	}
	if !r.owned() {
		rec.decoded.Store(v)
	}
	return v
}

// corruption is panicked by a read that meets a record it cannot decode: acting
// on a partial view of the world would be worse than not acting. View and Update
// return it as an error.
type corruption struct{ error }

func (c corruption) Unwrap() error { return c.error }

// catch turns a corruption into the error of a function.
func catch(err *error) {
	switch p := recover().(type) {
	case nil:
	case corruption:
		*err = p.error
	default:
		panic(p)
	}
}

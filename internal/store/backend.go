package store

import (
	"context"
	"errors"
)

// Revision counts the commits of a backend. It only grows; numbers may be
// skipped.
type Revision = int64

// Backend keeps the records. Keys are TABLE/KEY, values are opaque.
//
// All methods may be called from any goroutine. A Backend is closed once, after
// every other call has returned or had its context ended.
type Backend interface {
	// Head is the revision of the latest commit. It is linearizable: it is not
	// below that of any Commit that returned before Head was called, on any
	// server.
	Head(ctx context.Context) (Revision, error)
	// Load returns all records as they were at one revision, sorted by key.
	Load(ctx context.Context) ([]Record, Revision, error)
	// Commit makes all writes, or none when a condition does not hold (false). An
	// error that is not a refusal leaves open whether the writes were made.
	Commit(ctx context.Context, txn Txn) (Revision, bool, error)
	// Watch hands every commit after a revision to take, in order and each as
	// one batch. It returns when ctx ends or the stream is lost; ErrCompacted
	// when the backend no longer knows the commits after that revision.
	Watch(ctx context.Context, after Revision, take func(Batch)) error
	// Campaign waits until the caller is the leader, of all servers that share
	// the records; id says who leads. lost is closed when leadership ended,
	// whether by itself or by resign.
	Campaign(ctx context.Context, id string) (lost <-chan struct{}, resign func(), err error)
	// Close frees what the backend holds.
	Close() error
}

// Record is a stored value.
type Record struct {
	Key   string
	Value []byte
	// Mod is the revision of the commit that wrote the value.
	Mod Revision
}

// Txn is what a Commit shall do.
type Txn struct {
	Conditions []Condition
	// Writes name each key at most once.
	Writes []Write
}

// Condition must hold for a Txn to be made.
type Condition struct {
	// Key is one key, or with Prefix set the start of the keys that are meant.
	Key    string
	Prefix bool
	// Mod: the one key has exactly this revision (0: it does not exist), or no
	// key under the prefix has a higher one.
	Mod Revision
}

// Write puts a value, or removes a key.
type Write struct {
	Key    string
	Value  []byte
	Delete bool
}

// Batch is one commit as a watcher sees it.
type Batch struct {
	Revision Revision
	Writes   []Write
}

var (
	// ErrCompacted says that a watch cannot go on from where it was.
	ErrCompacted = errors.New("store: the revision has been compacted")
	// ErrConflict says that a transaction lost against others too many times.
	ErrConflict = errors.New("store: too many conflicting transactions")
	// ErrTooManyOps says that a transaction is larger than the server allows.
	ErrTooManyOps = errors.New("store: transaction has more operations than the etcd server allows (raise its --max-txn-ops)")
	// ErrClosed says that the store is closed.
	ErrClosed = errors.New("store: closed")
)

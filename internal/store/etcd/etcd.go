// Package etcd keeps the records in etcd: a single member inside this process,
// or servers elsewhere that several programs share.
//
// Below the prefix, "state/" holds the records and one key more, which each
// commit writes: its revision is the head, whatever else the etcd server holds
// and however often that changes. "leader/" is where leaders are elected.
package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/namespace"

	"github.com/larder-cache/larder/internal/store"
)

const (
	// headKey cannot be a record: those have a slash.
	headKey = "@head"
	// loadPage is how many records one request of Load fetches.
	loadPage = 1000
)

// records implements the part of store.Backend that both kinds have in common.
type records struct {
	client *clientv3.Client
	kv     clientv3.KV
	watch  clientv3.Watcher
}

func newRecords(client *clientv3.Client, prefix string) records {
	return records{
		client: client,
		kv:     namespace.NewKV(client.KV, prefix+"state/"),
		watch:  namespace.NewWatcher(client.Watcher, prefix+"state/"),
	}
}

// Head implements store.Backend.
func (r records) Head(ctx context.Context) (store.Revision, error) {
	resp, err := r.kv.Get(ctx, headKey, clientv3.WithKeysOnly())
	if err != nil {
		return 0, fmt.Errorf("etcd: %w", err)
	}
	if len(resp.Kvs) == 0 {
		return 0, nil
	}
	return resp.Kvs[0].ModRevision, nil
}

// Load implements store.Backend. It reads page by page at one revision, and
// starts again should that be compacted meanwhile.
func (r records) Load(ctx context.Context) ([]store.Record, store.Revision, error) {
	for {
		out, rev, err := r.load(ctx)
		if errors.Is(err, rpctypes.ErrCompacted) {
			continue
		}
		if err != nil {
			return nil, 0, fmt.Errorf("etcd: %w", err)
		}
		return out, rev, nil
	}
}

func (r records) load(ctx context.Context) ([]store.Record, store.Revision, error) {
	var out []store.Record
	var rev store.Revision
	for from := ""; ; {
		opts := []clientv3.OpOption{clientv3.WithFromKey(), clientv3.WithLimit(loadPage), clientv3.WithRev(rev)}
		resp, err := r.kv.Get(ctx, from, opts...)
		if err != nil {
			return nil, 0, err
		}
		if rev == 0 {
			rev = resp.Header.Revision
		}
		for _, kv := range resp.Kvs {
			if key := string(kv.Key); key != headKey {
				out = append(out, store.Record{Key: key, Value: kv.Value, Mod: kv.ModRevision})
			}
			from = string(kv.Key) + "\x00"
		}
		if !resp.More {
			return out, rev, nil
		}
	}
}

// Commit implements store.Backend.
func (r records) Commit(ctx context.Context, txn store.Txn) (store.Revision, bool, error) {
	conditions := make([]clientv3.Cmp, 0, len(txn.Conditions))
	for _, c := range txn.Conditions {
		if c.Prefix {
			conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(c.Key), "<", c.Mod+1).WithPrefix())
		} else {
			conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(c.Key), "=", c.Mod))
		}
	}
	writes := make([]clientv3.Op, 0, len(txn.Writes)+1)
	for _, w := range txn.Writes {
		if w.Delete {
			writes = append(writes, clientv3.OpDelete(w.Key))
		} else {
			writes = append(writes, clientv3.OpPut(w.Key, string(w.Value)))
		}
	}
	writes = append(writes, clientv3.OpPut(headKey, ""))
	resp, err := r.kv.Txn(ctx).If(conditions...).Then(writes...).Commit()
	if errors.Is(err, rpctypes.ErrTooManyOps) {
		return 0, false, fmt.Errorf("etcd: %d conditions, %d writes: %w", len(conditions), len(writes), store.ErrTooManyOps)
	}
	if err != nil {
		return 0, false, fmt.Errorf("etcd: %w", err)
	}
	return resp.Header.Revision, resp.Succeeded, nil
}

// Watch implements store.Backend.
func (r records) Watch(ctx context.Context, after store.Revision, take func(store.Batch)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A member that has lost the others ends the watch instead of staying silent.
	stream := r.watch.Watch(clientv3.WithRequireLeader(ctx), "", clientv3.WithPrefix(), clientv3.WithRev(after+1))
	for resp := range stream {
		if resp.CompactRevision != 0 {
			return store.ErrCompacted
		}
		if err := resp.Err(); err != nil {
			return fmt.Errorf("etcd: %w", err)
		}
		batches(resp.Events, take)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.New("etcd: the watch ended")
}

// batches groups events by commit. The server never splits one over responses.
func batches(events []*clientv3.Event, take func(store.Batch)) {
	var batch store.Batch
	for _, e := range events {
		if e.Kv.ModRevision != batch.Revision {
			if batch.Revision != 0 {
				take(batch)
			}
			batch = store.Batch{Revision: e.Kv.ModRevision}
		}
		if key := string(e.Kv.Key); key != headKey {
			batch.Writes = append(batch.Writes, store.Write{Key: key, Value: e.Kv.Value, Delete: e.Type == mvccpb.Event_DELETE})
		}
	}
	if batch.Revision != 0 {
		take(batch)
	}
}

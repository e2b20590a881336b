package etcd_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/etcd"
	"github.com/larder-cache/larder/internal/store/storetest"
)

// item is about as large as a stored cache cluster.
type item struct {
	Name, Engine, NodeType, Group string
	Ports                         []int
	Tags                          map[string]string
}

var items = store.NewTable[item]("items")

func newItem(i int) *item {
	return &item{
		Name: fmt.Sprintf("cache-%04d", i), Engine: "valkey", NodeType: "cache.t4g.micro", Group: "default.valkey8",
		Ports: []int{6379, 16379}, Tags: map[string]string{"team": "payments", "stage": "production"},
	}
}

func BenchmarkEmbedded(b *testing.B) {
	s := storetest.Open(b, openEmbedded(b, b.TempDir()))
	for i := range 1000 {
		err := s.Update(b.Context(), func(tx *store.Tx) error {
			items.Put(tx, fmt.Sprintf("eu/%04d", i), newItem(i))
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	update := func(ctx context.Context, key string, i int) error {
		return s.Update(ctx, func(tx *store.Tx) error {
			it, _ := items.Get(tx, key)
			it.Ports[0] = i
			items.Put(tx, key, it)
			return nil
		})
	}
	b.Run("Update", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if err := update(b.Context(), "eu/0500", i); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("UpdateAfterListOf1000", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			err := s.Update(b.Context(), func(tx *store.Tx) error {
				list := items.List(tx, "eu/")
				list[0].Ports[0] = -i
				items.Put(tx, "eu/0000", list[0])
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("UpdateInParallel", func(b *testing.B) {
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				err := s.Update(b.Context(), func(tx *store.Tx) error {
					items.Put(tx, fmt.Sprintf("us/%p", pb), newItem(i))
					return nil
				})
				if err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("ViewOf1000", func(b *testing.B) {
		for b.Loop() {
			if err := s.View(b.Context(), func(r store.Reader) error { items.List(r, "eu/"); return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("LocalOf1000", func(b *testing.B) {
		for b.Loop() {
			s.Local(func(r store.Reader) { items.List(r, "eu/") })
		}
	})
}

func BenchmarkOpenEmbedded(b *testing.B) {
	dir := b.TempDir()
	for i := 0; b.Loop(); i++ {
		backend, err := etcd.OpenEmbedded(b.Context(), filepath.Join(dir, fmt.Sprint(i)), discard)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := backend.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

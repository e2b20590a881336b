package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"

	"github.com/larder-cache/larder/internal/admin"
	"github.com/larder-cache/larder/internal/aws/gateway"
	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/ec2"
	service "github.com/larder-cache/larder/internal/elasticache"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/seal"
	"github.com/larder-cache/larder/internal/store"
	"github.com/larder-cache/larder/internal/store/etcd"
	"github.com/larder-cache/larder/test/harness"
)

const (
	account  = "000000000000"
	region   = "us-east-1"
	thousand = 1000
)

// describeThousand measures how long it takes to describe a thousand clusters in
// pages of a hundred, with their nodes. They are records only: gateway, service
// and embedded etcd run in this process, without controllers.
func describeThousand(ctx context.Context, b *bench) ([]line, error) {
	l := line{what: "describe 1,000 clusters with their nodes, in pages of 100", unit: "ms", bars: []bar{medianAtMost(1000)}}
	err := within(func(dir string) (err error) {
		backend, err := etcd.OpenEmbedded(ctx, filepath.Join(dir, "etcd"), slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		st, err := store.Open(ctx, backend, slog.New(slog.DiscardHandler))
		if err != nil {
			return errors.Join(err, backend.Close())
		}
		defer func() { err = errors.Join(err, st.Close()) }()
		api, stop, err := serveRecords(ctx, st, filepath.Join(dir, "seal"))
		if err != nil {
			return err
		}
		defer stop()
		for range b.rounds(20, 3) {
			began := time.Now()
			n, err := countClusters(ctx, api)
			if err != nil || n != thousand {
				return fmt.Errorf("%d clusters are described: %w", n, err)
			}
			l.larder = append(l.larder, milliseconds(time.Since(began)))
		}
		return nil
	})
	return []line{l}, err
}

func countClusters(ctx context.Context, api *elasticache.Client) (int, error) {
	pages := elasticache.NewDescribeCacheClustersPaginator(api, &elasticache.DescribeCacheClustersInput{MaxRecords: aws.Int32(100), ShowCacheNodeInfo: aws.Bool(true)})
	n := 0
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return n, err
		}
		n += len(page.CacheClusters)
	}
	return n, nil
}

// serveRecords fills a store with a thousand available clusters and serves the
// API over it.
func serveRecords(ctx context.Context, st *store.Store, dir string) (*elasticache.Client, func(), error) {
	log, clock := slog.New(slog.DiscardHandler), core.SystemClock{}
	ring, err := seal.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	keys := admin.NewKeys(st, ring, clock, account)
	root, err := keys.EnsureRoot(ctx)
	if err != nil {
		return nil, nil, err
	}
	secret, err := ring.Unseal(root.Secret)
	if err != nil {
		return nil, nil, err
	}
	caches := service.New(service.Config{
		Store: st, Seal: ring, Clock: clock, Account: account, NewID: rand.Text, Domain: "cache.test", Log: log,
		Catalog:  catalog.New([]catalog.Binary{{Engine: catalog.Redis, Version: "7.0.15"}}, false),
		Networks: ec2.New(ec2.Config{Store: st, Account: account, Windows: [2]int{10, 253}}),
	})
	if err := fill(ctx, st, caches); err != nil {
		return nil, nil, err
	}
	server := httptest.NewUnstartedServer(gateway.New(gateway.Config{
		Account: account, Keys: keys, Clock: clock, Log: log, Services: []gateway.Service{wire.Describe(caches)},
	}))
	gateway.Harden(server.Config)
	server.Start()
	return elasticache.New(elasticache.Options{
		Region: region, BaseEndpoint: &server.URL,
		// On a busy machine the SDK may close a request that its transport has just
		// sent, and loses the answer by it; the long pause before it asks again would be all
		// that is measured.
		Retryer:     retry.AddWithMaxBackoffDelay(retry.NewStandard(), time.Millisecond),
		Credentials: credentials.NewStaticCredentialsProvider(root.ID, secret.Reveal(), ""),
	}), server.Close, nil
}

func fill(ctx context.Context, st *store.Store, caches wire.Service) error {
	ctx = core.WithRequest(ctx, core.Request{Region: region, Account: account})
	for n := range thousand {
		_, err := caches.CreateCacheCluster(ctx, &wire.CreateCacheClusterMessage{
			CacheClusterId: core.Ptr(fmt.Sprintf("c%d", n)), Engine: core.Ptr("redis"), CacheNodeType: core.Ptr(nodeType), NumCacheNodes: core.Ptr(1),
		})
		if err != nil {
			return err
		}
	}
	now := time.Now()
	return st.Update(ctx, func(tx *store.Tx) error {
		for _, c := range resource.CacheClusters.List(tx, "") {
			c.Status.Available, c.Status.ObservedGeneration = &now, c.Generation
			c.Status.NodeStatus = map[string]string{c.Spec.Nodes[0].ID: "available"}
			resource.CacheClusters.Put(tx, c.Region+"/"+c.ID, c)
		}
		return nil
	})
}

// modify measures calls that change the description of a group.
func modify(ctx context.Context, b *bench) ([]line, error) {
	l := line{what: "ModifyReplicationGroup (description) at a group of three", unit: "ms", bars: []bar{quantileAtMost(99, 20)}}
	err := deployed(ctx, func(d *harness.Deployment) error {
		api := d.ElastiCache()
		if _, err := createReady(ctx, api, groupOf("g", 3, true)); err != nil {
			return err
		}
		for n := range b.size(400, 200) {
			began := time.Now()
			_, err := api.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
				ReplicationGroupId: aws.String("g"), ReplicationGroupDescription: aws.String(fmt.Sprint(n)), ApplyImmediately: aws.Bool(true),
			})
			if err != nil {
				return err
			}
			l.larder = append(l.larder, milliseconds(time.Since(began)))
		}
		return nil
	})
	return []line{l}, err
}

// changeTokens measures how long a change of a group's token takes until the group
// is available with it.
func changeTokens(ctx context.Context, b *bench) ([]line, error) {
	lines := map[string]*line{}
	for _, strategy := range []string{"ROTATE", "SET"} {
		lines[strategy] = &line{what: strategy + " of a token, group of three with TLS: call to `available`", unit: "ms", note: "reported"}
	}
	err := deployed(ctx, func(d *harness.Deployment) error {
		api := d.ElastiCache()
		if _, err := createReady(ctx, api, groupOf("g", 3, true)); err != nil {
			return err
		}
		for n := range b.rounds(15, 3) {
			for _, strategy := range []string{"ROTATE", "SET"} {
				began := time.Now()
				if err := changeToken(ctx, api, fmt.Sprintf("another-token-%010d", n), strategy); err != nil {
					return err
				}
				lines[strategy].larder = append(lines[strategy].larder, milliseconds(time.Since(began)))
			}
		}
		return nil
	})
	return []line{*lines["ROTATE"], *lines["SET"]}, err
}

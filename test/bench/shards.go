package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"net"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/test/harness"
)

const (
	// valueSize is that of the values that are moved and copied, in bytes.
	valueSize = 1 << 10
	// bigNode is a node type that holds all of them.
	bigNode = "cache.r6g.large"
	// thirdOfSlots is what a third shard gets of two others.
	thirdOfSlots = 5461
	// longWait bounds what takes its time with so much data.
	longWait = 5 * time.Minute
)

// resharding measures how a third shard gets its share of the slots of two others: with
// much data and clients that go on, and without any data, beside the engine's own tool
// at an engine's own cluster.
func resharding(ctx context.Context, b *bench) ([]line, error) {
	megabytes := b.dataset()
	what := fmt.Sprintf("2 shards become 3, %d MB in values of 1 KiB", megabytes)
	speed := line{what: what + ": moved, call to `available`; bare: `valkey-cli --cluster reshard` alone", unit: "MB/s", bars: []bar{ratioAtLeast(1)}}
	p99 := line{what: "the same: p99 of a client that writes and reads at 1 kHz meanwhile", unit: "ms", note: "reported"}
	slowest := line{what: "the same: its slowest operation", unit: "ms", note: "reported"}
	empty := line{what: "2 empty shards with a replica each become 3; bare as above", unit: "s", bars: []bar{ratioAtMost(1)}}
	for range b.rounds(3, 1) {
		for _, side := range []struct {
			with func(context.Context, int, func(*shards) error) error
			of   func(*line) *series
		}{
			{withOurShards, func(l *line) *series { return &l.larder }},
			{withBareShards, func(l *line) *series { return &l.bare }},
		} {
			err := side.with(ctx, 0, func(s *shards) error {
				m, err := s.growUnderLoad(ctx, megabytes<<20/valueSize)
				add(side.of(&speed), m.speed)
				add(side.of(&p99), m.latency.quantile(0.99))
				add(side.of(&slowest), m.latency.quantile(1))
				return err
			})
			if err == nil {
				err = side.with(ctx, 1, func(s *shards) error {
					began := time.Now()
					err := s.grow()
					add(side.of(&empty), time.Since(began).Seconds())
					return err
				})
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return []line{speed, p99, slowest, empty}, nil
}

func add(s *series, v float64) { *s = append(*s, v) }

// dataset is how much data is moved or copied, in MB.
func (b *bench) dataset() int {
	if b.megabytes > 0 {
		return b.megabytes
	}
	return b.size(1024, 16)
}

// shards are two shards that have all slots.
type shards struct {
	client *redis.ClusterClient
	// grow makes them three with a third of the slots each.
	grow func() error
}

// move is what was measured of a move.
type move struct {
	speed   float64 // MB/s
	latency series  // of a client's operations, in ms
}

// growUnderLoad makes two shards with so many keys three while a client goes on.
func (s *shards) growUnderLoad(ctx context.Context, keys int) (m move, err error) {
	if err := populate(ctx, s.client, keys); err != nil {
		return m, err
	}
	stop := make(chan struct{})
	var client sync.WaitGroup
	var failed error
	client.Go(func() { m.latency, failed = s.use(ctx, keys, stop) })
	began := time.Now()
	err = s.grow()
	took := time.Since(began)
	close(stop)
	client.Wait()
	m.speed = float64(keys) * valueSize / 3 / (1 << 20) / took.Seconds()
	return m, errors.Join(err, failed)
}

// use writes and reads keys a thousand times a second and gives the latencies.
func (s *shards) use(ctx context.Context, keys int, stop <-chan struct{}) (series, error) {
	var taken series
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	value := randomValue()
	for {
		select {
		case <-stop:
			return taken, nil
		case <-tick.C:
		}
		key := fmt.Sprintf("key:%d", mrand.IntN(keys))
		began := time.Now()
		err := s.client.Set(ctx, key, value, 0).Err()
		between := time.Now()
		if err == nil {
			err = s.client.Get(ctx, key).Err()
		}
		if err != nil {
			return nil, fmt.Errorf("a client sees an error while slots move: %w", err)
		}
		taken = append(taken, milliseconds(between.Sub(began)), milliseconds(time.Since(between)))
	}
}

func randomValue() []byte {
	value := make([]byte, valueSize)
	_, _ = rand.Read(value) // it never fails
	return value
}

// populate writes so many keys.
func populate(ctx context.Context, c redis.UniversalClient, keys int) error {
	const writers, atOnce = 4, 250
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for w := range writers {
		wg.Go(func() {
			value := randomValue()
			for from := w * atOnce; from < keys && errs[w] == nil; from += writers * atOnce {
				_, errs[w] = c.Pipelined(ctx, func(p redis.Pipeliner) error {
					for n := from; n < min(from+atOnce, keys); n++ {
						p.Set(ctx, fmt.Sprintf("key:%d", n), value, 0)
					}
					return nil
				})
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// withOurShards gives fn two shards of a group, in the faster fabric that there is.
func withOurShards(ctx context.Context, replicas int, fn func(*shards) error) error {
	all := fabrics()
	return deployedIn(ctx, all[len(all)-1], func(d *harness.Deployment) error {
		api := d.ElastiCache()
		in := groupOf("g", 1, false)
		in.Engine, in.EngineVersion, in.CacheNodeType = aws.String("valkey"), aws.String("8.0"), aws.String(bigNode)
		in.NumCacheClusters, in.NumNodeGroups, in.ReplicasPerNodeGroup = nil, aws.Int32(2), aws.Int32(int32(replicas))
		in.AutomaticFailoverEnabled = aws.Bool(true)
		g, err := createReady(ctx, api, in)
		if err != nil {
			return err
		}
		c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{harness.Addr(g.ConfigurationEndpoint)}, DisableIdentity: true})
		defer c.Close()
		return fn(&shards{client: c, grow: func() error {
			_, err := api.ModifyReplicationGroupShardConfiguration(ctx, &elasticache.ModifyReplicationGroupShardConfigurationInput{
				ReplicationGroupId: aws.String("g"), NodeGroupCount: aws.Int32(3), ApplyImmediately: aws.Bool(true),
			})
			if err != nil {
				return err
			}
			return awaitChanged(ctx, d)
		}})
	})
}

// awaitChanged waits until group "g" is available again.
func awaitChanged(ctx context.Context, d *harness.Deployment) error {
	return until(ctx, longWait, func() error {
		select { // not to be in the way of what is waited for
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
		g, err := d.Group(ctx, "g")
		if err == nil && aws.ToString(g.Status) != "available" {
			err = fmt.Errorf("group g is %s", aws.ToString(g.Status))
		}
		return err
	})
}

// withBareShards gives fn two shards of an engine's own cluster, and a third without
// slots.
func withBareShards(ctx context.Context, replicas int, fn func(*shards) error) error {
	return withPeers(func(p *peers) error {
		primaries, err := p.shards(ctx, replicas)
		if err != nil {
			return err
		}
		c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: primaries[:1], DisableIdentity: true})
		defer c.Close()
		return fn(&shards{client: c, grow: func() error {
			out, err := exec.CommandContext(ctx, "valkey-cli", "--cluster", "reshard", primaries[0], "--cluster-from", nameOf(primaries[0])+","+nameOf(primaries[1]),
				"--cluster-to", nameOf(primaries[2]), "--cluster-slots", fmt.Sprint(thirdOfSlots), "--cluster-yes").CombinedOutput()
			if err != nil {
				return fmt.Errorf("valkey-cli: %w: %s", err, out[max(0, len(out)-1000):])
			}
			return nil
		}})
	})
}

// nameOf is the id of an engine in its cluster.
func nameOf(addr string) string {
	if f := strings.Fields(ask(addr, "CLUSTER MYID")); len(f) == 2 {
		return f[1]
	}
	return ""
}

// shards starts three shards, of which the first two have all slots, and gives their
// primaries.
func (p *peers) shards(ctx context.Context, replicas int) (primaries []string, err error) {
	var all []string
	for range 3 * (1 + replicas) {
		bus, err := freePort()
		if err != nil {
			return nil, err
		}
		addr, err := p.start(ctx, nil, append(engineSettings, "rdbcompression no", "cluster-enabled yes", fmt.Sprint("cluster-port ", bus.Port))...)
		if err != nil {
			return nil, err
		}
		all = append(all, addr)
		host, port, _ := net.SplitHostPort(addr)
		if got := ask(all[0], fmt.Sprintf("CLUSTER MEET %s %s %d", host, port, bus.Port)); len(all) > 1 && got != "+OK\r\n" {
			return nil, fmt.Errorf("CLUSTER MEET: %s", got)
		}
	}
	primaries = all[:3]
	for i, slots := range []string{"0 8191", "8192 16383"} {
		if got := ask(primaries[i], "CLUSTER ADDSLOTSRANGE "+slots); got != "+OK\r\n" {
			return nil, fmt.Errorf("CLUSTER ADDSLOTSRANGE: %s", got)
		}
	}
	for i, replica := range all[3:] {
		err := until(ctx, wait, func() error {
			if got := ask(replica, "CLUSTER REPLICATE "+nameOf(primaries[i%3])); got != "+OK\r\n" {
				return fmt.Errorf("CLUSTER REPLICATE: %s", got)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return primaries, until(ctx, wait, func() error {
		for _, addr := range all {
			info := ask(addr, "CLUSTER INFO")
			if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", len(all))) {
				return fmt.Errorf("the cluster is not ready: %s", info)
			}
		}
		for _, addr := range primaries {
			if n := strings.Count(ask(addr, "INFO replication"), "state=online"); n != replicas {
				return fmt.Errorf("%d replicas are in sync", n)
			}
		}
		return nil
	})
}

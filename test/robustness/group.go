package robustness

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/test/harness"
)

// restLimit is how long a group may take to come to rest after whatever befell it.
const restLimit = 30 * time.Second

// group is a replication group under test, with what is known of it.
type group struct {
	d   *harness.Deployment
	api *elasticache.Client
	id  string
	tls *tls.Config
	// token is what clients use now; "" for none. It changes before the engine
	// forgets the one before.
	token atomic.Value

	writer  *writer
	witness *witness
	clients sync.WaitGroup

	mu sync.Mutex
	// blows are the times at which a process of the group was hit.
	blows []time.Time
	// slowest is the longest time that the group took to come to rest.
	slowest time.Duration
	// did counts what was done, by its name and outcome.
	did map[string]int
	// wrong is what should not have happened.
	wrong []error
}

// create makes the group and waits until it is available.
func (g *group) create(ctx context.Context, nodes int32, edit func(*elasticache.CreateReplicationGroupInput)) error {
	in := &elasticache.CreateReplicationGroupInput{
		ReplicationGroupId: &g.id, ReplicationGroupDescription: &g.id, Engine: aws.String("valkey"),
		CacheNodeType: aws.String("cache.t4g.micro"), NumCacheClusters: &nodes, AutomaticFailoverEnabled: aws.Bool(true),
	}
	edit(in)
	if in.AuthToken != nil {
		var err error
		if g.tls, err = g.d.TLS(); err != nil {
			return err
		}
		g.token.Store(*in.AuthToken)
	}
	if _, err := g.d.ElastiCache().CreateReplicationGroup(ctx, in); err != nil {
		return err
	}
	_, err := g.d.AwaitGroup(ctx, g.id, "available")
	return err
}

func (g *group) dial(addr string) *redis.Client {
	return harness.Redis(addr, g.token.Load().(string), g.tls)
}

// observe has clients write to the group, and a witness to each of the members that
// it begins with, until ctx ends.
func (g *group) observe(ctx context.Context) error {
	now, err := g.d.Group(ctx, g.id)
	if err != nil {
		return err
	}
	primary := harness.Addr(now.NodeGroups[0].PrimaryEndpoint)
	g.writer = &writer{name: g.id, dial: func() *redis.Client { return g.dial(primary) }}
	g.witness = &witness{}
	g.clients.Go(func() { g.writer.run(ctx) })
	for _, m := range now.NodeGroups[0].NodeGroupMembers {
		addr := harness.Addr(m.ReadEndpoint)
		g.clients.Go(func() { g.witness.watch(ctx, *m.CacheClusterId, func() *redis.Client { return g.dial(addr) }) })
	}
	return nil
}

// settled waits until the API calls the group available and its engines are what
// it says: one primary, the rest replicas in sync.
func (g *group) settled(ctx context.Context) (types.ReplicationGroup, error) {
	var now types.ReplicationGroup
	began := time.Now()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.slowest = max(g.slowest, time.Since(began))
	}()
	err := harness.Await(ctx, restLimit, func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if now, err = g.d.Group(ctx, g.id); err != nil {
			return err
		}
		if status := aws.ToString(now.Status); status != "available" {
			return fmt.Errorf("group %s is %s", g.id, status)
		}
		return g.consistent(ctx, now)
	})
	return now, err
}

// consistent compares the API's view with the engines'.
func (g *group) consistent(ctx context.Context, now types.ReplicationGroup) error {
	members := now.NodeGroups[0].NodeGroupMembers
	if len(members) != len(now.MemberClusters) {
		return fmt.Errorf("group %s shows %d roles for %d members", g.id, len(members), len(now.MemberClusters))
	}
	var all error
	primaries := 0
	for _, m := range members {
		c := g.dial(harness.Addr(m.ReadEndpoint))
		info, err := c.InfoMap(ctx, "replication").Result()
		_ = c.Close()
		if err != nil {
			all = errors.Join(all, fmt.Errorf("%s: %w", *m.CacheClusterId, err))
			continue
		}
		said := info["Replication"]
		switch role := aws.ToString(m.CurrentRole); {
		case role == "primary" && said["role"] == "master":
			primaries++
			if said["connected_slaves"] != fmt.Sprint(len(members)-1) {
				all = errors.Join(all, fmt.Errorf("%s has %s replicas", *m.CacheClusterId, said["connected_slaves"]))
			}
		case role == "replica" && said["role"] == "slave":
			if said["master_link_status"] != "up" || said["master_sync_in_progress"] != "0" {
				all = errors.Join(all, fmt.Errorf("%s is not in sync", *m.CacheClusterId))
			}
		default:
			all = errors.Join(all, fmt.Errorf("%s is called %s and is a %s", *m.CacheClusterId, role, said["role"]))
		}
	}
	if primaries != 1 {
		all = errors.Join(all, fmt.Errorf("%d primaries", primaries))
	}
	return all
}

// fail notes what should not have happened.
func (g *group) fail(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wrong = append(g.wrong, fmt.Errorf(g.id+": "+format, args...))
}

// note counts what was done.
func (g *group) note(what string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.did[what]++
}

// blow notes that a process is about to be hit.
func (g *group) blow() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.blows = append(g.blows, time.Now())
}

// excused reports whether a lost write may be put down to a blow: it was
// acknowledged shortly before, when it may not have been on its way to a replica.
func (g *group) excused(w write) bool {
	const before, after = time.Second, 2 * time.Second
	for _, b := range g.blows {
		if w.at.After(b.Add(-before)) && w.at.Before(b.Add(after)) {
			return !w.sure
		}
	}
	return false
}

// verdict judges the group when it has come to rest.
func (g *group) verdict(ctx context.Context) (summary string, err error) {
	now, err := g.settled(ctx)
	if err != nil {
		return "", fmt.Errorf("%s does not come to rest: %w", g.id, err)
	}
	c := g.dial(harness.Addr(now.NodeGroups[0].PrimaryEndpoint))
	defer func() { _ = c.Close() }()
	lost, err := g.writer.missing(ctx, c)
	if err != nil {
		return "", err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	all := errors.Join(g.wrong...)
	inexcusable := 0
	for _, w := range lost {
		if !g.excused(w) {
			inexcusable++
		}
	}
	if inexcusable > 0 {
		all = errors.Join(all, fmt.Errorf("%s: %d acknowledged writes are lost without an excuse, the first at %v of %v", g.id, inexcusable, lost[0], g.blows))
	}
	if rivals := g.witness.rivals(); len(rivals) > 0 {
		all = errors.Join(all, fmt.Errorf("%s: two primaries took writes:\n%s", g.id, strings.Join(rivals, "\n")))
	}
	return fmt.Sprintf("%s: %d of %d writes acknowledged, %d lost in %d blows, %d sightings, at rest within %.1f s; %v",
		g.id, len(g.writer.acked), g.writer.tried, len(lost), len(g.blows), len(g.witness.seen), g.slowest.Seconds(), g.did), all
}

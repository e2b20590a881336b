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
	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/test/harness"
)

// restLimit is how long a group may take to come to rest after whatever befell it. To
// move slots takes a host that is busy its time.
const (
	restLimit        = 30 * time.Second
	shardedRestLimit = 2 * time.Minute
)

// group is a replication group under test, with what is known of it.
type group struct {
	d   *harness.Deployment
	api *elasticache.Client
	id  string
	tls *tls.Config
	// sharded: it is in cluster mode.
	sharded bool
	// token is what clients use now; "" for none. It changes before the engine
	// forgets the one before.
	token atomic.Value

	writer  *writer
	witness *witness
	clients sync.WaitGroup

	mu sync.Mutex
	// blows are those that its processes were dealt.
	blows []blow
	// slowest is the longest time that the group took to come to rest.
	slowest time.Duration
	// did counts what was done, by its name and outcome.
	did map[string]int
	// wrong is what should not have happened.
	wrong []error
}

// blow is a signal to a process of the group.
type blow struct {
	at time.Time
	// slots are those of the process's shard; none means all keys.
	slots core.Slots
	// moving are the slots that were on their way from shard to shard.
	moving core.Slots
}

// create makes the group and waits until it is available.
func (g *group) create(ctx context.Context, edit func(*elasticache.CreateReplicationGroupInput)) error {
	in := &elasticache.CreateReplicationGroupInput{
		ReplicationGroupId: &g.id, ReplicationGroupDescription: &g.id, Engine: aws.String("valkey"),
		CacheNodeType: aws.String(nodeTypes[0]), AutomaticFailoverEnabled: aws.Bool(true),
	}
	edit(in)
	g.sharded = in.NumNodeGroups != nil
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
	_, err := g.settled(ctx)
	return err
}

// dialMember connects to one node.
func (g *group) dialMember(addr string) *redis.Client {
	return harness.Redis(addr, g.token.Load().(string), g.tls)
}

// dial connects to where the group takes writes.
func (g *group) dial(addr string) redis.UniversalClient {
	if !g.sharded {
		return g.dialMember(addr)
	}
	return redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{addr}, Password: g.token.Load().(string), TLSConfig: g.tls, DisableIdentity: true, Protocol: 2,
		DialTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second,
	})
}

// observe has clients write to the group, and a witness to each of its members, until
// ctx ends.
func (g *group) observe(ctx context.Context) error {
	now, err := g.d.Group(ctx, g.id)
	if err != nil {
		return err
	}
	at := harness.Addr(now.ConfigurationEndpoint)
	g.witness = &witness{tags: shardTags}
	if !g.sharded {
		at, g.witness.tags = harness.Addr(now.NodeGroups[0].PrimaryEndpoint), []string{""}
	}
	g.writer = &writer{name: g.id, dial: func() redis.UniversalClient { return g.dial(at) }}
	g.clients.Go(func() { g.writer.run(ctx) })
	g.clients.Go(func() { g.witness.follow(ctx, g) })
	return nil
}

// settled waits until the API calls the group available and its engines are what
// it says.
func (g *group) settled(ctx context.Context) (view, error) {
	var now view
	began := time.Now()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.slowest = max(g.slowest, time.Since(began))
	}()
	limit := restLimit
	if g.sharded {
		limit = shardedRestLimit
	}
	err := harness.Await(ctx, limit, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		described, err := g.d.Group(ctx, g.id)
		if err != nil {
			return err
		}
		if status := aws.ToString(described.Status); status != "available" {
			return fmt.Errorf("group %s is %s", g.id, status)
		}
		if now, err = g.look(ctx, described); err != nil {
			return err
		}
		return g.consistent(ctx, now)
	})
	return now, err
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
func (g *group) blow(b blow) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b.at = time.Now()
	g.blows = append(g.blows, b)
}

// moved notes which slots were on their way at the latest blow.
func (g *group) moved(s core.Slots) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.blows[len(g.blows)-1].moving = s
}

// excused reports whether a lost write may be put down to a blow: it was
// acknowledged shortly before, when it may not have been on its way to a replica. A
// key that moves from shard to shard is written anew there, whenever it was
// acknowledged.
func (g *group) excused(w write) bool {
	const before, after = time.Second, 2 * time.Second
	slot := slotOf(g.writer.key(w.n))
	for _, b := range g.blows {
		if !w.at.Before(b.at.Add(after)) {
			continue
		}
		if b.moving.Contains(slot) {
			return true
		}
		if w.at.After(b.at.Add(-before)) && (len(b.slots) == 0 || b.slots.Contains(slot)) {
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
	at := now.ConfigurationEndpoint
	if !g.sharded {
		at = now.NodeGroups[0].PrimaryEndpoint
	}
	c := g.dial(harness.Addr(at))
	defer func() { _ = c.Close() }()
	lost, err := g.writer.missing(ctx, c)
	if err != nil {
		return "", err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	all := errors.Join(g.wrong...)
	inexcusable := 0
	var first write
	for _, w := range lost {
		if !g.excused(w) {
			if inexcusable == 0 {
				first = w
			}
			inexcusable++
		}
	}
	if inexcusable > 0 {
		all = errors.Join(all, fmt.Errorf("%s: %d acknowledged writes are lost without an excuse, the first %+v in slot %d at blows %v",
			g.id, inexcusable, first, slotOf(g.writer.key(first.n)), g.blows))
	}
	if rivals := g.witness.rivals(); len(rivals) > 0 {
		all = errors.Join(all, fmt.Errorf("%s: two primaries took writes:\n%s", g.id, strings.Join(rivals, "\n")))
	}
	return fmt.Sprintf("%s: %d of %d writes acknowledged, %d lost in %d blows, %d sightings, at rest within %.1f s; %v",
		g.id, len(g.writer.acked), g.writer.tried, len(lost), len(g.blows), len(g.witness.seen), g.slowest.Seconds(), g.did), all
}

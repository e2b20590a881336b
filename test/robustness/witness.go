package robustness

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/redis/go-redis/v9"
)

// shardTags are hash tags whose slots are spread over all.
var shardTags = []string{"{a}", "{b}", "{c}", "{d}"}

// sighting is a write that a member took itself, at some time between From and To.
type sighting struct {
	// tag is the hash tag of what was written; members of different shards may take
	// writes with different ones.
	tag, member string
	// reign is the process and its history of replication, and in cluster mode its
	// epoch: as long as it stays the same the member was not a replica in between, and
	// has not got slots either.
	reign    string
	from, to time.Time
}

func (s sighting) String() string {
	return fmt.Sprintf("%s%s (%s) %s..%s", s.tag, s.member, s.reign, s.from.Format("05.000000"), s.to.Format("05.000000"))
}

// witness writes to every member of a group by the member's own endpoint, which
// only a primary takes.
type witness struct {
	tags []string

	mu   sync.Mutex
	seen []sighting
}

// follow watches whatever members the group has, until ctx ends.
func (w *witness) follow(ctx context.Context, g *group) {
	watched := map[string]context.CancelFunc{}
	var all sync.WaitGroup
	defer all.Wait() // ctx has ended by then
	for {
		if now, err := g.d.Group(ctx, g.id); err == nil {
			w.adjust(ctx, g, now, watched, &all)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// adjust watches the members that are not watched yet, and leaves those that are no
// more.
func (w *witness) adjust(ctx context.Context, g *group, described types.ReplicationGroup, watched map[string]context.CancelFunc, all *sync.WaitGroup) {
	for id, stop := range watched {
		if !slices.Contains(described.MemberClusters, id) {
			stop()
			delete(watched, id)
		}
	}
	if len(watched) == len(described.MemberClusters) {
		return
	}
	now, err := g.look(ctx, described)
	if err != nil {
		return
	}
	for _, m := range now.members {
		if watched[m.id] != nil {
			continue
		}
		until, stop := context.WithCancel(ctx)
		watched[m.id] = stop
		all.Go(func() { w.watch(until, m.id, func() *redis.Client { return g.dialMember(m.addr) }) })
	}
}

// watch tries a member until ctx ends.
func (w *witness) watch(ctx context.Context, member string, dial func() *redis.Client) {
	c := dial()
	defer func() { _ = c.Close() }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		tag := w.tags[i%len(w.tags)]
		from := time.Now()
		reign, err := takeWrite(ctx, c, tag, member)
		if err == nil {
			w.mu.Lock()
			w.seen = append(w.seen, sighting{tag, member, reign, from, time.Now()})
			w.mu.Unlock()
			continue
		}
		if !refuses(err) {
			_ = c.Close()
			c = dial()
		}
	}
}

var (
	reignPattern = regexp.MustCompile(`(?m)^(?:master_replid|run_id):(\w+)`)
	epochPattern = regexp.MustCompile(`(?m)^cluster_my_epoch:(\d+)`)
)

// takeWrite writes and asks who took it, in one step.
func takeWrite(ctx context.Context, c *redis.Client, tag, member string) (reign string, err error) {
	var info, server *redis.StringCmd
	var cluster *redis.StringCmd
	_, err = c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "witness-"+tag+member, time.Now().UnixNano(), 0)
		info, server = p.Info(ctx, "replication"), p.Info(ctx, "server")
		if tag != "" {
			cluster = p.ClusterInfo(ctx)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	id := reignPattern.FindStringSubmatch(info.Val())
	run := reignPattern.FindStringSubmatch(server.Val())
	if id == nil || run == nil {
		return "", fmt.Errorf("%s does not say who it is", member)
	}
	reign = run[1][:8] + "/" + id[1][:8]
	if cluster != nil {
		epoch := epochPattern.FindStringSubmatch(cluster.Val())
		if epoch == nil {
			return "", fmt.Errorf("%s does not tell its epoch", member)
		}
		reign += "/" + epoch[1]
	}
	return reign, nil
}

// refuses reports whether an error is the answer of a member that does not take the
// write.
func refuses(err error) bool {
	for _, prefix := range []string{"READONLY", "EXECABORT", "MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}

// rivals are pairs of members that took writes at the same time: one did between
// two writes that the other took in one reign.
func (w *witness) rivals() (found []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	type span struct{ first, last sighting }
	reigns := map[string]*span{}
	for _, s := range w.seen {
		key := s.tag + s.member + s.reign
		r := reigns[key]
		if r == nil {
			reigns[key] = &span{s, s}
			continue
		}
		if s.to.Before(r.first.to) {
			r.first = s
		}
		if s.from.After(r.last.from) {
			r.last = s
		}
	}
	for _, r := range reigns {
		for _, s := range w.seen {
			if s.tag == r.first.tag && s.member != r.first.member && !s.from.Before(r.first.to) && !s.to.After(r.last.from) {
				found = append(found, fmt.Sprintf("%v took a write between %v and %v", s, r.first, r.last))
				break
			}
		}
	}
	slices.SortFunc(found, cmp.Compare)
	return found
}

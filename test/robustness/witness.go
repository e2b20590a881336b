package robustness

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// sighting is a write that a member took itself, at some time between From and To.
type sighting struct {
	member string
	// reign is the process and its history of replication: as long as it stays the
	// same the member was not a replica in between.
	reign    string
	from, to time.Time
}

func (s sighting) String() string {
	return fmt.Sprintf("%s (%s) %s..%s", s.member, s.reign, s.from.Format("05.000000"), s.to.Format("05.000000"))
}

// witness writes to every member of a group by the member's own endpoint, which
// only a primary takes.
type witness struct {
	mu   sync.Mutex
	seen []sighting
}

// watch tries a member until ctx ends.
func (w *witness) watch(ctx context.Context, member string, dial func() *redis.Client) {
	c := dial()
	defer func() { _ = c.Close() }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		from := time.Now()
		reign, err := takeWrite(ctx, c, member)
		if err == nil {
			w.mu.Lock()
			w.seen = append(w.seen, sighting{member, reign, from, time.Now()})
			w.mu.Unlock()
			continue
		}
		if !isReadOnly(err) {
			_ = c.Close()
			c = dial()
		}
	}
}

var reignPattern = regexp.MustCompile(`(?m)^(?:master_replid|run_id):(\w+)`)

// takeWrite writes and asks who took it, in one step.
func takeWrite(ctx context.Context, c *redis.Client, member string) (reign string, err error) {
	var info, server *redis.StringCmd
	_, err = c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "witness-"+member, time.Now().UnixNano(), 0)
		info, server = p.Info(ctx, "replication"), p.Info(ctx, "server")
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
	return run[1][:8] + "/" + id[1][:8], nil
}

func isReadOnly(err error) bool {
	return redis.HasErrorPrefix(err, "READONLY") || redis.HasErrorPrefix(err, "EXECABORT")
}

// rivals are pairs of members that took writes at the same time: one did between
// two writes that the other took in one reign.
func (w *witness) rivals() (found []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	type span struct{ first, last sighting }
	reigns := map[string]*span{}
	for _, s := range w.seen {
		key := s.member + s.reign
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
			if s.member != r.first.member && !s.from.Before(r.first.to) && !s.to.After(r.last.from) {
				found = append(found, fmt.Sprintf("%v took a write between %v and %v", s, r.first, r.last))
				break
			}
		}
	}
	slices.SortFunc(found, cmp.Compare)
	return found
}

package robustness

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/larder-cache/larder/test/harness"
)

// trouble makes a life for groups until ctx ends: each has steps of its own, one
// after the other, while the server is killed now and then.
type trouble struct {
	d      *harness.Deployment
	groups []*group
	seed   uint64
	// disk, if any, is full at times.
	disk disk
	// failed is told of what ends the run.
	failed func(error)
}

// run returns when ctx has ended and every step begun is over.
func (t *trouble) run(ctx context.Context) {
	var wg sync.WaitGroup
	for i, g := range t.groups {
		wg.Go(func() { t.live(ctx, g, rand.New(rand.NewPCG(t.seed, uint64(i)))) })
	}
	wg.Go(func() { t.killServer(ctx, rand.New(rand.NewPCG(t.seed, 1000))) })
	if t.disk != "" {
		wg.Go(func() { t.disk.trouble(ctx, rand.New(rand.NewPCG(t.seed, 1001))) })
	}
	wg.Wait()
}

// live takes one group from step to step. A change is followed by a fault in the
// midst of it now and then; otherwise the group comes to rest first, so that a blow
// always meets a group with all of its replicas.
func (t *trouble) live(ctx context.Context, g *group, r *rand.Rand) {
	for first := true; ctx.Err() == nil; first = false {
		// What was begun is brought to its end, also after ctx.
		now, err := g.settled(context.WithoutCancel(ctx))
		if err != nil {
			g.fail("does not come to rest: %w", err)
			return
		}
		list := changes
		if g.sharded {
			list = shardedChanges
		}
		change := true
		switch {
		case first && g.sharded: // the shortest run shall see it, in the midst of which a member is lost
			list = []step{{"count shards", countShards}}
		case r.IntN(3) == 0:
			list, change = faults, false
		}
		s := list[r.IntN(len(list))]
		name, ok := outcome(s.do(context.WithoutCancel(ctx), g, now, r))
		g.note(s.name + " " + name)
		if !ok {
			g.fail("%s: %s", s.name, name)
		}
		if change && (first && g.sharded || r.IntN(4) == 0) {
			time.Sleep(time.Duration(r.IntN(50)) * time.Millisecond) // any point of the change will do
			f := faults[r.IntN(len(faults))]
			if err := f.do(context.WithoutCancel(ctx), g, now, r); err == nil {
				g.note(f.name + " meanwhile")
				after, err := g.settled(context.WithoutCancel(ctx))
				if err != nil {
					g.fail("does not come to rest after %s in the midst of %s: %w", f.name, s.name, err)
					return
				}
				g.moved(now.moved(after))
			}
		}
	}
}

// killServer ends the server with SIGKILL at points drawn, and starts it again.
func (t *trouble) killServer(ctx context.Context, r *rand.Rand) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(500+r.IntN(3000)) * time.Millisecond):
		}
		t.d.Kill()
		time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
		if err := t.d.Start(context.WithoutCancel(ctx)); err != nil {
			t.failed(err)
			return
		}
	}
}

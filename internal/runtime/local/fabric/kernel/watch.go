package kernel

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/larder-cache/larder/internal/runtime/local/fabric/kernel/rules"
)

// watch looks now and then whether somebody has changed what is ours in the kernel,
// and repairs it; rules at once.
func (f *Fabric) watch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.alarmed:
			f.mu.Lock()
			f.repair()
			f.mu.Unlock()
		case <-f.cfg.Clock.After(resyncPeriod):
			f.resync(ctx)
		}
	}
}

// listenTo passes alarms on.
func (f *Fabric) listenTo(a *rules.Alarm) {
	for a.Wait() == nil {
		select {
		case f.alarmed <- struct{}{}:
		default:
		}
	}
}

// repair puts rules back in force that somebody else has changed, and cuts who came in
// unjudged meanwhile.
func (f *Fabric) repair() {
	if f.closed || f.want == nil {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(f.spaces)) {
		s, net := f.spaces[id], f.want.networks[id]
		if s.conn == nil || s.table == nil || net == nil {
			continue
		}
		intact, err := s.conn.Verify()
		if err == nil && intact {
			continue
		}
		if err == nil {
			err = s.enforce()
		}
		if err == nil {
			_, err = s.conn.CutUnjudged(net.rules.Links)
		}
		if err != nil {
			f.tell(fmt.Sprintf("the rules of network %s cannot be made as they should be: %v", id, err))
			continue
		}
		f.tell(fmt.Sprintf("somebody has changed the rules of network %s; they are in force again", id))
	}
}

func (f *Fabric) resync(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.want == nil || ctx.Err() != nil {
		return
	}
	f.repair()
	f.connected = nil
	before := f.inodes()
	f.reopen()
	failed := failures{plan: f.want, by: map[string]error{}}
	if err := f.connect(ctx, f.want, &failed); err != nil {
		f.cfg.Log.Warn("networks cannot be looked after", "error", err)
	}
	anew := false
	for id, inode := range f.inodes() {
		if before[id] != 0 && before[id] != inode {
			f.tell(fmt.Sprintf("somebody has taken the namespace of network %s away; it was made anew", id))
			anew = true
		}
	}
	if !anew && len(f.leaving) == 0 {
		return
	}
	if _, err := f.apply(ctx, f.network); err != nil {
		f.cfg.Log.Warn("networks cannot be looked after", "error", err)
	}
}

// inodes tell the namespaces of the networks.
func (f *Fabric) inodes() map[string]uint64 {
	out := map[string]uint64{}
	for id, s := range f.spaces {
		out[id] = s.inode
	}
	return out
}

// reopen looks at the listeners of engines that clients are led to, as if nothing were
// known of them: one that an engine has opened anew is another one.
func (f *Fabric) reopen() {
	for _, id := range slices.Sorted(maps.Keys(f.want.networks)) {
		s := f.spaces[id]
		if s.conn == nil {
			continue
		}
		s.led = nil
		if failed, err := s.lead(f.want.networks[id].engines); err != nil || len(failed) > 0 {
			f.cfg.Log.Warn("clients cannot be led to some engines", "network", id, "error", err, "endpoints", failed)
		}
	}
}

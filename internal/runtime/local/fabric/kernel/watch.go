package kernel

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// watch looks now and then whether somebody has changed what is ours in the kernel,
// and repairs it.
func (f *Fabric) watch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.cfg.Clock.After(resyncPeriod):
		}
		f.resync(ctx)
	}
}

func (f *Fabric) resync(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.want == nil || ctx.Err() != nil {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(f.spaces)) {
		s := f.spaces[id]
		if s.conn == nil || s.table == nil {
			continue
		}
		intact, err := s.conn.Verify()
		if err == nil && intact {
			continue
		}
		if err == nil {
			err = s.enforce()
		}
		if err != nil {
			f.tell(fmt.Sprintf("the rules of network %s cannot be made as they should be: %v", id, err))
			continue
		}
		f.tell(fmt.Sprintf("somebody has changed the rules of network %s; they are in force again", id))
	}
	f.connected = nil
	before := f.inodes()
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

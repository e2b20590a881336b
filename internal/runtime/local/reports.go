package local

import (
	"sync"

	"github.com/larder-cache/larder/internal/runtime"
)

// reports hands the latest report of each node to one reader, however slow.
type reports struct {
	out  chan []runtime.Report
	wake chan struct{}
	stop chan struct{}
	done chan struct{}

	mu    sync.Mutex
	last  map[string]runtime.Report
	fresh []string // ids whose last report is not handed over, oldest first
}

func newReports() *reports {
	r := &reports{
		out: make(chan []runtime.Report), wake: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}), last: make(map[string]runtime.Report),
	}
	go r.run()
	return r
}

// put takes a report unless it says nothing new.
func (r *reports) put(rep runtime.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.last[rep.ID]; ok && old == rep {
		return
	}
	r.last[rep.ID] = rep
	for _, id := range r.fresh {
		if id == rep.ID {
			return
		}
	}
	r.fresh = append(r.fresh, rep.ID)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// get is the last report of a node.
func (r *reports) get(id string) (runtime.Report, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rep, ok := r.last[id]
	return rep, ok
}

func (r *reports) run() {
	defer close(r.done)
	defer close(r.out)
	for {
		batch, out := r.batch()
		select {
		case <-r.stop:
			return
		case <-r.wake: // what is offered may be out of date
		case out <- batch:
			r.handedOver(batch)
		}
	}
}

// batch is what is to be handed over; without anything the channel is nil, which
// blocks.
func (r *reports) batch() ([]runtime.Report, chan<- []runtime.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.fresh) == 0 {
		return nil, nil
	}
	batch := make([]runtime.Report, 0, len(r.fresh))
	for _, id := range r.fresh {
		batch = append(batch, r.last[id])
	}
	return batch, r.out
}

// handedOver forgets what the reader has, except what has changed since.
func (r *reports) handedOver(batch []runtime.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	has := make(map[string]runtime.Report, len(batch))
	for _, rep := range batch {
		has[rep.ID] = rep
	}
	var fresh []string
	for _, id := range r.fresh {
		if rep, ok := has[id]; !ok || rep != r.last[id] {
			fresh = append(fresh, id)
		}
	}
	r.fresh = fresh
	for id, rep := range has {
		if rep.Phase == runtime.PhaseGone && r.last[id] == rep {
			delete(r.last, id)
		}
	}
}

func (r *reports) close() {
	close(r.stop)
	<-r.done
}

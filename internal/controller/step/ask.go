package step

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/larder-cache/larder/internal/runtime"
)

// Prober asks engines about themselves, at once; runtime.Runtime is one.
type Prober interface {
	Replication(ctx context.Context, node string) (runtime.Replication, error)
}

// AskAgain is the pause before nodes that gave no answer are asked again. They
// either answer soon, or are reported as exited.
const AskAgain = 20 * time.Millisecond

// askTimeout bounds the wait for a node's answer. An engine answers within a
// fraction of a millisecond, or is in trouble itself.
const askTimeout = 200 * time.Millisecond

// Ask asks nodes for their replication offsets and for the memory that they use,
// all at once. Those that do not answer are left out.
func Ask(ctx context.Context, p Prober, log *slog.Logger, nodes []string) (offsets, memory map[string]int64) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	offsets, memory = map[string]int64{}, map[string]int64{}
	for _, node := range nodes {
		wg.Go(func() {
			r, err := p.Replication(ctx, node)
			if err != nil {
				log.Warn("a node does not tell how it is", "node", node, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			offsets[node], memory[node] = r.Offset, r.UsedMemory
		})
	}
	wg.Wait()
	return offsets, memory
}

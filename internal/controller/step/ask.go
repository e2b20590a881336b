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

// Answers are what nodes said of themselves, by their keys. Those that did not answer
// are left out.
type Answers map[string]runtime.Replication

// Offsets are the replication offsets.
func (a Answers) Offsets() map[string]int64 {
	return a.numbers(func(r runtime.Replication) int64 { return r.Offset })
}

// Memory is what they use, in bytes.
func (a Answers) Memory() map[string]int64 {
	return a.numbers(func(r runtime.Replication) int64 { return r.UsedMemory })
}

func (a Answers) numbers(of func(runtime.Replication) int64) map[string]int64 {
	out := make(map[string]int64, len(a))
	for node, r := range a {
		out[node] = of(r)
	}
	return out
}

// Ask asks nodes how they are, all at once.
func Ask(ctx context.Context, p Prober, log *slog.Logger, nodes []string) Answers {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	answers := Answers{}
	for _, node := range nodes {
		wg.Go(func() {
			r, err := p.Replication(ctx, node)
			if err != nil {
				log.Warn("a node does not tell how it is", "node", node, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			answers[node] = r
		})
	}
	wg.Wait()
	return answers
}

package app

import (
	"sync"

	"github.com/larder-cache/larder/internal/admin"
	"github.com/larder-cache/larder/internal/core"
)

// maxTroubles is how many troubles are kept for the status.
const maxTroubles = 5

// troubles are the last troubles of the network since the start. The log has all.
type troubles struct {
	clock core.Clock

	mu  sync.Mutex
	all []admin.Trouble
}

func (t *troubles) add(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, admin.Trouble{At: t.clock.Now().UTC(), Text: text})
	t.all = t.all[max(0, len(t.all)-maxTroubles):]
}

// list is oldest first.
func (t *troubles) list() []admin.Trouble {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]admin.Trouble{}, t.all...)
}

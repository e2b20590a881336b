package step

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/store"
)

// Pass makes one pass over one resource. plan is pure but for reading from r, and
// gives the steps and when to look again; it is asked once about what this
// process has seen, which costs next to nothing, and only when that asks for
// work again inside the transaction that does it. Each step made is logged.
func Pass(ctx context.Context, st *store.Store, log *slog.Logger, now time.Time, uid string, plan func(store.Reader) ([]Step, time.Duration)) (wait time.Duration, err error) {
	var steps []Step
	st.Local(func(r store.Reader) { steps, wait = plan(r) })
	if len(steps) == 0 {
		return wait, nil
	}
	err = st.Update(ctx, func(tx *store.Tx) error {
		steps, wait = plan(tx)
		Apply(tx, now, uid, steps)
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, s := range steps {
		log.Info(s.String())
	}
	return wait, nil
}

// ClusterOfNode is the key of the cluster that the node with a key belongs to.
func ClusterOfNode(key string) string {
	i := strings.LastIndexByte(key, '/')
	return key[:max(i, 0)]
}

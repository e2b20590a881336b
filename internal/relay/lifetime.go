package relay

import (
	"context"
	"errors"
	"time"
)

var (
	errOrphan  = errors.New("relay: no document came")
	errDrained = errors.New("relay: drained")
)

// watchOrphan ends a relay whose starter died before it could say what to do.
func (s *server) watchOrphan(ctx context.Context) {
	select {
	case <-s.first:
	case <-ctx.Done():
	case <-s.o.Clock.After(s.o.Orphaned):
		s.end(errOrphan)
	}
}

// awaitLast ends a draining relay after its last connection.
func (s *server) awaitLast(ctx context.Context) {
	for s.splicer.Open() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-s.o.Clock.After(100 * time.Millisecond):
		}
	}
	s.end(errDrained)
}

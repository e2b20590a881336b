package store

import (
	"context"
	"errors"
	"time"
)

// Pauses between attempts to follow a backend that does not answer.
const (
	minFollowPause = 10 * time.Millisecond
	maxFollowPause = 2 * time.Second
)

// follow keeps the view up to date until ctx ends. A stream that is lost is
// resumed; where the backend has forgotten what came after, all is loaded anew.
func (s *Store) follow(ctx context.Context) {
	defer close(s.done)
	wait := minFollowPause
	for {
		from := s.current().rev
		err := s.backend.Watch(ctx, from, s.take)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, ErrCompacted) {
			err = s.reload(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Warn("store: the watch was lost, resuming", "revision", s.current().rev, "error", err)
		}
		if s.current().rev > from {
			wait = minFollowPause
		}
		select {
		case <-time.After(wait):
			wait = min(2*wait, maxFollowPause)
		case <-ctx.Done():
			return
		}
	}
}

// take applies one commit. Those the view has already are skipped.
func (s *Store) take(b Batch) {
	view := s.current()
	if b.Revision <= view.rev {
		return
	}
	s.publish(view.with(b))
}

// reload replaces the view by what the backend holds now.
func (s *Store) reload(ctx context.Context) error {
	records, rev, err := s.backend.Load(ctx)
	if err != nil {
		return err
	}
	view := s.current()
	if rev < view.rev {
		return errWentBack
	}
	next := newSnapshot(records, rev)
	s.publish(next, view.diff(next))
	return nil
}

var errWentBack = errors.New("store: the backend is older than what was already read from it; was a backup restored? restart to accept it")

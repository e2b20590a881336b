package store

import (
	"context"
	"sync"
)

// Election chooses a leader within one process, for backends that no other
// process shares. The zero value is not usable; see NewElection.
type Election struct{ seat chan struct{} }

// NewElection makes an election without a leader.
func NewElection() *Election { return &Election{seat: make(chan struct{}, 1)} }

// Campaign implements that method of Backend.
func (e *Election) Campaign(ctx context.Context, _ string) (lost <-chan struct{}, resign func(), err error) {
	select {
	case e.seat <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	ended := make(chan struct{})
	var once sync.Once
	return ended, func() {
		once.Do(func() {
			close(ended)
			<-e.seat
		})
	}, nil
}

package local

import (
	"context"
	"errors"
	"fmt"

	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

// question asks for an engine's state at once; the goroutine of its node answers.
type question struct {
	ctx    context.Context
	hold   bool // writes shall wait first
	answer chan<- answer
}

type answer struct {
	state engine.State
	err   error
}

// ask gives what the engine says of its replication now. It is for all but nodes.
func (n *node) ask(ctx context.Context) (runtime.Replication, error) {
	s, err := n.put(question{ctx: ctx}, nil)
	return runtime.Replication{
		Role: s.Role, LinkUp: s.LinkUp, Offset: s.Offset, UsedMemory: s.UsedMemory, Clients: s.Clients,
		OtherDatabases: s.OtherDatabases, Diverged: s.Diverged,
	}, err
}

// askOf gives what the engine of another node says now.
func (n *node) askOf(ctx context.Context, other *node) (engine.State, error) {
	return other.put(question{ctx: ctx}, n)
}

// holdOf is askOf after writes were made to wait there.
func (n *node) holdOf(ctx context.Context, other *node) (engine.State, error) {
	return other.put(question{ctx: ctx, hold: true}, n)
}

// put has the node's goroutine answer a question. If it is another node's goroutine
// that asks, that one answers what it is asked meanwhile: two that want to know of each
// other must not wait for each other.
func (n *node) put(q question, asker *node) (engine.State, error) {
	ch := make(chan answer, 1)
	q.answer = ch
	to := n.questions
	var asked <-chan question // nil, if nobody can ask, blocks for ever
	if asker != nil {
		asked = asker.questions
	}
	for {
		select {
		case to <- q:
			to = nil
		case a := <-ch:
			return a.state, a.err
		case other := <-asked:
			if !asker.reply(other) {
				_ = asker.session.Close() // the asker is about to use it, and hangs up then
			}
		case <-q.ctx.Done():
			return engine.State{}, q.ctx.Err()
		case <-n.rt.ctx.Done():
			return engine.State{}, errClosed
		}
	}
}

// reply answers a question, and reports whether the session is still of use.
func (n *node) reply(q question) bool {
	if n.session == nil {
		q.answer <- answer{err: fmt.Errorf("local: node %s does not answer", n.id())}
		return true
	}
	ask := n.session.Observe
	if q.hold {
		ask = func(ctx context.Context) (engine.State, error) { return n.session.Hold(ctx, runtime.HoldLimit) }
	}
	state, err := ask(q.ctx)
	q.answer <- answer{state, err}
	return err == nil || errors.Is(err, engine.ErrBusy)
}

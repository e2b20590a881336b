package local

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/engine"
)

// talker is an engine of which only the offset can be asked.
type talker struct {
	engine.Session
	offset int64
	err    error
	closed bool
}

func (s *talker) Observe(context.Context) (engine.State, error) {
	return engine.State{Offset: s.offset}, s.err
}
func (s *talker) Close() error { s.closed = true; return nil }

func talkers(ctx context.Context, offsets ...int64) (nodes []*node, all []*talker) {
	rt := &Runtime{ctx: ctx}
	for _, o := range offsets {
		s := &talker{offset: o}
		nodes, all = append(nodes, &node{rt: rt, session: s, questions: make(chan question)}), append(all, s)
	}
	return nodes, all
}

// Nodes that all ask each other at the same time wait for no one.
func TestMutualQuestions(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	nodes, _ := talkers(t.Context(), 1, 2, 3)
	var asking, done sync.WaitGroup
	over := make(chan struct{})
	for i, n := range nodes {
		asking.Add(1)
		done.Go(func() {
			for range 100 {
				other := (i + 1) % len(nodes)
				if s, err := n.askOf(ctx, nodes[other]); err != nil || s.Offset != int64(other)+1 {
					t.Errorf("node %d hears %+v, %v", i, s, err)
					break
				}
			}
			asking.Done()
			for { // as a node that has nothing to do
				select {
				case q := <-n.questions:
					n.reply(q)
				case <-over:
					return
				}
			}
		})
	}
	asking.Wait()
	close(over)
	done.Wait()
}

// A node whose engine fails it in the middle of its own question finds that out when it
// next uses it.
func TestQuestionOfLostEngine(t *testing.T) {
	t.Parallel()
	nodes, sessions := talkers(t.Context(), 1, 2)
	sessions[0].err = errors.New("lost")
	got := make(chan error)
	go func() {
		_, err := nodes[1].askOf(t.Context(), nodes[0])
		got <- err
	}()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if err := <-got; err == nil {
			t.Error("the engine that is lost has answered")
		}
		cancel()
	}()
	silent := &node{rt: nodes[0].rt, questions: make(chan question)}
	if _, err := nodes[0].askOf(ctx, silent); !errors.Is(err, context.Canceled) {
		t.Errorf("the question is answered with %v", err)
	}
	if !sessions[0].closed || nodes[0].session == nil {
		t.Error("the session is not closed, or taken away from who uses it")
	}
}

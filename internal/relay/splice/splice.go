// Package splice is the relay's data path: it accepts clients, connects each to
// the unix socket of an engine, and copies bytes both ways until the end.
//
// A few loops (one per two processors) do everything: each is a thread that waits
// in epoll and owns its connections outright, so that the data path takes no
// locks and an idle connection costs neither a goroutine nor a buffer. Sockets
// are registered edge-triggered; what is read is written at once from a buffer
// that the whole loop shares. Only what the other side does not take is kept, and
// then nothing more is read from the one until the other has taken it: that is
// all the flow control there is. TLS connections run in the same loops, except
// for the handshake, which is slow and gets a goroutine while it lasts.
//
// Nothing is parsed but the first byte of a client where TLS is optional, and
// the engine's answer to the relay's own login.
//
// Who may connect is decided when a client is accepted, before a byte of it is
// read: one that no backend admits is held in silence, as a packet filter would
// leave it, and reset after a while. Should the policy let it in meanwhile, it is
// served.
package splice

import (
	"crypto/tls"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/network"
)

// Mode is what a listener speaks.
type Mode int

// The modes of a listener.
const (
	Plain     Mode = iota // plaintext only
	Preferred             // TLS or plaintext, told by the first byte
	Required              // TLS only
)

// Listener is what clients of one endpoint get.
type Listener struct {
	ID string
	// VPC is the network in which its clients have addresses: a key of
	// Access.Windows.
	VPC string
	// Source, if valid, is the address of all its clients there, wherever they
	// come from.
	Source netip.Addr
	// Sockets are listening, non-blocking sockets. They stay the caller's, who
	// may close one after the Apply of a table without it has returned.
	Sockets    []int
	Backends   []Backend
	CutRemoved bool
	Mode       Mode
	// TLS is the server's side of modes Preferred and Required.
	TLS *tls.Config
	// MaxConns bounds the connections of one node over all listeners; 0: no bound.
	MaxConns int
}

// Backend is an engine. Access says by its node who may connect.
type Backend struct {
	Node, Socket string
	Login        core.Secret
}

// Access is who may connect.
type Access struct {
	network.Guard
	// RefuseAfter is how long a client waits for its reset that no backend
	// admits; 0: not at all.
	RefuseAfter time.Duration
}

// Stats counts what went through one listener. Clients that are held count as
// refused.
type Stats struct {
	Open, Accepted, Refused int64
	BytesIn, BytesOut       int64
}

// Config of a Splicer. The zero value of each field is a usable default but for
// Log and Clock.
type Config struct {
	// Loops is the number of threads that copy.
	Loops int
	// MaxConns is how many connections the process can have; 0: no bound.
	MaxConns int
	// MaxHeld is how many refused clients may wait for their reset; the others
	// are reset at once. 0: all of them.
	MaxHeld int
	// HandshakeTimeout bounds a TLS handshake, and with mode Required also the
	// time until it begins.
	HandshakeTimeout time.Duration
	Clock            core.Clock
	Log              *slog.Logger
}

// Splicer runs the loops.
type Splicer struct {
	cfg   Config
	loops []*loop
	// open counts the connections, held the refused clients that wait.
	open, held atomic.Int64

	mu    sync.Mutex
	nodes map[string]*atomic.Int64
}

// New starts the loops, with no listeners.
func New(cfg Config) (*Splicer, error) {
	if cfg.Loops == 0 {
		cfg.Loops = min(max(runtime.GOMAXPROCS(0)/2, 1), 8)
	}
	if cfg.HandshakeTimeout == 0 {
		cfg.HandshakeTimeout = 10 * time.Second
	}
	s := &Splicer{cfg: cfg, nodes: map[string]*atomic.Int64{}}
	for range cfg.Loops {
		l, err := newLoop(s)
		if err != nil {
			s.Close()
			return nil, err
		}
		s.loops = append(s.loops, l)
		go l.run()
	}
	return s, nil
}

// Apply puts the listeners and the policy in force and returns once they are: a
// client accepted later is treated as they say, and connections that they no
// longer allow are reset. A listener is the same one as long as its ID is.
func (s *Splicer) Apply(listeners []Listener, access Access) {
	s.mu.Lock()
	defer s.mu.Unlock()
	routes := make([]*route, 0, len(listeners))
	used := map[string]bool{}
	for _, ls := range listeners {
		r := &route{Listener: ls}
		for _, b := range ls.Backends {
			used[b.Node] = true
			if s.nodes[b.Node] == nil {
				s.nodes[b.Node] = new(atomic.Int64)
			}
			r.backends = append(r.backends, newBackend(b, s.nodes[b.Node]))
		}
		routes = append(routes, r)
	}
	s.each(func(l *loop) {
		l.apply(routes)
		l.enforce(&access)
	})
	for node, n := range s.nodes {
		if !used[node] && n.Load() == 0 {
			delete(s.nodes, node)
		}
	}
}

// Enforce puts a policy in force, as Apply does, for the listeners there are.
func (s *Splicer) Enforce(access Access) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.each(func(l *loop) { l.enforce(&access) })
}

// StopAccepting leaves connections alone and accepts no more clients until the
// next Apply. When it has returned the listening sockets may be closed.
func (s *Splicer) StopAccepting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.each((*loop).deafen)
}

// Stats by listener ID, for the listeners in force.
func (s *Splicer) Stats() map[string]Stats {
	all := map[string]Stats{}
	var mu sync.Mutex
	s.each(func(l *loop) {
		mu.Lock()
		defer mu.Unlock()
		for id, ls := range l.listeners {
			sum := all[id]
			sum.Open += ls.stats.Open
			sum.Accepted += ls.stats.Accepted
			sum.Refused += ls.stats.Refused
			sum.BytesIn += ls.stats.BytesIn
			sum.BytesOut += ls.stats.BytesOut
			all[id] = sum
		}
	})
	return all
}

// Open is the number of connections, without clients that are held.
func (s *Splicer) Open() int { return int(s.open.Load()) }

// Close resets every connection and ends the loops. Listening sockets stay open.
func (s *Splicer) Close() {
	s.each(func(l *loop) { l.stopping = true })
	for _, l := range s.loops {
		<-l.done
	}
}

// each runs fn on every loop, in the loop's own thread, and waits.
func (s *Splicer) each(fn func(*loop)) {
	var wg sync.WaitGroup
	for _, l := range s.loops {
		wg.Add(1)
		l.post(func() { defer wg.Done(); fn(l) })
	}
	wg.Wait()
}

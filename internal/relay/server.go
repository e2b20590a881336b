package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/dns"
	"github.com/larder-cache/larder/internal/relay/splice"
)

// server answers control requests.
type server struct {
	o       Options
	splicer *splice.Splicer
	names   *dns.Server
	limit   int
	end     context.CancelCauseFunc
	tasks   sync.WaitGroup
	// first is closed by the first document.
	first chan struct{}

	mu       sync.Mutex
	channels map[*channel]bool
	// held are the listening sockets by address.
	held     map[string]int
	revision int64
	draining bool
	certs    certificates
}

func (s *server) serve(ctx context.Context, ln *net.UnixListener) {
	for ctx.Err() == nil {
		conn, err := ln.AcceptUnix()
		if err != nil {
			if ctx.Err() == nil {
				s.o.Log.Error("control socket", "err", err)
				s.pause(ctx)
			}
			continue
		}
		cred, err := peer(conn)
		if err != nil || int(cred.Uid) != os.Geteuid() {
			s.o.Log.Warn("control connection of another user refused", "err", err)
			conn.Close()
			continue
		}
		ch := &channel{conn: conn}
		if !s.track(ctx, ch) {
			ch.Close()
			return
		}
		s.tasks.Go(func() {
			defer s.untrack(ch)
			s.answer(ctx, ch)
		})
	}
}

// pause keeps a failing accept from taking a whole processor.
func (s *server) pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-s.o.Clock.After(100 * time.Millisecond):
	}
}

func (s *server) track(ctx context.Context, ch *channel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.channels == nil {
		s.channels = map[*channel]bool{}
	}
	s.channels[ch] = true
	return ctx.Err() == nil
}

func (s *server) untrack(ch *channel) {
	s.mu.Lock()
	delete(s.channels, ch)
	s.mu.Unlock()
	ch.Close()
}

func (s *server) closeChannels() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ch := range s.channels {
		_ = ch.conn.Close()
	}
}

// answer serves one control connection to its end.
func (s *server) answer(ctx context.Context, ch *channel) {
	staged := map[string]int{} // sockets for the next document
	defer func() { closeAll(slices.Collect(maps.Values(staged))) }()
	for {
		var r request
		files, err := ch.receive(&r)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				s.o.Log.Warn("control connection", "err", err)
			}
			return
		}
		if r.Op == opSockets {
			err = stage(staged, r.Addresses, files)
			files = nil
		}
		closeAll(files)
		var answer response
		var give []int
		if err == nil {
			answer, give, err = s.handle(ctx, r, staged)
		}
		if err != nil {
			answer = response{Error: err.Error()}
		}
		err = ch.send(answer, give)
		closeAll(give)
		if r.Op == opDrain {
			s.tasks.Go(func() { s.awaitLast(ctx) }) // which may be at once
		}
		if err != nil {
			return
		}
		if r.Op == opStop && answer.Error == "" {
			s.end(errDone)
		}
	}
}

// stage keeps sockets for the next document.
func stage(staged map[string]int, addresses []string, files []int) error {
	if len(addresses) != len(files) {
		closeAll(files)
		return errFrame
	}
	for i, fd := range files {
		ok, err := serves(fd)
		if err == nil && ok {
			err = unix.SetNonblock(fd, true)
		}
		if err != nil || !ok || staged[addresses[i]] != 0 {
			closeAll(files[i:])
			return fmt.Errorf("%s is no socket that clients come to", addresses[i])
		}
		staged[addresses[i]] = fd
	}
	return nil
}

// serves reports whether clients come to a socket: it listens, or takes datagrams.
func serves(fd int) (bool, error) {
	accepts, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil || accepts == 1 {
		return err == nil, err
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	return kind == unix.SOCK_DGRAM, err
}

// handle carries a request out. The descriptors that it returns go with the
// answer, and are closed then.
func (s *server) handle(ctx context.Context, r request, staged map[string]int) (response, []int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Op {
	case opHello:
		return response{Hello: s.hello()}, nil, nil
	case opSockets, opStop:
		return response{}, nil, nil
	case opApply:
		if r.Document == nil {
			return response{}, nil, errFrame
		}
		answer, err := s.apply(fromWire(r.Document), staged)
		return answer, nil, err
	case opEnforce:
		if r.Access == nil {
			return response{}, nil, errFrame
		}
		return response{}, nil, s.enforce(*r.Access, r.Revision)
	case opStats:
		return response{Stats: s.stats()}, nil, nil
	case opHandOver:
		return s.handOver(r.After)
	case opDrain:
		s.drain()
		return response{}, nil, nil
	}
	return response{}, nil, fmt.Errorf("unknown request %q", r.Op)
}

func (s *server) hello() *Hello {
	return &Hello{
		PID: os.Getpid(), Version: s.o.Version, Revision: s.revision, Draining: s.draining,
		Addresses: slices.Sorted(maps.Keys(s.held)), Limit: s.limit, Connections: s.splicer.Open(),
	}
}

func (s *server) stats() []ListenerStats {
	var all []ListenerStats
	for id, st := range s.splicer.Stats() {
		all = append(all, ListenerStats{
			ID: id, Open: st.Open, Accepted: st.Accepted, Refused: st.Refused,
			BytesIn: st.BytesIn, BytesOut: st.BytesOut,
		})
	}
	return all
}

// apply puts a document in force. A draining relay takes only what it says of
// connections that exist.
func (s *server) apply(d Document, staged map[string]int) (response, error) {
	if err := s.outdated(d.Revision); err != nil {
		return response{}, err
	}
	wanted := s.wanted(d)
	s.take(staged, wanted)
	answer := response{Refused: map[string]string{}}
	listeners := make([]splice.Listener, 0, len(d.Listeners))
	used := certificates{}
	taken := map[string]bool{}
	for _, l := range d.Listeners {
		compiled, err := s.compile(l, used)
		if err != nil {
			answer.Refused[l.ID] = err.Error()
		}
		for _, a := range l.Addresses {
			if s.held[a] != 0 && !taken[a] {
				taken[a] = true
				compiled.Sockets = append(compiled.Sockets, s.held[a])
			}
		}
		listeners = append(listeners, compiled)
	}
	s.splicer.Apply(listeners, d.Access)
	if err := s.resolve(d.Resolvers); err != nil {
		for _, r := range d.Resolvers {
			answer.Refused[r.ID] = err.Error()
		}
	}
	s.certs, s.revision = used, d.Revision
	for a, fd := range s.held {
		if !wanted[a] {
			_ = unix.Close(fd)
			delete(s.held, a)
		}
	}
	for _, a := range slices.Sorted(maps.Keys(wanted)) {
		if s.held[a] == 0 {
			answer.Missing = append(answer.Missing, a)
		}
	}
	s.known()
	return answer, nil
}

// wanted are the addresses at which the relay shall be reached.
func (s *server) wanted(d Document) map[string]bool {
	wanted := map[string]bool{}
	if s.draining {
		return wanted
	}
	for _, l := range d.Listeners {
		for _, a := range l.Addresses {
			wanted[a] = true
		}
	}
	for _, r := range d.Resolvers {
		for _, a := range r.Addresses {
			wanted[a] = true
		}
	}
	return wanted
}

// enforce puts another policy in force for the document that is.
func (s *server) enforce(access Access, revision int64) error {
	if err := s.outdated(revision); err != nil {
		return err
	}
	s.splicer.Enforce(access)
	s.revision = revision
	return nil
}

func (s *server) outdated(revision int64) error {
	if revision < s.revision {
		return fmt.Errorf("document %d is older than %d, which is in force", revision, s.revision)
	}
	return nil
}

// take keeps the staged sockets that are wanted and not held, and closes the rest:
// a listening socket that nobody accepts on would leave its clients hanging.
func (s *server) take(staged map[string]int, wanted map[string]bool) {
	for a, fd := range staged {
		if wanted[a] && s.held[a] == 0 {
			s.held[a] = fd
		} else {
			_ = unix.Close(fd)
		}
	}
	clear(staged)
}

// known notes that there is a document.
func (s *server) known() {
	select {
	case <-s.first:
	default:
		close(s.first)
	}
}

// handOver duplicates the listening sockets after the address given.
func (s *server) handOver(after string) (response, []int, error) {
	var answer response
	var give []int
	for _, a := range slices.Sorted(maps.Keys(s.held)) {
		if a <= after {
			continue
		}
		if len(give) == maxFiles {
			answer.More = true
			break
		}
		fd, err := unix.FcntlInt(uintptr(s.held[a]), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			closeAll(give)
			return response{}, nil, fmt.Errorf("duplicate %s: %w", a, err)
		}
		give = append(give, fd)
		answer.Addresses = append(answer.Addresses, a)
	}
	return answer, give, nil
}

// drain lets go of the listening sockets.
func (s *server) drain() {
	if s.draining {
		return
	}
	s.draining = true
	s.o.Log.Info("relay drains", "connections", s.splicer.Open())
	s.splicer.StopAccepting()
	s.names.Close()
	s.closeHeldLocked()
}

func (s *server) closeHeld() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeHeldLocked()
}

func (s *server) closeHeldLocked() {
	closeAll(slices.Collect(maps.Values(s.held)))
	clear(s.held)
}

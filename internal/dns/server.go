package dns

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/core"
)

// Bounds of what strangers can take: a TCP connection is closed after so many
// questions or so long a silence, and there are only so many of them at a time.
const (
	maxStreams  = 32
	maxQueries  = 64
	idleTimeout = 2 * time.Second
	// acceptPause is how long nothing is accepted when the kernel has no more
	// descriptors or memory to give.
	acceptPause = 100 * time.Millisecond
	// udpTimeout is how often an idle UDP socket is looked at for nothing.
	udpTimeout = time.Hour
)

// View is a zone and the sockets on which it is answered.
type View struct {
	Zone Zone
	// Sockets are bound UDP and listening TCP sockets under names of the caller's,
	// which tell one socket from another. They stay the caller's, who may close one
	// after the Apply without it has returned.
	Sockets map[string]int
}

// Server answers on sockets.
type Server struct {
	clock core.Clock
	log   *slog.Logger
	// streams counts the TCP connections.
	streams atomic.Int64

	mu   sync.Mutex
	open map[string]*responder
}

// NewServer returns a server without sockets.
func NewServer(clock core.Clock, log *slog.Logger) *Server {
	return &Server{clock: clock, log: log, open: map[string]*responder{}}
}

// Apply puts views in force and returns once they are. A socket is the same one as
// long as its name is. The error names the sockets that cannot be answered on; the
// others are.
func (s *Server) Apply(views []View) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var failures []error
	wanted := map[string]bool{}
	for _, v := range views {
		zone := compile(v.Zone)
		for _, name := range slices.Sorted(maps.Keys(v.Sockets)) {
			wanted[name] = true
			if r := s.open[name]; r != nil {
				r.zone.Store(zone)
				continue
			}
			r, err := s.respond(name, v.Sockets[name], zone)
			if err != nil {
				failures = append(failures, fmt.Errorf("answer DNS on %s: %w", name, err))
				continue
			}
			s.open[name] = r
		}
	}
	for name, r := range s.open {
		if !wanted[name] {
			r.stop()
			delete(s.open, name)
		}
	}
	return errors.Join(failures...)
}

// Close stops answering. Sockets stay open.
func (s *Server) Close() { _ = s.Apply(nil) }

// responder answers on one socket.
type responder struct {
	zone   atomic.Pointer[compiled]
	server *dns.Server
	limit  int
	done   chan struct{}
}

// respond begins to answer on a duplicate of a socket.
func (s *Server) respond(name string, fd int, zone *compiled) (*responder, error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(own), name)
	defer f.Close() // net makes a duplicate of its own
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return nil, err
	}
	r := &responder{done: make(chan struct{})}
	r.zone.Store(zone)
	started := make(chan struct{})
	r.server = &dns.Server{
		Handler: r, NotifyStartedFunc: sync.OnceFunc(func() { close(started) }), UDPSize: dns.MinMsgSize, MaxTCPQueries: maxQueries,
		ReadTimeout: idleTimeout, WriteTimeout: idleTimeout, IdleTimeout: func() time.Duration { return idleTimeout },
	}
	if kind == unix.SOCK_DGRAM {
		r.limit = dns.MinMsgSize
		r.server.ReadTimeout = udpTimeout
		r.server.PacketConn, err = net.FilePacketConn(f)
	} else {
		r.limit = dns.MaxMsgSize
		var l net.Listener
		l, err = net.FileListener(f)
		r.server.Listener = &limited{Listener: l, open: &s.streams, clock: s.clock}
	}
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(r.done)
		if err := r.server.ActivateAndServe(); err != nil {
			s.log.Error("DNS is not answered any more", "socket", name, "err", err)
		}
	}()
	select {
	case <-started:
		return r, nil
	case <-r.done:
		return nil, errors.New("the socket does not serve")
	}
}

// ServeDNS implements dns.Handler.
func (r *responder) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	_ = w.WriteMsg(r.zone.Load().answer(q, r.limit)) // whoever asked asks again
}

// stop returns when nothing is read from the socket any more. Connections end
// with the answers that are on their way.
func (r *responder) stop() {
	_ = r.server.Shutdown() // it has started
	<-r.done
}

// limited closes connections that are too many at once.
type limited struct {
	net.Listener
	open  *atomic.Int64
	clock core.Clock
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case err != nil:
			<-l.clock.After(acceptPause)
			return nil, err
		case l.open.Add(1) <= maxStreams:
			return &counted{Conn: c, open: l.open}, nil
		}
		l.open.Add(-1)
		_ = c.Close()
	}
}

// counted gives its place back when it is closed.
type counted struct {
	net.Conn
	open   *atomic.Int64
	closed atomic.Bool
}

// Close implements net.Conn.
func (c *counted) Close() error {
	if !c.closed.Swap(true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

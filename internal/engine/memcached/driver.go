// Package memcached drives Memcached servers: it renders their options and asks
// them for statistics over their unix socket. All settings are read at the
// start only.
package memcached

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

const (
	// opTimeout bounds one exchange, see package valkey.
	opTimeout = 2 * time.Second
	// maxLines is far above what any of the statistics asked for has.
	maxLines = 4096
	// maxSocketPath is what fits into a unix socket's address.
	maxSocketPath = 107
)

// Driver implements engine.Driver.
type Driver struct{}

var _ engine.Driver = Driver{}

// Launch implements engine.Driver.
func (Driver) Launch(_ engine.Binary, n *runtime.Node, p engine.Place) (engine.Launch, error) {
	if len(p.Socket) > maxSocketPath {
		return engine.Launch{}, fmt.Errorf("memcached: socket path %q is longer than %d bytes", p.Socket, maxSocketPath)
	}
	args, _, err := render(n.StartSettings, p.Descriptors)
	if err != nil {
		return engine.Launch{}, err
	}
	args = append([]string{"-s", p.Socket, "-a", "0700", "-v"}, args...)
	if os.Geteuid() == 0 {
		// As root it insists on being told whose identity to take.
		args = append(args, "-u", "root")
	}
	return engine.Launch{Args: args}, nil
}

// Open implements engine.Driver.
func (Driver) Open(ctx context.Context, socket string, _ *runtime.Node) (engine.Session, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	s := &session{c: c, r: bufio.NewReaderSize(c, 4096)}
	lines, err := s.do(ctx, "stats settings")
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	s.maxClients, _ = strconv.Atoi(lines["maxconns"])
	return s, nil
}

// session implements engine.Session.
type session struct {
	c          net.Conn
	r          *bufio.Reader
	maxClients int
}

// MoveSlots implements engine.Driver. Memcached has no slots.
func (Driver) MoveSlots(context.Context, engine.Process, engine.Process, core.Slots) (core.Slots, error) {
	return nil, errors.ErrUnsupported
}

// Close implements engine.Session.
func (s *session) Close() error { return s.c.Close() }

// Shutdown implements engine.Session. There is no command for it that customers
// would not have too; a signal ends memcached at once.
func (s *session) Shutdown(context.Context) error { return errors.ErrUnsupported }

// Hold implements engine.Session. Memcached has no replicas to wait for.
func (s *session) Hold(ctx context.Context, _ time.Duration) (engine.State, error) {
	return s.Observe(ctx)
}

// Meet implements engine.Session. Memcached has no cluster.
func (s *session) Meet(context.Context, runtime.ClusterNode) error { return errors.ErrUnsupported }

// Misjudges implements engine.Session.
func (s *session) Misjudges(context.Context, string) (bool, error) {
	return false, errors.ErrUnsupported
}

// Replicas implements engine.Session. Memcached has none, but may answer.
func (s *session) Replicas(ctx context.Context) (int, error) {
	_, err := s.do(ctx, "stats")
	return 0, err
}

// SetPace implements engine.Session. Memcached has only one.
func (s *session) SetPace(context.Context, engine.Pace) error { return nil }

// Acknowledge implements engine.Session. Memcached has no replicas.
func (s *session) Acknowledge(context.Context) error { return nil }

// Converge implements engine.Session.
func (s *session) Converge(ctx context.Context, n *runtime.Node) (engine.State, []string, error) {
	_, unknown, err := render(n.StartSettings, otherFiles+1)
	if err != nil {
		return engine.State{}, nil, err
	}
	var refused []string
	for _, name := range unknown {
		refused = append(refused, fmt.Sprintf("setting %s is unknown to this engine", name))
	}
	state, err := s.Observe(ctx)
	return state, refused, err
}

// Observe implements engine.Session.
func (s *session) Observe(ctx context.Context) (engine.State, error) {
	stats, err := s.do(ctx, "stats")
	if err != nil {
		return engine.State{}, err
	}
	used, _ := strconv.ParseInt(stats["bytes"], 10, 64)
	clients, _ := strconv.Atoi(stats["curr_connections"])
	// It counts the socket that it listens on, and this session.
	return engine.State{UsedMemory: used, Clients: max(clients-2, 0), MaxClients: s.maxClients}, nil
}

var errProtocol = errors.New("memcached: not an answer of the protocol")

// do asks for statistics and gives them by name.
func (s *session) do(ctx context.Context, command string) (map[string]string, error) {
	stop := context.AfterFunc(ctx, func() { _ = s.c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	// The socket's deadline is wall-clock time by nature, not the logic's.
	if err := s.c.SetDeadline(time.Now().Add(opTimeout)); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if _, err := s.c.Write([]byte(command + "\r\n")); err != nil {
		return nil, fmt.Errorf("memcached: %s: %w", command, err)
	}
	stats, err := readStats(s.r)
	if err != nil {
		return nil, fmt.Errorf("memcached: %s: %w", command, err)
	}
	return stats, nil
}

// readStats reads "STAT name value" lines up to END.
func readStats(r *bufio.Reader) (map[string]string, error) {
	stats := make(map[string]string)
	for range maxLines {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		text := strings.TrimRight(string(line), "\r\n")
		if text == "END" {
			return stats, nil
		}
		fields := strings.SplitN(text, " ", 3)
		if fields[0] != "STAT" || len(fields) < 2 {
			return nil, errProtocol
		}
		value := ""
		if len(fields) == 3 {
			value = fields[2]
		}
		stats[fields[1]] = value
	}
	return nil, errProtocol
}

package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/dns"
	"github.com/larder-cache/larder/internal/relay/splice"
)

// Options of the relay process.
type Options struct {
	// Socket is the path of the control socket, which the relay creates and
	// removes. Its directory must be the user's alone.
	Socket string
	// Version is what Hello answers; "" is the BuildID of the executable.
	Version string
	// Orphaned is how long to wait for the first document before giving up;
	// 0 means 10 seconds.
	Orphaned time.Duration
	// Clock defaults to the real one, Log to nothing.
	Clock core.Clock
	Log   *slog.Logger
}

// reservedFiles are descriptors that connections may not use: control sockets,
// epoll, the log, sockets on their way in.
const reservedFiles = 128

// maxHeld is how many refused clients wait for their reset at most: enough that
// whoever tries all day sees no difference, and few enough to cost no descriptors.
const maxHeld = 1024

// errDone ends the relay in order.
var errDone = errors.New("relay: done")

// Main runs the relay until it is told to stop, has drained, gets no document, or
// ctx ends; it then removes the control socket.
func Main(ctx context.Context, o Options) error {
	if err := o.fill(); err != nil {
		return err
	}
	if err := raiseFileLimit(); err != nil {
		return err
	}
	limit, refused, err := capacity()
	if err != nil {
		return err
	}
	ln, err := listenControl(o.Socket)
	if err != nil {
		return err
	}
	defer ln.Close() // removes the file
	sp, err := splice.New(splice.Config{MaxConns: limit, MaxHeld: refused, Clock: o.Clock, Log: o.Log})
	if err != nil {
		return fmt.Errorf("start relay: %w", err)
	}
	ctx, end := context.WithCancelCause(ctx)
	s := &server{o: o, splicer: sp, limit: limit, end: end, first: make(chan struct{}), held: map[string]int{}, names: dns.NewServer(o.Clock, o.Log)}
	o.Log.Info("relay starts", "pid", os.Getpid(), "version", o.Version, "connections", limit)
	s.tasks.Go(func() { s.serve(ctx, ln) })
	s.tasks.Go(func() { s.watchOrphan(ctx) })
	<-ctx.Done()
	ln.Close()
	sp.Close()
	s.names.Close()
	s.closeHeld()
	s.closeChannels() // last: to others it means that the relay is gone
	s.tasks.Wait()
	o.Log.Info("relay ends", "why", context.Cause(ctx))
	return nil
}

func (o *Options) fill() error {
	if o.Clock == nil {
		o.Clock = core.SystemClock{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Orphaned == 0 {
		o.Orphaned = 10 * time.Second
	}
	if o.Version == "" {
		v, err := BuildID("/proc/self/exe")
		if err != nil {
			return err
		}
		o.Version = v
	}
	return nil
}

// Capacity is how many client connections a relay carries at once, over all
// nodes: each takes two of the open files that its process may have.
func Capacity() (int, error) {
	limit, _, err := capacity()
	return limit, err
}

// capacity is also how many refused clients are held.
func capacity() (limit, refused int, err error) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, 0, fmt.Errorf("read limit of open files: %w", err)
	}
	const sane = 1 << 20
	files := int(min(r.Max, sane))
	refused = min(maxHeld, files/16)
	return (files - reservedFiles - refused) / 2, refused, nil
}

// raiseFileLimit raises the limit of open files as far as it goes.
func raiseFileLimit() error {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return fmt.Errorf("read limit of open files: %w", err)
	}
	r.Cur = r.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return fmt.Errorf("raise limit of open files: %w", err)
	}
	return nil
}

func listenControl(path string) (*net.UnixListener, error) {
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	return ln, nil
}

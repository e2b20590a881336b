package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Client speaks to one relay. Its methods may be called from several goroutines
// and are carried out one after the other.
type Client struct {
	mu   sync.Mutex
	ch   *channel
	pid  int
	path string
}

// Socket is a listening socket and the IP:PORT where it listens.
type Socket struct {
	Address string
	FD      int
}

// Applied is the answer to a document.
type Applied struct {
	// Missing are the addresses for which the relay holds no socket; the
	// document is in force without them.
	Missing []string
	// Refused are listeners that could not be set up (a certificate that does not
	// load), with the reason; the others are in force.
	Refused map[string]string
}

// Dial connects to the relay whose control socket is at path and checks that it
// belongs to the same user.
func Dial(ctx context.Context, path string) (*Client, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("reach relay: %w", err)
	}
	conn := nc.(*net.UnixConn)
	cred, err := peer(conn)
	if err == nil && int(cred.Uid) != os.Geteuid() {
		err = fmt.Errorf("relay: the process at %s belongs to user %d", path, cred.Uid)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &Client{ch: &channel{conn: conn}, pid: int(cred.Pid), path: path}, nil
}

// PID is the relay's process id, as the kernel says.
func (c *Client) PID() int { return c.pid }

// Path is that of the control socket.
func (c *Client) Path() string { return c.path }

// Close closes the connection; the relay goes on.
func (c *Client) Close() error { return c.ch.Close() }

// Hello asks the relay what it is.
func (c *Client) Hello(ctx context.Context) (Hello, error) {
	r, _, err := c.call(ctx, request{Op: opHello}, nil)
	if err != nil || r.Hello == nil {
		return Hello{}, orMalformed(err)
	}
	return *r.Hello, nil
}

// Apply puts a document in force and returns once it is. sockets are listening
// sockets of the document's addresses that the relay does not hold yet; they are
// duplicated, the caller's own stay open and are the caller's to close.
func (c *Client) Apply(ctx context.Context, d Document, sockets []Socket) (Applied, error) {
	for len(sockets) > 0 {
		n := min(len(sockets), maxFiles)
		var r request
		var files []int
		for _, s := range sockets[:n] {
			r.Addresses, files = append(r.Addresses, s.Address), append(files, s.FD)
		}
		r.Op = opSockets
		if _, _, err := c.call(ctx, r, files); err != nil {
			return Applied{}, err
		}
		sockets = sockets[n:]
	}
	r, _, err := c.call(ctx, request{Op: opApply, Document: toWire(d)}, nil)
	return Applied{Missing: r.Missing, Refused: r.Refused}, err
}

// Enforce replaces who may connect in the document in force, and returns once
// that is so. revision orders it among the documents.
func (c *Client) Enforce(ctx context.Context, a Access, revision int64) error {
	_, _, err := c.call(ctx, request{Op: opEnforce, Access: &a, Revision: revision}, nil)
	return err
}

// Stats counts per listener, sorted by ID.
func (c *Client) Stats(ctx context.Context) ([]ListenerStats, error) {
	r, _, err := c.call(ctx, request{Op: opStats}, nil)
	sort.Slice(r.Stats, func(i, j int) bool { return r.Stats[i].ID < r.Stats[j].ID })
	return r.Stats, err
}

// HandOver duplicates the relay's listening sockets for another relay; they are
// the caller's to close. The relay goes on accepting until Drain, so that no
// client is refused in between.
func (c *Client) HandOver(ctx context.Context) ([]Socket, error) {
	var all []Socket
	for after, more := "", true; more; {
		r, files, err := c.call(ctx, request{Op: opHandOver, After: after}, nil)
		if err == nil && (len(files) != len(r.Addresses) || r.More && len(files) == 0) {
			closeAll(files)
			err = errFrame
		}
		if err != nil {
			CloseSockets(all)
			return nil, err
		}
		for i, a := range r.Addresses {
			all = append(all, Socket{Address: a, FD: files[i]})
			after = a
		}
		more = r.More
	}
	return all, nil
}

// Drain makes the relay accept no more clients and exit after the last one.
func (c *Client) Drain(ctx context.Context) error {
	_, _, err := c.call(ctx, request{Op: opDrain}, nil)
	return err
}

// Stop ends the relay and every connection through it, and returns when it is
// gone, be it of itself.
func (c *Client) Stop(ctx context.Context) error {
	_, _, err := c.call(ctx, request{Op: opStop}, nil)
	switch {
	case Gone(err):
		return nil
	case err != nil:
		return err
	}
	return c.Wait(ctx)
}

// Gone reports whether err, of Dial or of a call, says that the relay has ended.
func Gone(err error) bool {
	for _, end := range []error{io.EOF, unix.ECONNRESET, unix.EPIPE, unix.ECONNREFUSED, unix.ENOENT} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// Wait returns when the relay is gone (nil) or ctx ends. No other method may be
// called meanwhile or later.
func (c *Client) Wait(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	release := c.bound(ctx)
	defer release()
	var b [1]byte
	if _, err := c.ch.conn.Read(b[:]); errors.Is(err, os.ErrDeadlineExceeded) {
		return context.Cause(ctx)
	}
	return nil
}

// CloseSockets closes sockets that HandOver returned or the caller opened.
func CloseSockets(sockets []Socket) {
	for _, s := range sockets {
		_ = unix.Close(s.FD)
	}
}

func (c *Client) call(ctx context.Context, r request, files []int) (response, []int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		return response{}, nil, fmt.Errorf("relay was not asked: %w", context.Cause(ctx))
	}
	release := c.bound(ctx)
	if err := c.ch.send(r, files); err != nil {
		release()
		return response{}, nil, err
	}
	var answer response
	got, err := c.ch.receive(&answer)
	if late := release(); late && err == nil {
		// The exchange was over when ctx ended, so the next one is not to suffer.
		err = c.ch.conn.SetDeadline(time.Time{})
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return response{}, nil, fmt.Errorf("relay did not answer: %w", context.Cause(ctx))
	case err != nil:
		return response{}, nil, fmt.Errorf("relay did not answer: %w", err)
	case answer.Error != "":
		closeAll(got)
		return response{}, nil, fmt.Errorf("relay: %s", answer.Error)
	}
	return answer, got, nil
}

// bound ends socket operations with ctx until release is called, which reports
// whether it has. A call that was cut short leaves the stream unusable, which later
// calls then report.
func (c *Client) bound(ctx context.Context) (release func() bool) {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = c.ch.conn.SetDeadline(time.Unix(1, 0))
	})
	return func() bool {
		if stop() {
			return false
		}
		<-done
		return true
	}
}

func orMalformed(err error) error {
	if err == nil {
		return errFrame
	}
	return err
}

// peer is who is at the other end of conn, as the kernel says.
func peer(conn *net.UnixConn) (*unix.Ucred, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) {
		cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if cerr != nil {
		return nil, fmt.Errorf("control socket peer: %w", cerr)
	}
	return cred, nil
}

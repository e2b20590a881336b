package relays

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/relay"
)

// process is a relay that runs.
type process struct {
	client   *relay.Client
	version  string
	revision int64
	draining bool
	// held are the addresses of the sockets that it holds.
	held map[string]bool
	// child: it was started here, and is to be reaped here should it end.
	child bool
}

// took notes what the relay holds after a document.
func (p *process) took(d relay.Document, missing []string) {
	p.revision = d.Revision
	p.held = map[string]bool{}
	for _, a := range addresses(d) {
		p.held[a] = true
	}
	for _, a := range missing {
		delete(p.held, a)
	}
}

const (
	socketPattern = "relay-*.sock"
	logName       = "relay.log"
	logLimit      = 1 << 20
	startTime     = 10 * time.Second
	helloTime     = 3 * time.Second
	pollTime      = 2 * time.Millisecond
	exitTries     = 1000
)

// find makes the relays of RunDir known that are not yet: the one of this version
// that has the newest document is active, any other is older.
func (r *Relays) find(ctx context.Context) {
	for _, path := range sockets(r.cfg.RunDir) {
		if r.knows(path) {
			continue
		}
		p, err := connect(ctx, path)
		if err != nil {
			r.cfg.Log.Warn("relay does not answer", "socket", path, "err", err)
			continue
		}
		r.cfg.Log.Info("relay found", "pid", p.client.PID(), "version", p.version, "draining", p.draining)
		r.revision = max(r.revision, p.revision)
		switch {
		case p.draining || p.version != r.cfg.Version:
			r.older = append(r.older, p)
		case r.active == nil || r.active.revision < p.revision:
			if r.active != nil {
				r.older = append(r.older, r.active)
			}
			r.active = p
		default:
			r.older = append(r.older, p)
		}
		r.watch(p)
	}
}

func (r *Relays) knows(path string) bool {
	at := func(p *process) bool { return p.client.Path() == path }
	return slices.ContainsFunc(r.older, at) || r.active != nil && at(r.active)
}

// sockets are the control sockets in runDir that somebody listens on; what a
// killed relay left behind is removed.
func sockets(runDir string) []string {
	all, err := filepath.Glob(filepath.Join(runDir, socketPattern))
	if err != nil {
		return nil // the pattern is a constant
	}
	return slices.DeleteFunc(all, func(path string) bool {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return false
		}
		defer unix.Close(fd)
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); !errors.Is(err, unix.ECONNREFUSED) {
			return false
		}
		_ = os.Remove(path)
		return true
	})
}

// connect needs no more than the socket to know that it is the relay that made
// it: where that one has died, nobody accepts, whoever has its pid now.
func connect(ctx context.Context, path string) (*process, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	c, err := relay.Dial(ctx, path)
	if err != nil {
		return nil, err
	}
	h, err := c.Hello(ctx)
	if err != nil {
		c.Close()
		return nil, err
	}
	p := &process{client: c, version: h.Version, revision: h.Revision, draining: h.Draining, held: map[string]bool{}}
	for _, a := range h.Addresses {
		p.held[a] = true
	}
	return p, nil
}

// startRelay starts a relay and makes it the active one.
func (r *Relays) startRelay(ctx context.Context) error {
	path := filepath.Join(r.cfg.RunDir, "relay-"+token()+".sock")
	pid, err := r.spawn(path)
	if err != nil {
		return fmt.Errorf("start relay: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		p, err := connect(ctx, path)
		if err == nil {
			p.child = true
			r.active = p
			r.watch(p)
			r.cfg.Log.Info("relay started", "pid", pid)
			return nil
		}
		if reap(pid) {
			return fmt.Errorf("relay exits at once: %s", r.lastWords())
		}
		select {
		case <-r.cfg.Clock.After(pollTime):
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("start relay: %w", err), giveUp(pid, path))
		}
	}
}

// giveUp ends a relay that has not answered yet, and so holds nothing. It would end by
// itself in a while, as it gets no document; until it has a socket nobody would find it.
func giveUp(pid int, path string) error {
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		return fmt.Errorf("end it: %w", err)
	}
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("end it: %w", err)
	}
	return nil
}

// spawn runs the relay detached: in a session of its own, with nothing of the
// server's but the log.
func (r *Relays) spawn(path string) (pid int, err error) {
	log, err := r.openLog()
	if err != nil {
		return 0, err
	}
	defer log.Close()
	cmd := exec.Command(r.cfg.Exe, append(slices.Clone(r.cfg.Args), "--socket", path)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	pid = cmd.Process.Pid
	return pid, cmd.Process.Release()
}

func (r *Relays) openLog() (*os.File, error) {
	path := filepath.Join(r.cfg.RunDir, logName)
	if info, err := os.Stat(path); err == nil && info.Size() > logLimit {
		_ = os.Truncate(path, 0)
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// lastWords is the last line of the relays' log.
func (r *Relays) lastWords() string {
	text, err := os.ReadFile(filepath.Join(r.cfg.RunDir, logName))
	if err != nil {
		return err.Error()
	}
	text = bytes.TrimSpace(text)
	return string(text[bytes.LastIndexByte(text, '\n')+1:])
}

// watch notices the end of a relay.
func (r *Relays) watch(p *process) {
	second, err := relay.Dial(r.ctx, p.client.Path())
	if err != nil {
		r.tasks.Go(func() { r.ended(p) })
		return
	}
	r.tasks.Go(func() {
		err := second.Wait(r.ctx)
		second.Close()
		if err == nil {
			r.ended(p)
		}
	})
}

// ended forgets a relay that is gone, and replaces the active one at once.
func (r *Relays) ended(p *process) {
	r.awaitExit(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	wasActive := r.active == p
	r.forget(p)
	for pause := restartPause; wasActive && r.wanting(); pause = min(2*pause, restartPauseMax) {
		r.cfg.Log.Error("relay has died, and is started again", "pid", p.client.PID())
		_, err := r.push(r.ctx)
		if err == nil {
			return
		}
		r.cfg.Log.Error("relay does not start", "err", err)
		r.mu.Unlock()
		select {
		case <-r.cfg.Clock.After(pause):
		case <-r.ctx.Done():
		}
		r.mu.Lock()
	}
}

const (
	restartPause    = 50 * time.Millisecond
	restartPauseMax = 5 * time.Second
)

// forget drops what is known of a relay.
func (r *Relays) forget(p *process) {
	if r.active == p {
		r.active = nil
	}
	r.older = slices.DeleteFunc(r.older, func(o *process) bool { return o == p })
	p.client.Close()
}

// wanting: a relay is asked for and there is none.
func (r *Relays) wanting() bool {
	return r.asked && r.active == nil && !r.closed && r.ctx.Err() == nil
}

// awaitExit waits until the process has closed all of its sockets: a dying
// process closes them one after the other, and the addresses are wanted again.
func (r *Relays) awaitExit(p *process) {
	for tries := 0; tries < exitTries && !exited(p.client.PID()); tries++ {
		select {
		case <-r.cfg.Clock.After(pollTime):
		case <-r.ctx.Done():
			return
		}
	}
	if p.child {
		reap(p.client.PID())
	}
}

// exited reports whether a process has ended, reaped or not: whoever is to reap a
// relay of an earlier server may never do so.
func exited(pid int) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return errors.Is(err, unix.ESRCH)
	}
	defer unix.Close(fd)
	n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return n == 1
}

// reap reports whether the child has ended.
func reap(pid int) bool {
	got, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
	return got == pid || errors.Is(err, unix.ECHILD)
}

// Stop ends every relay in runDir, with no fabric needed: for a server that is not
// running.
func Stop(ctx context.Context, runDir string) error {
	var failures []error
	for _, path := range sockets(runDir) {
		failures = append(failures, stop(ctx, path))
	}
	return errors.Join(failures...)
}

// stop ends the relay at path. One that drains may end by itself at any moment.
func stop(ctx context.Context, path string) error {
	c, err := relay.Dial(ctx, path)
	if relay.Gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer reap(c.PID())
	defer c.Close()
	if err := c.Stop(ctx); err != nil {
		return err
	}
	awaitEnd(c.PID())
	return nil
}

// awaitEnd waits for the end of a process that has hung up and is about to exit:
// who looks for what is left must find nothing.
func awaitEnd(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(helloTime.Milliseconds()))
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func token() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

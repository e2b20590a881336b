package splice

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// batch is how many events one wait returns at most.
	batch = 256
	// chunk is how much is read from a socket before it is another's turn.
	chunk = 64 << 10
	// retryDial is how long to wait when an engine's backlog is full, and when the
	// process is out of descriptors; giveUpDial is when the client is reset.
	retryDial  = 10 * time.Millisecond
	giveUpDial = 10 * time.Second
)

// The kinds of event, in the low bits of an event's Pad; a connection's
// generation is above them, and its slot (or the descriptor) in Fd.
const (
	kindClient = iota
	kindEngine
	kindListener
	kindWake
	kindBits = 2
)

// loop is one thread of the data path. Everything in it belongs to that thread,
// except for inbox.
type loop struct {
	s    *Splicer
	ep   int
	wake int

	mu     sync.Mutex
	inbox  []func()
	closed bool
	done   chan struct{}

	stopping bool
	// slots are the connections; free are the empty ones. A slot's conn object is
	// used again, with the next generation, so that an event for an earlier
	// connection of the slot is recognised, though the descriptor be the same.
	slots     []*conn
	free      []int32
	listeners map[string]*listener
	// retired are listeners that are no more but for their connections, which obey one
	// of the same ID if there is one again.
	retired   map[string]*listener
	accepting map[int]*listener
	// again are connections with more to do, after others had their turn.
	again, turn []ref
	waiting     []expiry  // for an engine to accept
	deadlines   []expiry  // of handshakes; in order, as all last equally long
	refused     []expiry  // of clients that are held; in order for the same reason
	access      *Access   // in force
	resume      time.Time // when to accept again, if paused
	complained  time.Time // when the log last heard of a pause
	buf         []byte    // what was read, and is written at once
	cipher      []byte    // TLS: what is to be written
	raw         []byte    // TLS: what was read
	spare       [][]byte  // buffers for what a peer does not take yet
}

// listener is a loop's own state of a listener; it outlives documents, and the
// listener itself for as long as connections of it are open.
type listener struct {
	route *route
	turn  int
	stats Stats
}

// ref names a connection; it is void once the connection has ended.
type ref struct {
	slot int32
	gen  uint32
}

type expiry struct {
	ref
	at time.Time
}

func newLoop(s *Splicer) (*loop, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(ep)
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	l := &loop{
		s: s, ep: ep, wake: wake, done: make(chan struct{}),
		listeners: map[string]*listener{}, retired: map[string]*listener{}, accepting: map[int]*listener{}, access: &Access{},
		buf: make([]byte, chunk),
	}
	if err := l.watch(unix.EPOLL_CTL_ADD, wake, unix.EPOLLIN, event(0, 0, kindWake)); err != nil {
		unix.Close(wake)
		unix.Close(ep)
		return nil, fmt.Errorf("watch eventfd: %w", err)
	}
	return l, nil
}

// post has fn run by the loop. After the loop's end it runs at once.
func (l *loop) post(fn func()) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		fn()
		return
	}
	l.inbox = append(l.inbox, fn)
	l.mu.Unlock()
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(l.wake, one[:])
}

func event(id int32, gen uint32, kind int) unix.EpollEvent {
	return unix.EpollEvent{Fd: id, Pad: int32(gen<<kindBits | uint32(kind))}
}

func (l *loop) watch(op, fd int, events uint32, ev unix.EpollEvent) error {
	ev.Events = events
	return unix.EpollCtl(l.ep, op, fd, &ev)
}

func (l *loop) run() {
	runtime.LockOSThread()
	defer close(l.done)
	events := make([]unix.EpollEvent, batch)
	for !l.stopping {
		n, err := unix.EpollWait(l.ep, events, l.timeout())
		if err != nil && !errors.Is(err, unix.EINTR) {
			l.s.cfg.Log.Error("relay loop ends", "err", err)
			break
		}
		woken := false
		for i := range max(n, 0) {
			woken = l.dispatch(&events[i]) || woken
		}
		if woken {
			l.runInbox()
		}
		l.takeTurns()
		l.expire()
	}
	l.finish()
}

func (l *loop) dispatch(ev *unix.EpollEvent) (woken bool) {
	kind := int(ev.Pad) & (1<<kindBits - 1)
	switch kind {
	case kindWake:
		return true
	case kindListener:
		if ls := l.accepting[int(ev.Fd)]; ls != nil {
			l.accept(int(ev.Fd), ls)
		}
		return false
	}
	c := l.at(ref{ev.Fd, uint32(ev.Pad) >> kindBits})
	if c == nil {
		return false
	}
	side := &c.client
	if kind == kindEngine {
		side = &c.engine
	}
	side.readable = side.readable || ev.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	side.ending = side.ending || ev.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	side.gone = side.gone || ev.Events&(unix.EPOLLHUP|unix.EPOLLERR) != 0
	l.proceed(c)
	return false
}

func (l *loop) runInbox() {
	var count [8]byte
	_, _ = unix.Read(l.wake, count[:])
	l.mu.Lock()
	work := l.inbox
	l.inbox = nil
	l.mu.Unlock()
	for _, fn := range work {
		fn()
	}
}

// takeTurns lets every connection with more to do go one step further.
func (l *loop) takeTurns() {
	l.turn, l.again = l.again, l.turn[:0]
	for _, r := range l.turn {
		if c := l.at(r); c != nil {
			c.queued = false
			l.proceed(c)
		}
	}
}

// timeout is for how long to wait for events, in milliseconds.
func (l *loop) timeout() int {
	if len(l.again) > 0 {
		return 0
	}
	var next time.Time
	if len(l.deadlines) > 0 {
		next = l.deadlines[0].at
	}
	if len(l.refused) > 0 && (next.IsZero() || l.refused[0].at.Before(next)) {
		next = l.refused[0].at
	}
	if len(l.waiting) > 0 || !l.resume.IsZero() {
		return int(retryDial / time.Millisecond)
	}
	if next.IsZero() {
		return -1
	}
	left := next.Sub(l.s.cfg.Clock.Now()).Milliseconds() + 1
	return int(min(max(left, 0), math.MaxInt32))
}

// expire does what is due by time.
func (l *loop) expire() {
	if len(l.deadlines) == 0 && len(l.refused) == 0 && len(l.waiting) == 0 && l.resume.IsZero() {
		return
	}
	now := l.s.cfg.Clock.Now()
	for len(l.deadlines) > 0 && !l.deadlines[0].at.After(now) {
		if c := l.at(l.deadlines[0].ref); c != nil {
			l.expired(c)
		}
		l.deadlines = l.deadlines[1:]
	}
	l.turnAway(now)
	l.retry(now)
	if !l.resume.IsZero() && !l.resume.After(now) {
		l.resume = time.Time{}
		for fd := range l.accepting {
			l.listen(fd)
		}
	}
}

// retry dials for the clients that wait for an engine, first come first served. Once
// a listener's engines are found busy its other clients are not tried in vain.
func (l *loop) retry(now time.Time) {
	waiting := l.waiting
	l.waiting = nil
	busy := map[*listener]bool{}
	for _, w := range waiting {
		c := l.at(w.ref)
		switch {
		case c == nil:
		case !w.at.After(now):
			l.refuse(c)
		case busy[c.ls]:
			l.waiting = append(l.waiting, w)
		case l.dial(c) == errBusy:
			busy[c.ls] = true
			l.waiting = append(l.waiting, w)
		}
	}
}

// finish resets what is left. Connections in a handshake belong to its
// goroutine, which ends on the abort.
func (l *loop) finish() {
	for {
		left := false
		for _, c := range l.slots {
			if c.phase == unused {
				continue
			}
			l.reset(c)
			left = left || c.phase != unused
		}
		l.runInbox()
		if !left {
			break
		}
		runtime.Gosched()
	}
	l.mu.Lock()
	l.closed = true
	work := l.inbox
	l.inbox = nil
	l.mu.Unlock()
	for _, fn := range work {
		fn()
	}
	unix.Close(l.ep)
	unix.Close(l.wake)
}

// at finds the connection, or nil if it has ended.
func (l *loop) at(r ref) *conn {
	if int(r.slot) >= len(l.slots) || r.slot < 0 {
		return nil
	}
	c := l.slots[r.slot]
	if c.phase == unused || c.gen != r.gen {
		return nil
	}
	return c
}

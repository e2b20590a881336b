package valkey

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

// session implements engine.Session.
type session struct {
	conn *conn
	// pace is what was set last, if anything was.
	pace  engine.Pace
	paced bool
	// held: writes wait. holdKnown: it is this session that said so last; an engine
	// may have been left holding them for good.
	held, holdKnown bool
	// announced is what it calls itself to its primary; zero for what is not known.
	announced core.Endpoint
	// direct is where it listens for clients; nil before the first Converge.
	direct *core.Endpoint
	// place is in a cluster of shards; its want is nil elsewhere.
	place membership
	// auth and settings are what is in force, nil before the first Converge.
	auth     *runtime.Auth
	settings map[string]string
}

// Open implements engine.Driver.
func (Driver) Open(ctx context.Context, socket string, n *runtime.Node) (engine.Session, error) {
	c, err := dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	replies, err := c.pipeline(ctx, []string{"AUTH", adminUser, n.Auth.Admin.Reveal()}, []string{"PING"})
	if err == nil {
		err = replies[0].failure()
	}
	if err == nil {
		// An engine that loads or runs a script is there all the same.
		if err = busy(replies[1].failure()); errors.Is(err, engine.ErrBusy) {
			err = nil
		}
	}
	if err != nil {
		_ = c.close()
		return nil, fmt.Errorf("valkey: log in: %w", err)
	}
	return &session{conn: c}, nil
}

// Close implements engine.Session.
func (s *session) Close() error { return s.conn.close() }

// Shutdown implements engine.Session.
func (s *session) Shutdown(ctx context.Context) error {
	// Success is that the connection ends without an answer.
	if _, err := s.conn.do(ctx, "SHUTDOWN", "NOSAVE"); errors.As(err, new(refusal)) {
		return fmt.Errorf("valkey: shut down: %w", err)
	}
	return nil
}

// Converge implements engine.Session. The role comes first, since a promotion is
// what somebody waits for.
func (s *session) Converge(ctx context.Context, n *runtime.Node) (engine.State, []string, error) {
	state, err := s.takePlace(ctx, n)
	if err != nil {
		return engine.State{}, nil, busy(err)
	}
	if n.Primary != nil && !n.Advertised.IsZero() && s.announced != n.Announced() {
		if state, err = s.announce(ctx, n.Announced(), state); err != nil {
			return engine.State{}, nil, busy(err)
		}
	}
	// Whoever is to make way, and has not yet, goes on holding.
	if hold := n.HoldWrites && n.Primary == nil; hold || n.Primary == nil || state.Role == "slave" {
		if err := s.holdWrites(ctx, hold); err != nil {
			return engine.State{}, nil, busy(err)
		}
	}
	if s.auth == nil || !equalAuth(*s.auth, n.Auth) {
		us, err := users(n)
		if err != nil {
			return engine.State{}, nil, err
		}
		if err := s.setUsers(ctx, us); err != nil {
			return engine.State{}, nil, busy(err)
		}
		auth := n.Auth
		s.auth = &auth
	}
	if err := s.listen(ctx, n.Direct); err != nil {
		return engine.State{}, nil, busy(err)
	}
	state.Direct = n.Direct
	want := maps.Clone(n.Settings)
	if want == nil {
		want = make(map[string]string)
	}
	countReserved(want)
	want["masteruser"], want["masterauth"] = replicationUser, n.Auth.Replication.Reveal()
	if s.settings != nil && maps.Equal(s.settings, want) {
		return state, nil, nil
	}
	refused, err := s.setSettings(ctx, want)
	if err != nil {
		return engine.State{}, nil, busy(err)
	}
	s.settings = nil
	if len(refused) == 0 {
		s.settings = want
	}
	// The limits that the state tells are among the settings.
	state, err = s.observe(ctx)
	return state, refused, busy(err)
}

func equalAuth(a, b runtime.Auth) bool {
	if a.NoPassword != b.NoPassword || len(a.Digests) != len(b.Digests) {
		return false
	}
	for i := range a.Digests {
		if a.Digests[i] != b.Digests[i] {
			return false
		}
	}
	return a.Login.Equal(b.Login) && a.Admin.Equal(b.Admin) && a.Replication.Equal(b.Replication)
}

// takePlace gives the engine its role, in its cluster if it is to have one. Of the
// latter it gets as much as the others let it have so far.
func (s *session) takePlace(ctx context.Context, n *runtime.Node) (engine.State, error) {
	if n.Cluster == nil {
		return s.setRole(ctx, n.Primary)
	}
	if err := s.join(ctx, n.Cluster); err != nil {
		return engine.State{}, err
	}
	return s.observe(ctx)
}

// setRole makes the engine a primary, or a replica of primary, and reads back
// that it is.
func (s *session) setRole(ctx context.Context, primary *core.Endpoint) (engine.State, error) {
	state, err := s.observe(ctx)
	if err != nil || isRole(state, primary) {
		return state, err
	}
	host, port := "NO", "ONE"
	if primary != nil {
		host, port = primary.Address, strconv.Itoa(primary.Port)
	}
	// In one go: afterwards it is busy with its new primary or replicas, and its
	// role is what somebody waits for.
	replies, err := s.conn.pipeline(ctx, append([][]string{{"REPLICAOF", host, port}}, s.questions()...)...)
	if err == nil {
		err = replies[0].failure()
	}
	if err != nil {
		return state, fmt.Errorf("valkey: change the role: %w", err)
	}
	if state, err = s.answers(ctx, replies[1:]); err != nil {
		return state, err
	}
	if !isRole(state, primary) {
		return state, errors.New("valkey: the role is not as it was set")
	}
	return state, nil
}

// announce has a replica in a state call itself so, and gives the state after that. The
// primary hears it with the next handshake, which therefore takes place at once; what is
// missed meanwhile is made up for.
func (s *session) announce(ctx context.Context, as core.Endpoint, state engine.State) (engine.State, error) {
	settings := []string{"replica-announce-ip", as.Address, "replica-announce-port", strconv.Itoa(as.Port)}
	has, err := s.conn.pipeline(ctx, []string{"CONFIG", "GET", settings[0]}, []string{"CONFIG", "GET", settings[2]})
	if err != nil {
		return state, fmt.Errorf("valkey: ask what it announces: %w", err)
	}
	is := func(r reply, value string) bool { return len(r.array) == 2 && r.array[1].text == value }
	if is(has[0], settings[1]) && is(has[1], settings[3]) {
		s.announced = as
		return state, nil
	}
	replies, err := s.conn.pipeline(ctx, []string{"CONFIG", "SET", settings[0], settings[1]},
		[]string{"CONFIG", "SET", settings[2], settings[3]}, []string{"CLIENT", "KILL", "TYPE", "master"})
	for _, r := range replies {
		err = errors.Join(err, r.failure())
	}
	if err != nil {
		return state, fmt.Errorf("valkey: announce another address: %w", err)
	}
	s.announced = as
	return s.observe(ctx)
}

// holdWrites makes writing clients wait, or go on: after a change of the role they
// get to know of that then.
func (s *session) holdWrites(ctx context.Context, hold bool) error {
	switch {
	case s.holdKnown && s.held == hold:
		return nil
	case hold:
		return s.hold(ctx, runtime.HoldLimit)
	}
	if _, err := s.conn.do(ctx, "CLIENT", "UNPAUSE"); err != nil {
		return fmt.Errorf("valkey: let writes go on: %w", err)
	}
	s.held, s.holdKnown = false, true
	return nil
}

// Hold implements engine.Session.
func (s *session) Hold(ctx context.Context, limit time.Duration) (engine.State, error) {
	if err := s.hold(ctx, limit); err != nil {
		return engine.State{}, busy(err)
	}
	return s.Observe(ctx)
}

// hold makes writes wait. One that is told to for longer already does not change that.
func (s *session) hold(ctx context.Context, limit time.Duration) error {
	if _, err := s.conn.do(ctx, "CLIENT", "PAUSE", strconv.FormatInt(limit.Milliseconds(), 10), "WRITE"); err != nil {
		return fmt.Errorf("valkey: hold writes: %w", err)
	}
	s.held, s.holdKnown = true, true
	return nil
}

func isRole(s engine.State, primary *core.Endpoint) bool {
	if primary == nil {
		return s.Role == "master"
	}
	return s.Role == "slave" && s.Primary == *primary
}

// Observe implements engine.Session.
func (s *session) Observe(ctx context.Context) (engine.State, error) {
	state, err := s.observe(ctx)
	return state, busy(err)
}

// Replicas implements engine.Session.
func (s *session) Replicas(ctx context.Context) (int, error) {
	r, err := s.conn.do(ctx, "INFO", "replication")
	if err != nil {
		return 0, busy(fmt.Errorf("valkey: ask for the replicas: %w", err))
	}
	return parseState(r.text).Replicas, nil
}

func (s *session) observe(ctx context.Context) (engine.State, error) {
	replies, err := s.conn.pipeline(ctx, s.questions()...)
	if err != nil {
		return engine.State{}, fmt.Errorf("valkey: ask for the state: %w", err)
	}
	return s.answers(ctx, replies)
}

// questions are the commands whose replies tell the state.
func (s *session) questions() [][]string {
	cmds := [][]string{{"INFO", "clients", "memory", "replication", "keyspace"}}
	if s.place.want != nil {
		if s.place.want.Outside != nil {
			cmds[0] = append(cmds[0], "stats")
		}
		cmds = append(cmds, []string{"CLUSTER", "INFO"})
	}
	return cmds
}

// answers is the state that the replies to questions tell.
func (s *session) answers(ctx context.Context, replies []reply) (engine.State, error) {
	var err error
	for _, r := range replies {
		err = errors.Join(err, r.failure())
	}
	if err != nil {
		return engine.State{}, fmt.Errorf("valkey: ask for the state: %w", err)
	}
	state := parseState(replies[0].text)
	if s.direct != nil {
		state.Direct = *s.direct
	}
	if s.place.want != nil {
		err = s.observeCluster(ctx, &state, replies[1].text)
	}
	return state, err
}

// rates are those of an engine's own chores, per second. Idle is a tenth of what
// an engine costs at its default. Serving is the default, and with clients it must not
// be less: the time that one round of expiring keys may take is a quarter of
// the interval, and clients wait for it. Hurried is for syncs: that a dataset has
// been sent is noticed by a chore.
var rates = map[engine.Pace]string{engine.Idle: "1", engine.Serving: "10", engine.Hurried: "100"}

// SetPace implements engine.Session. A new rate begins only when the wait of the
// old one has ended.
func (s *session) SetPace(ctx context.Context, p engine.Pace) error {
	if s.paced && s.pace == p {
		return nil
	}
	if _, err := s.conn.do(ctx, "CONFIG", "SET", "hz", rates[p]); err != nil {
		return busy(fmt.Errorf("valkey: set the pace: %w", err))
	}
	s.pace, s.paced = p, true
	return nil
}

// Acknowledge implements engine.Session. An engine that is asked for it answers to
// its primary alone; that the next answer is PONG shows that.
func (s *session) Acknowledge(ctx context.Context) error {
	replies, err := s.conn.exchange(ctx, 1, []string{"REPLCONF", "GETACK", "*"}, []string{"PING"})
	if err != nil {
		return fmt.Errorf("valkey: ask for an acknowledgement: %w", err)
	}
	if replies[0].text != "PONG" {
		return fmt.Errorf("valkey: ask for an acknowledgement: %w", errProtocol)
	}
	return nil
}

// busy turns the answers of an engine that lives but does not serve at the
// moment into ErrBusy, and leaves other errors as they are.
func busy(err error) error {
	var r refusal
	if errors.As(err, &r) {
		switch r.code() {
		case "LOADING", "BUSY":
			return fmt.Errorf("%w: %s", engine.ErrBusy, r.text)
		}
	}
	return err
}

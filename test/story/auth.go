package story

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/larder-cache/larder/test/harness"
)

// load is a crowd of clients that connect, authenticate, work and leave, over and
// over; what they see other than success is kept.
type load struct {
	stop     chan struct{}
	wg       sync.WaitGroup
	sessions atomic.Int64
	mu       sync.Mutex
	errs     []error
	token    atomic.Pointer[string]
}

func (s *Teller) crowd(ctx context.Context, addr, token string, clients int) *load {
	l := &load{stop: make(chan struct{})}
	l.token.Store(&token)
	for range clients {
		l.wg.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				if err := s.ping(ctx, addr, *l.token.Load()); err != nil {
					l.mu.Lock()
					l.errs = append(l.errs, err)
					l.mu.Unlock()
					return
				}
				l.sessions.Add(1)
			}
		})
	}
	return l
}

// end stops the crowd and gives the first error any client saw.
func (l *load) end() error {
	close(l.stop)
	l.wg.Wait()
	if len(l.errs) > 0 {
		return fmt.Errorf("%d of the clients saw an error, the first: %w", len(l.errs), l.errs[0])
	}
	return nil
}

func (s *Teller) rotateUnderLoad(ctx context.Context) error {
	s.step("ROTATE, then SET, while 50 clients reconnect all the time")
	g, err := s.D.Group(ctx, Group)
	if err != nil {
		return err
	}
	addr := harness.Addr(g.NodeGroups[0].PrimaryEndpoint)
	held := harness.Redis(addr, first, s.tls)
	defer held.Close()
	conn := held.Conn()
	defer conn.Close()
	if err := conn.Ping(ctx).Err(); err != nil {
		return err
	}
	l := s.crowd(ctx, addr, first, 50)
	if err := s.rotate(ctx, Group, second, "ROTATE"); err != nil {
		_ = l.end()
		return err
	}
	for _, token := range []string{first, second} {
		for name, addr := range addresses(g) {
			if err := s.ping(ctx, addr, token); err != nil {
				_ = l.end()
				return fmt.Errorf("after ROTATE, %s: %w", name, err)
			}
		}
	}
	s.saw("after ROTATE the old and the new token work everywhere")
	// The clients move on to the new token, which is what ROTATE is for, and are let
	// finish what they began with the old one before SET ends it.
	if err := l.end(); err != nil {
		return err
	}
	before := l.sessions.Load()
	l = s.crowd(ctx, addr, second, 50)
	if err := s.rotate(ctx, Group, second, "SET"); err != nil {
		_ = l.end()
		return err
	}
	if err := l.end(); err != nil {
		return err
	}
	s.saw("%d sessions of 50 clients, no error", before+l.sessions.Load())
	for name, addr := range addresses(g) {
		if err := refused(s.ping(ctx, addr, first), "WRONGPASS"); err != nil {
			return fmt.Errorf("old token after SET at %s: %w", name, err)
		}
		if err := s.ping(ctx, addr, second); err != nil {
			return fmt.Errorf("new token after SET at %s: %w", name, err)
		}
	}
	if err := conn.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("a connection opened with the old token: %w", err)
	}
	s.saw("after SET only the new token works; a connection opened with the old one stays open")
	return nil
}

func (s *Teller) openGroup(ctx context.Context) error {
	s.step("a group made without a token: ROTATE leaves it open, the second ROTATE closes it")
	if _, err := s.aws(ctx, "elasticache", "create-replication-group", "--replication-group-id", open,
		"--replication-group-description", "open", "--engine", "valkey", "--cache-node-type", "cache.t4g.micro",
		"--num-cache-clusters", "2", "--transit-encryption-enabled"); err != nil {
		return err
	}
	g, err := s.D.AwaitGroup(ctx, open, "available")
	if err != nil {
		return err
	}
	addr := harness.Addr(g.NodeGroups[0].PrimaryEndpoint)
	l := s.crowd(ctx, addr, "", 20)
	if err := s.rotate(ctx, open, first, "ROTATE"); err != nil {
		_ = l.end()
		return err
	}
	if err := l.end(); err != nil {
		return err
	}
	s.saw("%d sessions without a token while ROTATE ran, no error", l.sessions.Load())
	for _, token := range []string{"", first} {
		if err := s.ping(ctx, addr, token); err != nil {
			return fmt.Errorf("optional AUTH, token %q: %w", token, err)
		}
	}
	if err := refused(s.ping(ctx, addr, "wrong-token-0123456789"), "WRONGPASS"); err != nil {
		return err
	}
	s.saw("without token PONG, with the token PONG, with a wrong one WRONGPASS")
	if err := s.rotate(ctx, open, second, "ROTATE"); err != nil {
		return err
	}
	if err := refused(s.ping(ctx, addr, ""), "NOAUTH"); err != nil {
		return err
	}
	for _, token := range []string{first, second} {
		if err := s.ping(ctx, addr, token); err != nil {
			return err
		}
	}
	s.saw("after the second ROTATE: NOAUTH without, PONG with either token")
	return nil
}

// killPrimary ends the engine process of a group's member with SIGKILL; `larder
// status` says which process that is.
func (s *Teller) killPrimary(ctx context.Context, cluster string) error {
	n, err := s.D.Node(ctx, cluster+"/0001")
	if err != nil {
		return err
	}
	s.saw("kill -9 %d, the process of %s", n.PID, cluster)
	return syscall.Kill(n.PID, syscall.SIGKILL)
}

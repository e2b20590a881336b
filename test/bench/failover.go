package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"

	"github.com/larder-cache/larder/test/harness"
)

// changeToken changes the token of group "g" and waits until it is in force.
func changeToken(ctx context.Context, api *elasticache.Client, token, strategy string) error {
	_, err := api.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
		ReplicationGroupId: aws.String("g"), AuthToken: &token, ApplyImmediately: aws.Bool(true),
		AuthTokenUpdateStrategy: types.AuthTokenUpdateStrategyType(strategy),
	})
	if err != nil {
		return err
	}
	_, err = awaitGroup(ctx, api, "g")
	return err
}

// strike is something that makes a replica take over.
type strike struct {
	line
	rounds int
	do     func(ctx context.Context, d *harness.Deployment, g types.ReplicationGroup) error
	// sharded: in a group in cluster mode, of one shard, whose client goes where it is
	// sent.
	sharded bool
}

// failover measures how long no write is accepted at the primary endpoint, under a
// writer at 1 kHz, when the primary is killed, when it is stopped, and when a replica
// takes over as planned; every write that was acknowledged is looked for afterwards.
func failover(ctx context.Context, b *bench) ([]line, error) {
	const (
		under   = " time to the next accepted write at the same endpoint, writer at 1 kHz"
		between = " longest time between two accepted writes, writer at 1 kHz"
	)
	var all []line
	for _, fabric := range fabrics() {
		for _, s := range []strike{
			{line{what: "primary killed:" + under, bars: []bar{medianAtMost(30), quantileAtMost(95, 100)}}, b.rounds(20, 5), strikeWith(syscall.SIGKILL), false},
			{line{what: "primary stopped (SIGSTOP; seen after 500 ms):" + under, bars: []bar{medianAtMost(700)}}, b.rounds(20, 3), strikeWith(syscall.SIGSTOP), false},
			{line{what: "TestFailover:" + between, bars: []bar{medianAtMost(30)}}, b.rounds(20, 5), testFailover, false},
			{line{what: "redis 7 becomes valkey 8 in all three nodes:" + between, bars: []bar{medianAtMost(30)}}, b.rounds(10, 3), changeEngine, false},
			{line{what: "primary of a shard killed: time to the next accepted write, writer at 1 kHz that goes where it is sent", bars: []bar{medianAtMost(30)}}, b.rounds(20, 3), strikeWith(syscall.SIGKILL), true},
			{line{what: "TestFailover of a shard:" + between, bars: []bar{medianAtMost(30)}}, b.rounds(20, 3), testFailover, true},
		} {
			s.what, s.unit = fabric+" fabric, "+s.what, "ms"
			lost, err := s.measure(ctx, fabric)
			if all = append(all, s.line, lost); err != nil {
				return all, err
			}
		}
	}
	return all, nil
}

// measure strikes one group after the other.
func (s *strike) measure(ctx context.Context, fabric string) (line, error) {
	lost := line{what: "the same: acknowledged writes lost in each", note: "reported"}
	err := deployedIn(ctx, fabric, func(d *harness.Deployment) error {
		api := d.ElastiCache()
		for n := range s.rounds {
			id := fmt.Sprintf("f%d", n)
			in := groupOf(id, 3, false)
			in.AutomaticFailoverEnabled = aws.Bool(true)
			if s.sharded {
				in.NumCacheClusters, in.NumNodeGroups, in.ReplicasPerNodeGroup = nil, aws.Int32(1), aws.Int32(2)
				in.CacheParameterGroupName = aws.String("default.redis7.cluster.on")
			}
			g, err := createReady(ctx, api, in)
			if err != nil {
				return err
			}
			w, err := s.writer(ctx, d, g)
			if err != nil {
				return err
			}
			took, missing, err := w.failOver(ctx, func() error { return s.do(ctx, d, g) })
			if err != nil {
				return err
			}
			if _, err := awaitGroup(ctx, api, id); err != nil { // some strikes take longer than their failover
				return err
			}
			s.larder, lost.larder = append(s.larder, milliseconds(took)), append(lost.larder, float64(missing))
			if err := deleteGroup(ctx, api, id); err != nil {
				return err
			}
		}
		return nil
	})
	return lost, err
}

// writer writes at the primary endpoint, or as a cluster's clients do, who know all
// nodes.
func (s *strike) writer(ctx context.Context, d *harness.Deployment, g types.ReplicationGroup) (*writer, error) {
	if !s.sharded {
		return &writer{addr: harness.Addr(g.NodeGroups[0].PrimaryEndpoint)}, nil
	}
	nodes, err := d.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	w := &writer{addr: harness.Addr(g.ConfigurationEndpoint)}
	for _, id := range g.MemberClusters {
		w.others = append(w.others, nodes[id+"/0001"].Address)
	}
	return w, nil
}

// strikeWith sends a signal to the primary of a group.
func strikeWith(s syscall.Signal) func(context.Context, *harness.Deployment, types.ReplicationGroup) error {
	return func(ctx context.Context, d *harness.Deployment, g types.ReplicationGroup) error {
		nodes, err := d.Nodes(ctx)
		for _, id := range g.MemberClusters {
			if n := nodes[id+"/0001"]; n.Role == "primary" {
				return syscall.Kill(n.PID, s)
			}
		}
		return errors.Join(err, errors.New("no member is the primary"))
	}
}

func testFailover(ctx context.Context, d *harness.Deployment, g types.ReplicationGroup) error {
	_, err := d.ElastiCache().TestFailover(ctx, &elasticache.TestFailoverInput{ReplicationGroupId: g.ReplicationGroupId, NodeGroupId: aws.String("0001")})
	return err
}

// changeEngine replaces all processes of a group, the replicas' first.
func changeEngine(ctx context.Context, d *harness.Deployment, g types.ReplicationGroup) error {
	_, err := d.ElastiCache().ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
		ReplicationGroupId: g.ReplicationGroupId, Engine: aws.String("valkey"), EngineVersion: aws.String("8.0"), ApplyImmediately: aws.Bool(true),
	})
	return err
}

// failOver writes for a while before and after strike, and gives the longest time
// from it on without an accepted write, and the number of acknowledged ones that are
// not there.
func (w *writer) failOver(ctx context.Context, strike func() error) (time.Duration, int, error) {
	defer w.hangUp()
	if err := w.write(ctx, func() bool { return len(w.acknowledged) >= 200 }); err != nil {
		return 0, 0, err
	}
	// A strike takes a moment to be prepared; the writer goes on.
	struck := make(chan error, 1)
	go func() { struck <- strike() }()
	w.longest = 0
	after := 0
	if err := w.write(ctx, func() bool {
		if w.gapped {
			after++
		}
		return after > 200
	}); err != nil {
		return 0, 0, errors.Join(err, <-struck)
	}
	if err := <-struck; err != nil {
		return 0, 0, err
	}
	// The failover is over; what is written from here on must not hide a loss.
	there, err := w.keys()
	if err != nil {
		return 0, 0, err
	}
	missing := 0
	for _, n := range w.acknowledged {
		if !there[fmt.Sprint(n)] {
			missing++
		}
	}
	return w.longest, missing, nil
}

// writer writes a new field of one hash each millisecond, over a connection that
// it makes anew when it is lost.
type writer struct {
	addr string
	// find, if set, says where to go after a write has failed.
	find func() string
	// others, if set, are nodes of a cluster that are tried by turns then; any of them
	// sends the writer to the right one.
	others []string
	conn   net.Conn
	in     *bufio.Reader

	next         int
	acknowledged []int
	last         time.Time // of the last acknowledgement
	longest      time.Duration
	gapped       bool // a write has failed
}

// write goes on until enough says so, after an acknowledgement.
func (w *writer) write(ctx context.Context, enough func() bool) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(wait)
	for {
		w.next++
		err := w.one()
		if err == nil {
			now := time.Now()
			if !w.last.IsZero() {
				w.longest = max(w.longest, now.Sub(w.last))
			}
			w.acknowledged, w.last = append(w.acknowledged, w.next), now
			if enough() {
				return nil
			}
		} else {
			w.gapped = true
			w.hangUp()
			switch to := moved(err); {
			case to != "":
				w.addr = to
			case w.find != nil:
				w.addr = w.find()
			case len(w.others) > 0:
				w.addr = w.others[w.next%len(w.others)]
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("no write is accepted any more: %w", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// one writes once.
func (w *writer) one() error {
	answer, err := w.call(fmt.Sprintf("HSET writes %d 1\r\n", w.next))
	if err == nil && !strings.HasPrefix(answer, ":") {
		err = errors.New(answer)
	}
	return err
}

// moved is where an engine sends the writer; empty: it does not.
func moved(err error) string {
	if f := strings.Fields(err.Error()); len(f) == 3 && f[0] == "-MOVED" {
		return f[2]
	}
	return ""
}

func (w *writer) call(command string) (string, error) {
	if w.conn == nil {
		c, err := net.DialTimeout("tcp", w.addr, time.Second)
		if err != nil {
			return "", err
		}
		w.conn, w.in = c, bufio.NewReader(c)
	}
	if err := w.conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := w.conn.Write([]byte(command)); err != nil {
		return "", err
	}
	answer, err := w.in.ReadString('\n')
	return strings.TrimSpace(answer), err
}

// keys are the fields that are there.
func (w *writer) keys() (map[string]bool, error) {
	head, err := w.call("HKEYS writes\r\n")
	if err != nil {
		return nil, err
	}
	var n int
	if _, err := fmt.Sscanf(head, "*%d", &n); err != nil {
		return nil, fmt.Errorf("HKEYS answers %q: %w", head, err)
	}
	there := map[string]bool{}
	for range n {
		if _, err := w.in.ReadString('\n'); err != nil { // the length
			return nil, err
		}
		field, err := w.in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		there[strings.TrimSpace(field)] = true
	}
	return there, nil
}

func (w *writer) hangUp() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

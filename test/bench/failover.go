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

// failover kills primaries under a writer at 1 kHz and measures how long no write
// is accepted at the primary endpoint; every write that was acknowledged is looked
// for afterwards.
func failover(ctx context.Context, b *bench) ([]line, error) {
	gap := line{what: "primary killed: time to the next accepted write at the same endpoint, writer at 1 kHz", unit: "ms",
		bars: []bar{medianAtMost(30), quantileAtMost(95, 100)}}
	lost := line{what: "acknowledged writes lost in each failover", note: "reported"}
	err := deployed(ctx, func(d *harness.Deployment) error {
		api := d.ElastiCache()
		for n := range b.rounds(20, 5) {
			id := fmt.Sprintf("f%d", n)
			g, err := createReady(ctx, api, groupOf(id, 3, false))
			if err != nil {
				return err
			}
			took, missing, err := failOver(ctx, d, g)
			if err != nil {
				return err
			}
			gap.larder, lost.larder = append(gap.larder, milliseconds(took)), append(lost.larder, float64(missing))
			if err := deleteGroup(ctx, api, id); err != nil {
				return err
			}
		}
		return nil
	})
	return []line{gap, lost}, err
}

// failOver kills the primary of a group once, and gives the time without writes
// and the number of acknowledged ones that are not there.
func failOver(ctx context.Context, d *harness.Deployment, g types.ReplicationGroup) (time.Duration, int, error) {
	node, err := d.Node(ctx, primaryOf(g)+"/0001")
	if err != nil {
		return 0, 0, err
	}
	w := &writer{addr: harness.Addr(g.NodeGroups[0].PrimaryEndpoint)}
	defer w.hangUp()
	if err := w.write(ctx, func() bool { return len(w.acknowledged) >= 200 }); err != nil {
		return 0, 0, err
	}
	killed := time.Now()
	if err := syscall.Kill(node.PID, syscall.SIGKILL); err != nil {
		return 0, 0, err
	}
	if err := w.write(ctx, func() bool { return w.last.After(killed) && w.gapped }); err != nil {
		return 0, 0, err
	}
	took := w.last.Sub(killed)
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
	return took, missing, nil
}

func primaryOf(g types.ReplicationGroup) string {
	for _, m := range g.NodeGroups[0].NodeGroupMembers {
		if aws.ToString(m.CurrentRole) == "primary" {
			return *m.CacheClusterId
		}
	}
	return ""
}

// writer writes a new field of one hash each millisecond, over a connection that
// it makes anew when it is lost.
type writer struct {
	addr string
	conn net.Conn
	in   *bufio.Reader

	next         int
	acknowledged []int
	last         time.Time // of the last acknowledgement
	gapped       bool      // a write has failed
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
			w.acknowledged, w.last = append(w.acknowledged, w.next), time.Now()
			if enough() {
				return nil
			}
		} else {
			w.gapped = true
			w.hangUp()
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

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/larder-cache/larder/internal/admin"
	"github.com/larder-cache/larder/test/harness"
)

// fleet is a hundred groups of three on one machine: what they cost, and how soon
// all are well again when a third of the engines is killed at once.
func fleet(ctx context.Context, b *bench) ([]line, error) {
	groups := b.size(100, 10)
	ready := line{what: fmt.Sprintf("%d groups of three: first call to all `available`", groups), unit: "s", note: "reported"}
	idle := line{what: "the same: idle CPU of `serve`", unit: "% of a core", note: "reported; each primary is asked ten times a second"}
	heal := line{what: "the same: a third of the engines killed at once, until all groups are well", unit: "s", note: "reported"}
	err := deployed(ctx, func(d *harness.Deployment) error {
		api := d.ElastiCache()
		began := time.Now()
		for n := range groups {
			in := groupOf(fmt.Sprintf("g%d", n), 3, false)
			in.AutomaticFailoverEnabled = aws.Bool(true)
			if _, err := api.CreateReplicationGroup(ctx, in); err != nil {
				return err
			}
		}
		if err := allWell(ctx, d, groups); err != nil {
			return err
		}
		ready.larder = series{time.Since(began).Seconds()}
		share, err := idleShare(ctx, d.Pid())
		if err != nil {
			return err
		}
		idle.larder = series{share}
		began = time.Now()
		if err := killThird(ctx, d); err != nil {
			return err
		}
		if err := allWell(ctx, d, groups); err != nil {
			return err
		}
		heal.larder = series{time.Since(began).Seconds()}
		return nil
	})
	return []line{ready, idle, heal}, err
}

// idleShare is what a process uses of a core while nothing happens.
func idleShare(ctx context.Context, pid int) (float64, error) {
	const settle, period = 5 * time.Second, 10 * time.Second
	var before time.Duration
	var began time.Time
	for _, pause := range []time.Duration{settle, period} {
		var err error
		if before, err = processorTime(pid); err != nil {
			return 0, err
		}
		began = time.Now()
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	after, err := processorTime(pid)
	return 100 * float64(after-before) / float64(time.Since(began)), err
}

// killThird ends one engine of each group, by turns a first, second or third one.
func killThird(ctx context.Context, d *harness.Deployment) error {
	nodes, err := d.Nodes(ctx)
	if err != nil {
		return err
	}
	for i, id := range slices.Sorted(maps.Keys(nodes)) {
		if group := i / 3; i%3 != group%3 {
			continue
		}
		if err := syscall.Kill(nodes[id].PID, syscall.SIGKILL); err != nil {
			return err
		}
	}
	return nil
}

// allWell waits until every group is available, with a primary and two replicas that
// run.
func allWell(ctx context.Context, d *harness.Deployment, groups int) error {
	return until(ctx, 5*time.Minute, func() error {
		select { // not to be in the way of what is waited for
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
		st, err := d.Status(ctx)
		if err != nil {
			return err
		}
		well := 0
		for _, c := range st.Caches {
			if wellOff(c) {
				well++
			}
		}
		if well != groups {
			return fmt.Errorf("%d of %d groups are well", well, groups)
		}
		return nil
	})
}

func wellOff(c admin.Cache) bool {
	roles := map[string]int{}
	for _, n := range c.Nodes {
		if n.Phase == "running" && n.PID != 0 {
			roles[n.Role]++
		}
	}
	return c.Status == "available" && roles["primary"] == 1 && roles["replica"] == 2
}

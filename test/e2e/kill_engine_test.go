package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/test/harness"
)

// TestKillLoneNodes: a node of its own comes back, empty as a node of AWS does, and
// events tell of it.
func TestKillLoneNodes(t *testing.T) {
	t.Parallel()
	d := harness.In(t, harness.Options{})
	t.Run("redis", func(t *testing.T) {
		c := cluster(t, d, "r", "redis", 1)
		client := client(t, harness.Addr(c.CacheNodes[0].Endpoint), "", nil)
		must(t, client.Set(t.Context(), "k", "v", 0).Err())
		awaitRestart(t, d, "r/0001", killNode(t, d, "r/0001"))
		harness.Eventually(t, "an empty node", func(ctx context.Context) error {
			if err := client.Get(ctx, "k").Err(); !errors.Is(err, redis.Nil) {
				return fmt.Errorf("k: %w", err)
			}
			return nil
		})
		awaitEvent(t, d, "r", "Recovering cache nodes 0001")
		awaitEvent(t, d, "r", "Finished recovery for cache nodes 0001")
	})
	t.Run("memcached", func(t *testing.T) {
		c := cluster(t, d, "m", "memcached", 2)
		first, other := harness.Addr(c.CacheNodes[0].Endpoint), harness.Addr(c.CacheNodes[1].Endpoint)
		for _, addr := range []string{first, other} {
			if got, err := memcached(addr, "set k 0 0 1\r\nv"); err != nil || got != "STORED" {
				t.Fatalf("set: %q, %v", got, err)
			}
		}
		awaitRestart(t, d, "m/0001", killNode(t, d, "m/0001"))
		harness.Eventually(t, "an empty node", func(context.Context) error { return says(first, "get k", "END") })
		must(t, says(other, "get k", "VALUE k 0 1"))
		awaitEvent(t, d, "m", "Recovering cache nodes 0001")
		awaitEvent(t, d, "m", "Finished recovery for cache nodes 0001")
	})
	tidy(t, d)
}

// memcached sends a command on a new connection and gives the first line of the
// answer.
func memcached(addr, command string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return "", err
	}
	return line[:len(line)-2], nil
}

func says(addr, command, want string) error {
	got, err := memcached(addr, command)
	if err == nil && got != want {
		err = fmt.Errorf("%s: %q, want %q", command, got, want)
	}
	return err
}

// TestKillMembers loses the members of a group with automatic failover: a
// replica, the primary, then all at once.
func TestKillMembers(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, testKillMembers)
}

func testKillMembers(t *testing.T, o harness.Options) {
	ctx := t.Context()
	d := harness.In(t, o)
	g := group(t, d, "g", 3, failover)
	first := member(g, "primary")
	primary := client(t, primaryAddr(g), "", nil)
	must(t, primary.Set(ctx, "k", "v", 0).Err())

	replica := member(g, "replica")
	awaitRestart(t, d, replica+"/0001", killNode(t, d, replica+"/0001"))
	awaitReplica(t, g, replica, "k", "v")
	awaitEvent(t, d, replica, "Finished recovery for cache nodes 0001")

	awaitRestart(t, d, first+"/0001", killNode(t, d, first+"/0001"))
	awaitWrite(t, primary, "k2")
	g = awaitPrimary(t, d, "g", func(id string) bool { return id != first })
	awaitReplica(t, g, first, "k2", "v")
	if v, err := primary.Get(ctx, "k").Result(); v != "v" || err != nil {
		t.Errorf("what was written before the failover: %q, %v", v, err)
	}
	awaitEvent(t, d, "g", "Failover from primary node "+first+" to replica node "+member(g, "primary")+" completed")

	// All at once, seen by the server one after the other, then found dead by it.
	for _, away := range []bool{false, true} {
		before := map[string]int{}
		for _, id := range g.MemberClusters {
			before[id] = node(t, d, id+"/0001").PID
		}
		if away {
			d.Kill()
		}
		for _, pid := range before {
			must(t, syscall.Kill(pid, syscall.SIGKILL))
		}
		if away {
			must(t, d.Start(ctx))
		}
		for id, pid := range before {
			awaitRestart(t, d, id+"/0001", pid)
		}
		awaitWrite(t, primary, "k3")
		g = awaitPrimary(t, d, "g", func(string) bool { return true })
		for _, id := range g.MemberClusters {
			awaitReplica(t, g, id, "k3", "v")
		}
	}
	awaitEvent(t, d, "g", "is left with its data")
	tidy(t, d)
}

// TestKillPrimaryWithoutFailover: the primary takes its role back, and its data from
// the survivor; at no moment is it an empty primary.
func TestKillPrimaryWithoutFailover(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := harness.In(t, harness.Options{})
	g := group(t, d, "g", 2, nil)
	first := member(g, "primary")
	primary, replica := client(t, primaryAddr(g), "", nil), client(t, memberAddr(g, member(g, "replica")), "", nil)
	must(t, primary.Set(ctx, "k", "v", 0).Err())
	awaitReplica(t, g, member(g, "replica"), "k", "v")

	pid := killNode(t, d, first+"/0001")
	harness.Eventually(t, "the primary with its data", func(ctx context.Context) error {
		if v, err := replica.Get(ctx, "k").Result(); err == nil && v != "v" || errors.Is(err, redis.Nil) {
			t.Fatalf("the survivor has lost the data: %q, %v", v, err)
		}
		switch v, err := primary.Get(ctx, "k").Result(); {
		case errors.Is(err, redis.Nil):
			t.Fatal("the primary was empty")
		case err != nil:
			return err
		case v != "v":
			return fmt.Errorf("k is %q", v)
		}
		return primary.Set(ctx, "k2", "v", 0).Err()
	})
	awaitRestart(t, d, first+"/0001", pid)
	g = awaitPrimary(t, d, "g", func(id string) bool { return id == first })
	awaitReplica(t, g, member(g, "replica"), "k2", "v")
	tidy(t, d)
}

// TestKillRelay: connections are lost with it, but nothing else.
func TestKillRelay(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, testKillRelay)
}

func testKillRelay(t *testing.T, o harness.Options) {
	ctx := t.Context()
	d := harness.In(t, o)
	g := group(t, d, "g", 2, secured)
	secure := trust(t, d)
	must(t, client(t, primaryAddr(g), token, secure).Set(ctx, "k", "v", 0).Err())
	before := node(t, d, "g-001/0001").PID
	for range 3 {
		pid := relayPid(t, d)
		must(t, syscall.Kill(pid, syscall.SIGKILL))
		harness.Eventually(t, "another relay", func(ctx context.Context) error {
			c := harness.Redis(primaryAddr(g), token, secure)
			defer c.Close()
			v, err := c.Get(ctx, "k").Result()
			if err == nil && v != "v" {
				err = fmt.Errorf("k is %q", v)
			}
			return err
		})
		must(t, refused(ping(ctx, readerAddr(g), "", secure), "NOAUTH"))
	}
	if now := node(t, d, "g-001/0001").PID; now != before {
		t.Errorf("the node's process is %d, was %d", now, before)
	}
	tidy(t, d)
}

// relayPid is the process of the one relay.
func relayPid(t testing.TB, d *harness.Deployment) int {
	t.Helper()
	pids := relays(d)
	if len(pids) != 1 {
		t.Fatalf("there are %d relays", len(pids))
	}
	return pids[0]
}

// awaitWrite waits until a write is accepted.
func awaitWrite(t testing.TB, c *redis.Client, key string) {
	t.Helper()
	harness.Eventually(t, "a write", func(ctx context.Context) error { return c.Set(ctx, key, "v", 0).Err() })
}

// awaitPrimary waits until a group is available under a primary that will do.
func awaitPrimary(t testing.TB, d *harness.Deployment, id string, fine func(id string) bool) (g types.ReplicationGroup) {
	t.Helper()
	harness.Eventually(t, "primary of "+id, func(ctx context.Context) (err error) {
		if g, err = d.Group(ctx, id); err != nil {
			return err
		}
		if p := member(g, "primary"); aws.ToString(g.Status) != "available" || p == "" || !fine(p) {
			return fmt.Errorf("%s is %s under %q", id, aws.ToString(g.Status), p)
		}
		return nil
	})
	return g
}

// awaitReplica waits until a member has a value.
func awaitReplica(t testing.TB, g types.ReplicationGroup, id, key, value string) {
	t.Helper()
	harness.Eventually(t, id+" has "+key, func(ctx context.Context) error {
		c := harness.Redis(memberAddr(g, id), "", nil)
		defer c.Close()
		v, err := c.Get(ctx, key).Result()
		if err == nil && v != value {
			err = fmt.Errorf("%s is %q", key, v)
		}
		return err
	})
}

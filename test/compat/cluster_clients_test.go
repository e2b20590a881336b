package compat

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"

	"github.com/larder-cache/larder/test/harness"
)

const clusterToken = "cluster-token-0123456789"

// TestClusterClients has clients that know clusters write and read while a primary is
// killed, while another one changes places with its replica, and while shards come
// and go. None loses what was acknowledged; while slots move none sees an error.
func TestClusterClients(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, func(t *testing.T, o harness.Options) {
		d := harness.In(t, o)
		env := shardedGroup(t, d, o.Fabric == "userspace") // one of them with TLS and a token
		clients := startClusterClients(t, env)
		each := func(phase, mode string) {
			for _, c := range clients {
				c.begin(t, phase, mode)
			}
		}
		each("kill", "durable")
		n, err := d.Node(t.Context(), "g-0001-001/0001")
		must(t, err)
		must(t, syscall.Kill(n.PID, syscall.SIGKILL))
		awaitMessage(t, d, "g", "Failover from primary node g-0001-001 to replica node g-0001-002 completed")
		awaitMessage(t, d, "g-0001-001", "Finished recovery for cache nodes 0001")
		settled(t, d)

		each("planned", "plain")
		_, err = d.ElastiCache().TestFailover(t.Context(), &elasticache.TestFailoverInput{ReplicationGroupId: aws.String("g"), NodeGroupId: aws.String("0002")})
		must(t, err)
		awaitMessage(t, d, "g", "Failover from primary node g-0002-001 to replica node g-0002-002 completed")
		settled(t, d)

		// Slots of uneven shards move between primaries that redis-benchmark knows; it
		// gives up where there is a new one.
		each("balancing", "plain")
		benchmark := keepBenchmarking(t, env)
		reshard(t, d, 2)
		benchmark()

		each("resharding", "plain")
		reshard(t, d, 3)
		reshard(t, d, 2, "0001")
		for _, c := range clients {
			c.end(t)
		}
	})
}

// shardedGroup makes the group of two shards with a replica each, and gives the
// environment in which clients find it.
func shardedGroup(t *testing.T, d *harness.Deployment, secured bool) []string {
	t.Helper()
	in := &elasticache.CreateReplicationGroupInput{
		ReplicationGroupId: aws.String("g"), ReplicationGroupDescription: aws.String("g"), Engine: aws.String("redis"), CacheNodeType: aws.String("cache.t4g.micro"),
		NumNodeGroups: aws.Int32(2), ReplicasPerNodeGroup: aws.Int32(1), AutomaticFailoverEnabled: aws.Bool(true),
		NodeGroupConfiguration: []types.NodeGroupConfiguration{{Slots: aws.String("0-8991")}, {Slots: aws.String("8992-16383")}},
	}
	env := append(d.Env(), "LARDER_CA_FILE="+filepath.Join(d.DataDir, "ca.pem"))
	if secured {
		in.Engine, in.EngineVersion = aws.String("valkey"), aws.String("8.0")
		in.TransitEncryptionEnabled, in.AuthToken = aws.Bool(true), aws.String(clusterToken)
		env = append(env, "TOKEN="+clusterToken)
	}
	_, err := d.ElastiCache().CreateReplicationGroup(t.Context(), in)
	must(t, err)
	g := settled(t, d)
	e := g.ConfigurationEndpoint
	return append(env, "HOST="+aws.ToString(e.Address), fmt.Sprintf("PORT=%d", aws.ToInt32(e.Port)))
}

// keepBenchmarking runs redis-benchmark over and over, until the function that it
// gives is called, and once more after that: every run must complete.
func keepBenchmarking(t *testing.T, env []string) func() {
	t.Helper()
	set := map[string]string{}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		set[name] = value
	}
	args := []string{"--cluster", "-h", set["HOST"], "-p", set["PORT"], "-t", "set", "-n", "10000", "-r", "100000", "-c", "6", "-q"}
	if set["TOKEN"] != "" {
		args = append(args, "--tls", "--cacert", set["LARDER_CA_FILE"], "-a", set["TOKEN"])
	}
	program, runs := need(t, "redis-benchmark"), 0
	once := func() error {
		out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
		if runs++; err != nil || !bytes.Contains(out, []byte("requests per second")) {
			return fmt.Errorf("run %d of redis-benchmark: %w\n%s", runs, err, out)
		}
		return nil
	}
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			err := once()
			select {
			case <-stop:
				ended <- errors.Join(err, once())
				return
			default:
			}
			if err != nil {
				ended <- err
				return
			}
		}
	}()
	return func() {
		t.Helper()
		close(stop)
		must(t, <-ended)
		t.Logf("redis-benchmark completed %d times", runs)
	}
}

// settled waits until the group is available, which takes a busy host its time.
func settled(t *testing.T, d *harness.Deployment) types.ReplicationGroup {
	t.Helper()
	var g types.ReplicationGroup
	must(t, harness.Await(t.Context(), 3*time.Minute, func(ctx context.Context) (err error) {
		if g, err = d.Group(ctx, "g"); err == nil && aws.ToString(g.Status) != "available" {
			err = fmt.Errorf("the group is %s", aws.ToString(g.Status))
		}
		return err
	}))
	return g
}

func awaitMessage(t *testing.T, d *harness.Deployment, source, message string) {
	t.Helper()
	harness.Eventually(t, message, func(ctx context.Context) error {
		out, err := d.ElastiCache().DescribeEvents(ctx, &elasticache.DescribeEventsInput{})
		if err != nil {
			return err
		}
		for _, e := range out.Events {
			if aws.ToString(e.SourceIdentifier) == source && aws.ToString(e.Message) == message {
				return nil
			}
		}
		return fmt.Errorf("not among %d events", len(out.Events))
	})
}

func reshard(t *testing.T, d *harness.Deployment, shards int32, remove ...string) {
	t.Helper()
	_, err := d.ElastiCache().ModifyReplicationGroupShardConfiguration(t.Context(), &elasticache.ModifyReplicationGroupShardConfigurationInput{
		ReplicationGroupId: aws.String("g"), NodeGroupCount: &shards, ApplyImmediately: aws.Bool(true), NodeGroupsToRemove: remove,
	})
	must(t, err)
	settled(t, d)
}

// clusterClient is a program that writes and reads without a pause. It reads a line
// "NAME durable" or "NAME plain" for each phase, and "end"; it prints a JSON line when
// the phase is well under way, and one about what it saw when the next one begins.
// durable has a write count only once a replica has it too.
type clusterClient struct {
	name string
	in   io.Writer
	out  *bufio.Scanner
}

// seen is what a client prints.
type seen struct {
	Begun, Phase, First      string
	Operations, Errors, Lost int
	SlowestMS                int `json:"slowest_ms"`
}

func startClusterClients(t *testing.T, env []string) []*clusterClient {
	t.Helper()
	var clients []*clusterClient
	for name, command := range map[string][]string{
		"go-redis": {os.Args[0]},
		"ioredis":  {need(t, "node"), "js/cluster.mjs"},
		"redis-py": {pythonWith(t, "redis.cluster"), "python/cluster.py"},
	} {
		cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
		cmd.Env = append(env, "LARDER_CLUSTER_CLIENT="+name)
		cmd.Stderr = t.Output()
		in, err := cmd.StdinPipe()
		must(t, err)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		t.Cleanup(func() { _ = in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
		clients = append(clients, &clusterClient{name, in, bufio.NewScanner(out)})
	}
	return clients
}

// pythonWith is an interpreter that has a module: Debian's packages are those of
// Debian's.
func pythonWith(t *testing.T, module string) string {
	t.Helper()
	for _, program := range []string{"python3", "/usr/bin/python3"} {
		if exec.CommandContext(t.Context(), program, "-c", "import "+module).Run() == nil {
			return program
		}
	}
	t.Skipf("no Python has %s: run scripts/install-test-tools.sh", module)
	return ""
}

// begin ends the phase that a client is in, and waits until the next is under way.
func (c *clusterClient) begin(t *testing.T, phase, mode string) {
	t.Helper()
	_, err := fmt.Fprintln(c.in, phase, mode)
	must(t, err)
	for c.read(t).Begun != phase {
	}
}

func (c *clusterClient) end(t *testing.T) {
	t.Helper()
	_, err := fmt.Fprintln(c.in, "end")
	must(t, err)
	for c.read(t).Phase != "end" {
	}
}

func (c *clusterClient) read(t *testing.T) seen {
	t.Helper()
	if !c.out.Scan() {
		t.Fatalf("%s has ended: %v", c.name, c.out.Err())
	}
	var s seen
	must(t, json.Unmarshal(c.out.Bytes(), &s))
	t.Logf("%s: %s", c.name, c.out.Text())
	if s.Lost > 0 {
		t.Errorf("%s: %d of %d acknowledged keys are lost, as %s", c.name, s.Lost, s.Operations, s.First)
	}
	if (s.Phase == "balancing" || s.Phase == "resharding") && s.Errors > 0 {
		t.Errorf("%s: %d of %d operations failed, the first with %s", c.name, s.Errors, s.Operations, s.First)
	}
	return s
}

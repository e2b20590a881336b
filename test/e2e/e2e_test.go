package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/internal/admin"
	"github.com/larder-cache/larder/test/harness"
)

const (
	token  = "a-token-0123456789"
	second = "b-token-0123456789"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// group creates a replication group of n nodes and waits until it is available.
func group(t testing.TB, d *harness.Deployment, id string, n int32, edit func(*elasticache.CreateReplicationGroupInput)) types.ReplicationGroup {
	t.Helper()
	createGroup(t, d, id, n, edit)
	return available(t, d, id)
}

func createGroup(t testing.TB, d *harness.Deployment, id string, n int32, edit func(*elasticache.CreateReplicationGroupInput)) {
	t.Helper()
	in := &elasticache.CreateReplicationGroupInput{
		ReplicationGroupId: &id, ReplicationGroupDescription: &id, Engine: aws.String("valkey"),
		CacheNodeType: aws.String("cache.t4g.micro"), NumCacheClusters: &n,
	}
	if edit != nil {
		edit(in)
	}
	_, err := d.ElastiCache().CreateReplicationGroup(t.Context(), in)
	must(t, err)
}

// secured asks for TLS and a token.
func secured(in *elasticache.CreateReplicationGroupInput) {
	in.TransitEncryptionEnabled, in.AuthToken = aws.Bool(true), aws.String(token)
}

// failover asks for automatic failover.
func failover(in *elasticache.CreateReplicationGroupInput) {
	in.AutomaticFailoverEnabled = aws.Bool(true)
}

// available waits until a group is, with all of its members.
func available(t testing.TB, d *harness.Deployment, id string) types.ReplicationGroup {
	t.Helper()
	g, err := d.AwaitGroup(t.Context(), id, "available")
	must(t, err)
	return g
}

// deleteGroup deletes a group and waits until it is gone.
func deleteGroup(t testing.TB, d *harness.Deployment, id string) {
	t.Helper()
	_, err := d.ElastiCache().DeleteReplicationGroup(t.Context(), &elasticache.DeleteReplicationGroupInput{ReplicationGroupId: &id})
	must(t, err)
	harness.Eventually(t, "deleting "+id, func(ctx context.Context) error {
		_, err := d.Group(ctx, id)
		var gone *types.ReplicationGroupNotFoundFault
		if errors.As(err, &gone) {
			return nil
		}
		return errors.Join(err, errors.New("still there"))
	})
}

// cluster creates a lone cache cluster and waits until it is available.
func cluster(t testing.TB, d *harness.Deployment, id, engine string, nodes int32) types.CacheCluster {
	t.Helper()
	_, err := d.ElastiCache().CreateCacheCluster(t.Context(), &elasticache.CreateCacheClusterInput{
		CacheClusterId: &id, Engine: &engine, CacheNodeType: aws.String("cache.t3.micro"), NumCacheNodes: &nodes,
	})
	must(t, err)
	c, err := d.AwaitCluster(t.Context(), id, "available")
	must(t, err)
	return c
}

// trust is the TLS configuration of a client of the deployment.
func trust(t testing.TB, d *harness.Deployment) *tls.Config {
	t.Helper()
	config, err := d.TLS()
	must(t, err)
	return config
}

func primaryAddr(g types.ReplicationGroup) string {
	return harness.Addr(g.NodeGroups[0].PrimaryEndpoint)
}

func readerAddr(g types.ReplicationGroup) string { return harness.Addr(g.NodeGroups[0].ReaderEndpoint) }

// member is the cluster id of the first member with a role.
func member(g types.ReplicationGroup, role string) string {
	for _, m := range g.NodeGroups[0].NodeGroupMembers {
		if aws.ToString(m.CurrentRole) == role {
			return *m.CacheClusterId
		}
	}
	return ""
}

// memberAddr is where one member of a group is reached.
func memberAddr(g types.ReplicationGroup, id string) string {
	for _, m := range g.NodeGroups[0].NodeGroupMembers {
		if *m.CacheClusterId == id {
			return harness.Addr(m.ReadEndpoint)
		}
	}
	return ""
}

// client is a Redis client that is closed with the test.
func client(t testing.TB, addr, token string, config *tls.Config) *redis.Client {
	c := harness.Redis(addr, token, config)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ping says what a new connection gets.
func ping(ctx context.Context, addr, token string, config *tls.Config) error {
	c := harness.Redis(addr, token, config)
	defer c.Close()
	return c.Ping(ctx).Err()
}

// refused expects an answer that begins with code.
func refused(err error, code string) error {
	if err == nil {
		return fmt.Errorf("was let in, expected %s", code)
	}
	if !strings.HasPrefix(err.Error(), code) {
		return fmt.Errorf("expected %s, got: %w", code, err)
	}
	return nil
}

// node is one node as `larder status` shows it.
func node(t testing.TB, d *harness.Deployment, id string) admin.Node {
	t.Helper()
	n, err := d.Node(t.Context(), id)
	must(t, err)
	return n
}

// killNode ends the process of a node with SIGKILL and gives its pid.
func killNode(t testing.TB, d *harness.Deployment, id string) int {
	t.Helper()
	pid := node(t, d, id).PID
	if pid <= 0 {
		t.Fatalf("node %s has no process", id)
	}
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	return pid
}

// awaitEvent waits for an event of a source whose message contains text.
func awaitEvent(t testing.TB, d *harness.Deployment, source, text string) {
	t.Helper()
	harness.Eventually(t, fmt.Sprintf("event %q of %s", text, source), func(ctx context.Context) error {
		return event(ctx, d, source, text)
	})
}

func event(ctx context.Context, d *harness.Deployment, source, text string) error {
	out, err := d.ElastiCache().DescribeEvents(ctx, &elasticache.DescribeEventsInput{Duration: aws.Int32(60)})
	if err != nil {
		return err
	}
	var seen []string
	for _, e := range out.Events {
		if aws.ToString(e.SourceIdentifier) != source {
			continue
		}
		if strings.Contains(aws.ToString(e.Message), text) {
			return nil
		}
		seen = append(seen, aws.ToString(e.Message))
	}
	return fmt.Errorf("only these: %q", seen)
}

// tidy waits until what runs is exactly what the deployment shows: a process for
// each node and one relay, a directory for each node, and no address that is nobody's.
func tidy(t testing.TB, d *harness.Deployment) {
	t.Helper()
	harness.Eventually(t, "no orphan", func(ctx context.Context) error {
		st, err := d.Status(ctx)
		if err != nil {
			return err
		}
		return errors.Join(orphanProcesses(d, st), orphanDirectories(d, st), orphanAddresses(d, st))
	})
}

// bounded is the context of a story that must end in time.
func bounded(t testing.TB, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

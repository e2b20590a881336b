package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/test/harness"
)

// TestParametersOfRedis: what an engine can change while it runs is in force soon,
// the rest after a reboot, and until then the cluster says so.
func TestParametersOfRedis(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := harness.In(t, harness.Options{})
	addr := parameterized(t, d, "redis7", "redis")
	c := client(t, addr, "", nil)

	must(t, change(t, d, "p", "maxmemory-policy", "allkeys-lfu"))
	harness.Eventually(t, "maxmemory-policy", func(ctx context.Context) error { return policyIs(ctx, addr, "allkeys-lfu") })

	expired := c.Subscribe(ctx, "__keyevent@0__:expired")
	defer expired.Close()
	_, err := expired.Receive(ctx) // that the subscription is there
	must(t, err)
	must(t, change(t, d, "p", "notify-keyspace-events", "Ex"))
	awaitInSync(t, d, "in-sync")
	must(t, c.Set(ctx, "brief", "v", 20*time.Millisecond).Err())
	message, err := expired.ReceiveTimeout(ctx, 10*time.Second)
	must(t, err)
	if m, ok := message.(*redis.Message); !ok || m.Payload != "brief" {
		t.Errorf("instead of an expiry came %v", message)
	}

	// The number of databases can only be had by another parameter group.
	if err := change(t, d, "p", "databases", "40"); err == nil {
		t.Error("databases was changed under a cluster")
	}
	parameterGroup(t, d, "q", "redis7")
	must(t, change(t, d, "q", "databases", "40"))
	must(t, change(t, d, "q", "maxmemory-policy", "allkeys-random"))
	_, err = d.ElastiCache().ModifyCacheCluster(ctx, &elasticache.ModifyCacheClusterInput{
		CacheClusterId: aws.String("c"), CacheParameterGroupName: aws.String("q"), ApplyImmediately: aws.Bool(true),
	})
	must(t, err)
	awaitInSync(t, d, "pending-reboot")
	must(t, policyIs(ctx, addr, "allkeys-random"))
	if err := c.Do(ctx, "SELECT", 39).Err(); err == nil {
		t.Error("database 39 is there before the reboot")
	}
	reboot(t, d)
	awaitInSync(t, d, "in-sync")
	must(t, c.Do(ctx, "SELECT", 39).Err())
	must(t, policyIs(ctx, addr, "allkeys-random"))
}

// TestParametersOfMemcached: all of them need a reboot.
func TestParametersOfMemcached(t *testing.T) {
	t.Parallel()
	d := harness.In(t, harness.Options{})
	addr := parameterized(t, d, "memcached1.6", "memcached")
	want := map[string]string{"max_item_size": "4194304", "chunk_size": "96", "idle_timeout": "77"}
	shown := map[string]string{"max_item_size": "item_size_max", "chunk_size": "chunk_size", "idle_timeout": "idle_timeout"}
	for name, value := range want {
		must(t, change(t, d, "p", name, value))
	}
	awaitInSync(t, d, "pending-reboot")
	reboot(t, d)
	awaitInSync(t, d, "in-sync")
	settings := settingsOf(t, addr)
	for name, value := range want {
		if got := settings[shown[name]]; got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
}

// parameterized creates the cluster c with the parameter group p.
func parameterized(t testing.TB, d *harness.Deployment, family, engine string) (addr string) {
	t.Helper()
	parameterGroup(t, d, "p", family)
	_, err := d.ElastiCache().CreateCacheCluster(t.Context(), &elasticache.CreateCacheClusterInput{
		CacheClusterId: aws.String("c"), Engine: &engine, CacheNodeType: aws.String("cache.t3.micro"),
		NumCacheNodes: aws.Int32(1), CacheParameterGroupName: aws.String("p"),
	})
	must(t, err)
	c, err := d.AwaitCluster(t.Context(), "c", "available")
	must(t, err)
	return harness.Addr(c.CacheNodes[0].Endpoint)
}

func parameterGroup(t testing.TB, d *harness.Deployment, name, family string) {
	t.Helper()
	_, err := d.ElastiCache().CreateCacheParameterGroup(t.Context(), &elasticache.CreateCacheParameterGroupInput{
		CacheParameterGroupName: &name, CacheParameterGroupFamily: &family, Description: aws.String("test"),
	})
	must(t, err)
}

// change sets one parameter of a group.
func change(t testing.TB, d *harness.Deployment, group, name, value string) error {
	t.Helper()
	_, err := d.ElastiCache().ModifyCacheParameterGroup(t.Context(), &elasticache.ModifyCacheParameterGroupInput{
		CacheParameterGroupName: &group,
		ParameterNameValues:     []types.ParameterNameValue{{ParameterName: &name, ParameterValue: &value}},
	})
	return err
}

// awaitInSync waits until c says this of its parameters.
func awaitInSync(t testing.TB, d *harness.Deployment, status string) {
	t.Helper()
	harness.Eventually(t, "parameters "+status, func(ctx context.Context) error {
		c, err := d.Cluster(ctx, "c")
		if err != nil {
			return err
		}
		got := aws.ToString(c.CacheParameterGroup.ParameterApplyStatus)
		listed := len(c.CacheParameterGroup.CacheNodeIdsToReboot) > 0
		if got != status || listed != (status == "pending-reboot") || *c.CacheClusterStatus != "available" {
			return fmt.Errorf("parameters are %s, cluster is %s, to be rebooted %v", got, *c.CacheClusterStatus, c.CacheParameterGroup.CacheNodeIdsToReboot)
		}
		return nil
	})
}

// reboot restarts the node of c.
func reboot(t testing.TB, d *harness.Deployment) {
	t.Helper()
	before := node(t, d, "c/0001").PID
	_, err := d.ElastiCache().RebootCacheCluster(t.Context(), &elasticache.RebootCacheClusterInput{
		CacheClusterId: aws.String("c"), CacheNodeIdsToReboot: []string{"0001"},
	})
	must(t, err)
	awaitRestart(t, d, "c/0001", before)
}

// settingsOf are those that Memcached shows itself.
func settingsOf(t testing.TB, addr string) map[string]string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
	_, err = conn.Write([]byte("stats settings\r\n"))
	must(t, err)
	settings := map[string]string{}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if lines.Text() == "END" {
			return settings
		}
		if f := strings.Fields(lines.Text()); len(f) == 3 {
			settings[f[1]] = f[2]
		}
	}
	must(t, errors.New("the settings do not end"))
	return nil
}

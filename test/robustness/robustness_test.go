package robustness

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/test/harness"
)

// Settings of a run, from the environment.
const (
	seedVariable = "LARDER_ROBUSTNESS_SEED"
	timeVariable = "LARDER_ROBUSTNESS_TIME" // of trouble, e.g. "5m"
	defaultTime  = 15 * time.Second
)

// quiet is a log of the client library's, which would tell of each connection that a
// fault cuts.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{})
	os.Exit(m.Run())
}

func TestRobustness(t *testing.T) {
	seed, limit := uint64(time.Now().UnixNano()), defaultTime
	var err error
	if s := os.Getenv(seedVariable); s != "" {
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	if s := os.Getenv(timeVariable); s != "" {
		if limit, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	// One after the other: together they would have a host of two processors at its end.
	for _, fabric := range []string{"userspace", "kernel"} {
		if only := os.Getenv("LARDER_FABRIC"); only != "" && only != fabric {
			continue
		}
		t.Run(fabric, func(t *testing.T) {
			t.Logf("%s=%d %s=%v", seedVariable, seed, timeVariable, limit)
			endure(t, fabric, seed, limit)
		})
	}
}

// endure takes a deployment with three groups through its troubles.
func endure(t *testing.T, fabric string, seed uint64, limit time.Duration) {
	if fabric == "kernel" && os.Geteuid() != 0 {
		t.Skip("the kernel fabric needs root")
	}
	dir, small := place(t)
	d := harness.In(t, harness.Options{Fabric: fabric, Dir: dir, Args: []string{"--listen", freeAddress(t)}})
	plain, secret, sharded := newGroup(d, "plain"), newGroup(d, "secret"), newGroup(d, "sharded")
	groups := []*group{plain, secret, sharded}
	protect := func(in *elasticache.CreateReplicationGroupInput) {
		in.TransitEncryptionEnabled, in.AuthToken = aws.Bool(true), aws.String("token-0123456789abcdef")
	}
	check(t, plain.create(t.Context(), func(in *elasticache.CreateReplicationGroupInput) { in.NumCacheClusters = aws.Int32(3) }))
	check(t, secret.create(t.Context(), func(in *elasticache.CreateReplicationGroupInput) {
		in.Engine, in.NumCacheClusters = aws.String("redis"), aws.Int32(2)
		protect(in)
	}))
	check(t, sharded.create(t.Context(), func(in *elasticache.CreateReplicationGroupInput) {
		in.NumNodeGroups, in.ReplicasPerNodeGroup = aws.Int32(mostShards), aws.Int32(1)
		// The last one is small: it is the first that goes, and soon.
		for _, s := range []string{"0-7991", "7992-15983", "15984-16383"} {
			in.NodeGroupConfiguration = append(in.NodeGroupConfiguration, types.NodeGroupConfiguration{Slots: &s})
		}
		if seed%2 == 0 {
			in.Engine = aws.String("redis")
		}
		if seed/2%2 == 0 {
			protect(in)
		}
	}))

	observed, rest := context.WithCancel(t.Context())
	defer rest()
	for _, g := range groups {
		check(t, g.observe(observed))
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	(&trouble{d: d, groups: groups, seed: seed, disk: small, failed: func(err error) { t.Error(err) }}).run(ctx)
	for _, g := range groups {
		if _, err := g.settled(t.Context()); err != nil {
			t.Errorf("%s does not come to rest: %v", g.id, err)
		}
	}
	rest()
	for _, g := range groups {
		g.clients.Wait()
		summary, err := g.verdict(t.Context())
		t.Log(summary)
		if err != nil {
			t.Error(err)
		}
	}
}

// place is a directory for a deployment whose disk can be filled, where that can be
// mounted.
func place(t *testing.T) (dir string, small disk) {
	dir, err := os.MkdirTemp("", "larder-")
	check(t, err)
	t.Cleanup(func() { check(t, os.RemoveAll(dir)) })
	if small, err = mountDisk(filepath.Join(dir, "data")); err != nil {
		t.Logf("no disk will be full: %v", err)
		return dir, ""
	}
	t.Cleanup(func() { check(t, small.unmount()) })
	return dir, small
}

func newGroup(d *harness.Deployment, id string) *group {
	g := &group{d: d, id: id, did: map[string]int{}}
	g.token.Store("")
	// A client that sees each answer, and gives up in time.
	g.api = elasticache.New(elasticache.Options{
		Region: d.Credentials["AWS_REGION"], BaseEndpoint: aws.String(d.Endpoint), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(d.Credentials["AWS_ACCESS_KEY_ID"], d.Credentials["AWS_SECRET_ACCESS_KEY"], ""),
	})
	return g
}

// freeAddress is one that nobody listens on, so that the server has the same one
// after each start.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().String()
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

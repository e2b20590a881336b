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
	t.Logf("%s=%d %s=%v", seedVariable, seed, timeVariable, limit)
	dir, small := place(t)
	d := harness.In(t, harness.Options{Dir: dir, Args: []string{"--listen", freeAddress(t)}})
	plain, secret := newGroup(d, "plain"), newGroup(d, "secret")
	groups := []*group{plain, secret}
	check(t, plain.create(t.Context(), 3, func(*elasticache.CreateReplicationGroupInput) {}))
	check(t, secret.create(t.Context(), 2, func(in *elasticache.CreateReplicationGroupInput) {
		in.Engine, in.TransitEncryptionEnabled, in.AuthToken = aws.String("redis"), aws.Bool(true), aws.String("token-0123456789abcdef")
	}))

	observed, rest := context.WithCancel(t.Context())
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

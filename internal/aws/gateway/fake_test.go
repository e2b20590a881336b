package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/aws/gen/sts"
	"github.com/larder-cache/larder/internal/core"
)

const (
	testKey     = "AKIAEXAMPLEEXAMPLE01"
	testSecret  = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	testAccount = "000000000000"
)

var (
	testTime  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	testCreds = aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}
)

// fakeCache answers the actions that tests use; each test sets what it needs.
type fakeCache struct {
	elasticache.Service
	create   func(context.Context, *elasticache.CreateReplicationGroupMessage) (*elasticache.CreateReplicationGroupResult, error)
	describe func(context.Context, *elasticache.DescribeCacheClustersMessage) (*elasticache.CacheClusterMessage, error)
	remove   func(context.Context, *elasticache.DeleteCacheSubnetGroupMessage) error
}

func (f *fakeCache) CreateReplicationGroup(ctx context.Context, in *elasticache.CreateReplicationGroupMessage) (*elasticache.CreateReplicationGroupResult, error) {
	return f.create(ctx, in)
}

func (f *fakeCache) DescribeCacheClusters(ctx context.Context, in *elasticache.DescribeCacheClustersMessage) (*elasticache.CacheClusterMessage, error) {
	return f.describe(ctx, in)
}

func (f *fakeCache) DeleteCacheSubnetGroup(ctx context.Context, in *elasticache.DeleteCacheSubnetGroupMessage) error {
	return f.remove(ctx, in)
}

// fakeNetwork finds one VPC in every region.
type fakeNetwork struct{ ec2.Service }

func (fakeNetwork) DescribeVpcs(ctx context.Context, in *ec2.DescribeVpcsRequest) (*ec2.DescribeVpcsResult, error) {
	for _, id := range in.VpcIds {
		if id != "vpc-1" {
			return nil, core.Errorf("InvalidVpcID.NotFound", "The vpc ID '%s' does not exist", id)
		}
	}
	vpc := &ec2.Vpc{VpcId: core.Ptr("vpc-1"), OwnerId: core.Ptr(core.RequestFrom(ctx).Account), IsDefault: core.Ptr(true),
		Tags: []*ec2.Tag{{Key: core.Ptr("region"), Value: core.Ptr(core.RequestFrom(ctx).Region)}}}
	for _, f := range in.Filters {
		vpc.Tags = append(vpc.Tags, &ec2.Tag{Key: f.Name, Value: core.Ptr(strings.Join(f.Values, ","))})
	}
	return &ec2.DescribeVpcsResult{Vpcs: []*ec2.Vpc{vpc}}, nil
}

// fakeIdentity answers with what the gateway says of the caller.
type fakeIdentity struct{}

func (fakeIdentity) GetCallerIdentity(ctx context.Context, _ *sts.GetCallerIdentityRequest) (*sts.GetCallerIdentityResponse, error) {
	r := core.RequestFrom(ctx)
	return &sts.GetCallerIdentityResponse{Account: &r.Account, Arn: &r.PrincipalARN, UserId: &r.AccessKeyID}, nil
}

// fakeKeys knows one key.
type fakeKeys struct{}

func (fakeKeys) Lookup(_ context.Context, id string) (core.Secret, string, error) {
	switch id {
	case testKey:
		return core.NewSecret(testSecret), "arn:aws:iam::" + testAccount + ":root", nil
	case "AKIABROKENSTORE":
		return core.Secret{}, "", io.ErrUnexpectedEOF
	}
	return core.Secret{}, "", ErrUnknownKey
}

// fixedClock stands still.
type fixedClock struct{ now time.Time }

func (c fixedClock) Now() time.Time                     { return c.now }
func (fixedClock) After(time.Duration) <-chan time.Time { return nil }

// journal collects the log.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// records are the log records with a message.
func (j *journal) records(t *testing.T, message string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for line := range strings.Lines(j.String()) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r["msg"] == message {
			found = append(found, r)
		}
	}
	return found
}

// bench is a gateway with fakes behind it.
type bench struct {
	cache *fakeCache
	log   *journal
	cfg   Config
}

func newBench() *bench {
	b := &bench{cache: &fakeCache{}, log: &journal{}}
	b.cfg = Config{
		Account: testAccount, Keys: fakeKeys{}, Clock: fixedClock{testTime}, Log: slog.New(slog.NewJSONHandler(b.log, nil)),
		Services: []Service{elasticache.Describe(b.cache), ec2.Describe(fakeNetwork{}), sts.Describe(fakeIdentity{})},
	}
	return b
}

// post is a signed form for a service, as a client of the query protocol sends it.
func post(t testing.TB, service, body string) *http.Request {
	t.Helper()
	return sign(t, testCreds, service, "us-east-1", testTime, form(body))
}

func form(body string) *http.Request {
	r := httptest.NewRequest("POST", "http://127.0.0.1:4566/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	return r
}

func sign(t testing.TB, creds aws.Credentials, service, region string, at time.Time, r *http.Request) *http.Request {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, r, hex.EncodeToString(sum[:]), service, region, at); err != nil {
		t.Fatal(err)
	}
	return r
}

// do runs a request through the gateway and masks its id in the answer.
func (b *bench) do(r *http.Request) (status int, body string) {
	w := httptest.NewRecorder()
	New(b.cfg).ServeHTTP(w, r)
	return w.Code, strings.ReplaceAll(w.Body.String(), w.Header().Get("x-amzn-RequestId"), "ID")
}

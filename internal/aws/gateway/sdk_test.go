package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	sdkcache "github.com/aws/aws-sdk-go-v2/service/elasticache"
	cachetypes "github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	sdksts "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
)

// serve starts a real server with the gateway of b, on the real clock, as clients
// sign with theirs, and gives the configuration of a client of it.
func (b *bench) serve(t testing.TB) aws.Config {
	t.Helper()
	b.cfg.Clock = core.SystemClock{}
	srv := httptest.NewUnstartedServer(New(b.cfg))
	Harden(srv.Config)
	srv.Start()
	t.Cleanup(srv.Close)
	return aws.Config{
		Region: "eu-central-1", BaseEndpoint: &srv.URL, HTTPClient: srv.Client(), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return testCreds, nil }),
	}
}

func TestSDKCreate(t *testing.T) {
	t.Parallel()
	b := newBench()
	var got elasticache.CreateReplicationGroupMessage
	var req core.Request
	b.cache.create = func(ctx context.Context, in *elasticache.CreateReplicationGroupMessage) (*elasticache.CreateReplicationGroupResult, error) {
		got, req = *in, core.RequestFrom(ctx)
		return &elasticache.CreateReplicationGroupResult{ReplicationGroup: &elasticache.ReplicationGroup{
			ReplicationGroupId: in.ReplicationGroupId, Status: core.Ptr("creating"), Description: in.ReplicationGroupDescription,
			MemberClusters: []string{"g-001", "g-002"}, ReplicationGroupCreateTime: core.Ptr(time.UnixMilli(1767323045678)),
			UserGroupIds: []string{}, AuthTokenEnabled: core.Ptr(true), Engine: core.Ptr("valkey"),
			NodeGroups: []*elasticache.NodeGroup{{NodeGroupId: core.Ptr("0001"), PrimaryEndpoint: &elasticache.Endpoint{Address: core.Ptr("a"), Port: core.Ptr(6379)},
				NodeGroupMembers: []*elasticache.NodeGroupMember{{CacheClusterId: core.Ptr("g-001")}}}},
		}}, nil
	}
	out, err := sdkcache.NewFromConfig(b.serve(t)).CreateReplicationGroup(t.Context(), &sdkcache.CreateReplicationGroupInput{
		ReplicationGroupId: aws.String("g"), ReplicationGroupDescription: aws.String("a & b <c> é"), AuthToken: aws.String("secret-secret-secret"),
		SecurityGroupIds: []string{}, PreferredCacheClusterAZs: []string{"eu-central-1a", "eu-central-1b"}, NumCacheClusters: aws.Int32(2),
		AutomaticFailoverEnabled: aws.Bool(true), TransitEncryptionMode: cachetypes.TransitEncryptionModeRequired,
		Tags:                   []cachetypes.Tag{{Key: aws.String("k"), Value: aws.String("")}, {Key: aws.String("l"), Value: aws.String("v w")}},
		NodeGroupConfiguration: []cachetypes.NodeGroupConfiguration{{NodeGroupId: aws.String("0001"), ReplicaAvailabilityZones: []string{"x"}}},
		LogDeliveryConfigurations: []cachetypes.LogDeliveryConfigurationRequest{{LogType: cachetypes.LogTypeSlowLog,
			DestinationDetails: &cachetypes.DestinationDetails{CloudWatchLogsDetails: &cachetypes.CloudWatchLogsDestinationDetails{LogGroup: aws.String("lg")}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := elasticache.CreateReplicationGroupMessage{
		ReplicationGroupId: core.Ptr("g"), ReplicationGroupDescription: core.Ptr("a & b <c> é"), AuthToken: core.Ptr(core.NewSecret("secret-secret-secret")),
		SecurityGroupIds: []string{}, PreferredCacheClusterAZs: []string{"eu-central-1a", "eu-central-1b"}, NumCacheClusters: core.Ptr(2),
		AutomaticFailoverEnabled: core.Ptr(true), TransitEncryptionMode: core.Ptr("required"),
		Tags:                   []*elasticache.Tag{{Key: core.Ptr("k"), Value: core.Ptr("")}, {Key: core.Ptr("l"), Value: core.Ptr("v w")}},
		NodeGroupConfiguration: []*elasticache.NodeGroupConfiguration{{NodeGroupId: core.Ptr("0001"), ReplicaAvailabilityZones: []string{"x"}}},
		LogDeliveryConfigurations: []*elasticache.LogDeliveryConfigurationRequest{{LogType: core.Ptr("slow-log"),
			DestinationDetails: &elasticache.DestinationDetails{CloudWatchLogsDetails: &elasticache.CloudWatchLogsDestinationDetails{LogGroup: core.Ptr("lg")}}}},
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b core.Secret) bool { return a.Equal(b) })); d != "" {
		t.Error(d)
	}
	if req.Region != "eu-central-1" || req.Account != testAccount || req.AccessKeyID != testKey || req.Action != "CreateReplicationGroup" || req.ID == "" {
		t.Errorf("request %+v", req)
	}
	g := out.ReplicationGroup
	if aws.ToString(g.Description) != "a & b <c> é" || len(g.MemberClusters) != 2 || !aws.ToBool(g.AuthTokenEnabled) || aws.ToString(g.Engine) != "valkey" ||
		g.ReplicationGroupCreateTime.UnixMilli() != 1767323045678 || aws.ToInt32(g.NodeGroups[0].PrimaryEndpoint.Port) != 6379 || g.UserGroupIds == nil || g.KmsKeyId != nil {
		t.Errorf("answer %+v", g)
	}
}

func TestSDKErrors(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.cache.describe = func(_ context.Context, in *elasticache.DescribeCacheClustersMessage) (*elasticache.CacheClusterMessage, error) {
		return nil, core.Errorf("CacheClusterNotFound", "CacheCluster not found: %s", *in.CacheClusterId)
	}
	_, err := sdkcache.NewFromConfig(b.serve(t)).DescribeCacheClusters(t.Context(), &sdkcache.DescribeCacheClustersInput{CacheClusterId: aws.String("x")})
	var notFound *cachetypes.CacheClusterNotFoundFault
	if !errors.As(err, &notFound) || notFound.ErrorMessage() != "CacheCluster not found: x" {
		t.Errorf("got %v", err)
	}
}

func TestSDKVoid(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.cache.remove = func(context.Context, *elasticache.DeleteCacheSubnetGroupMessage) error { return nil }
	if _, err := sdkcache.NewFromConfig(b.serve(t)).DeleteCacheSubnetGroup(t.Context(), &sdkcache.DeleteCacheSubnetGroupInput{CacheSubnetGroupName: aws.String("x")}); err != nil {
		t.Error(err)
	}
}

func TestSDKEC2(t *testing.T) {
	t.Parallel()
	client := sdkec2.NewFromConfig(newBench().serve(t))
	out, err := client.DescribeVpcs(t.Context(), &sdkec2.DescribeVpcsInput{VpcIds: []string{"vpc-1"},
		Filters: []ec2types.Filter{{Name: aws.String("cidr"), Values: []string{"10.0.0.0/8", "172.31.0.0/16"}}}})
	if err != nil {
		t.Fatal(err)
	}
	v := out.Vpcs[0]
	if aws.ToString(v.VpcId) != "vpc-1" || !aws.ToBool(v.IsDefault) || len(v.Tags) != 2 || aws.ToString(v.Tags[0].Value) != "eu-central-1" ||
		aws.ToString(v.Tags[1].Value) != "10.0.0.0/8,172.31.0.0/16" {
		t.Errorf("answer %+v", v)
	}
	_, err = client.DescribeVpcs(t.Context(), &sdkec2.DescribeVpcsInput{VpcIds: []string{"vpc-2"}})
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "InvalidVpcID.NotFound" || api.ErrorMessage() != "The vpc ID 'vpc-2' does not exist" {
		t.Errorf("got %v", err)
	}
}

func TestSDKIdentity(t *testing.T) {
	t.Parallel()
	cfg := newBench().serve(t)
	out, err := sdksts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), &sdksts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(out.Account) != testAccount || aws.ToString(out.Arn) != "arn:aws:iam::000000000000:root" || aws.ToString(out.UserId) != testKey {
		t.Errorf("answer %+v", out)
	}
	presigned, err := sdksts.NewPresignClient(sdksts.NewFromConfig(cfg)).PresignGetCallerIdentity(t.Context(), &sdksts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	for url, status := range map[string]int{presigned.URL: 200, presigned.URL + "&Extra=1": 403} {
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != status || (status == 200) != strings.Contains(string(body), "<GetCallerIdentityResult><UserId>"+testKey) {
			t.Errorf("presigned: %d %s", res.StatusCode, body)
		}
	}
}

// TestHostileConnections: silence and garbage cost nobody but their sender.
func TestHostileConnections(t *testing.T) {
	t.Parallel()
	b := newBench()
	srv := httptest.NewUnstartedServer(New(b.cfg))
	Harden(srv.Config)
	for name, limit := range map[string]time.Duration{"header": srv.Config.ReadHeaderTimeout, "read": srv.Config.ReadTimeout, "write": srv.Config.WriteTimeout, "idle": srv.Config.IdleTimeout} {
		if limit <= 0 {
			t.Errorf("no %s timeout", name)
		}
	}
	srv.Config.ReadHeaderTimeout, srv.Config.ReadTimeout = 100*time.Millisecond, 200*time.Millisecond // as above, only sooner
	srv.Start()
	t.Cleanup(srv.Close)
	var stalled strings.Builder
	if err := post(t, "elasticache", "Action=DescribeCacheClusters").Write(&stalled); err != nil {
		t.Fatal(err)
	}
	for name, opening := range map[string]string{
		"silent":       "",
		"slow header":  "POST / HTTP/1.1\r\nHost: x\r\nX-A: ",
		"garbage":      "\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n",
		"huge header":  "POST / HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 128<<10) + "\r\n\r\n",
		"short body":   "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nab",
		"stalled body": strings.TrimSuffix(stalled.String(), "CacheClusters"),
		"no such verb": "FLY / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", srv.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, opening)
			_, err = io.ReadAll(conn) // until the server hangs up
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Fatal("the server holds on to the connection")
			}
		})
	}
	res, err := srv.Client().Get(srv.URL + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 200 {
		t.Fatalf("afterwards: %d", res.StatusCode)
	}
	if !strings.Contains(b.log.String(), `"code":"IncompleteBody"`) {
		t.Error("the stalled body was not noticed")
	}
}

// BenchmarkDescribe is one page of 100 cache clusters, from the signed request to
// the written answer.
func BenchmarkDescribe(b *testing.B) {
	bn := newBench()
	page := &elasticache.CacheClusterMessage{}
	for i := range 100 {
		page.CacheClusters = append(page.CacheClusters, &elasticache.CacheCluster{
			CacheClusterId: core.Ptr(fmt.Sprintf("c-%d", i)), Engine: core.Ptr("redis"), EngineVersion: core.Ptr("7.1.0"), CacheClusterStatus: core.Ptr("available"),
			NumCacheNodes: core.Ptr(1), CacheNodeType: core.Ptr("cache.t3.micro"), CacheClusterCreateTime: core.Ptr(testTime), AutoMinorVersionUpgrade: core.Ptr(true),
			ARN: core.Ptr("arn:aws:elasticache:us-east-1:000000000000:cluster:c"), CacheSubnetGroupName: core.Ptr("default"), CacheSecurityGroups: []*elasticache.CacheSecurityGroupMembership{},
			SecurityGroups: []*elasticache.SecurityGroupMembership{{SecurityGroupId: core.Ptr("sg-1"), Status: core.Ptr("active")}},
			CacheNodes: []*elasticache.CacheNode{{CacheNodeId: core.Ptr("0001"), CacheNodeStatus: core.Ptr("available"), CacheNodeCreateTime: core.Ptr(testTime),
				Endpoint: &elasticache.Endpoint{Address: core.Ptr("127.1.0.1"), Port: core.Ptr(6379)}}},
		})
	}
	bn.cache.describe = func(context.Context, *elasticache.DescribeCacheClustersMessage) (*elasticache.CacheClusterMessage, error) {
		return page, nil
	}
	h := New(bn.cfg)
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, post(b, "elasticache", "Action=DescribeCacheClusters&ShowCacheNodeInfo=true"))
		if w.Code != 200 {
			b.Fatal(w.Body.String())
		}
	}
}

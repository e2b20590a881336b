package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/larder-cache/larder/internal/aws/api"
	"github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
)

const (
	queryError = `<ErrorResponse xmlns="http://elasticache.amazonaws.com/doc/2015-02-02/"><Error><Type>Sender</Type><Code>%C</Code><Message>%M</Message></Error><RequestId>ID</RequestId></ErrorResponse>`
	ec2Error   = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<Response><Errors><Error><Code>%C</Code><Message>%M</Message></Error></Errors><RequestID>ID</RequestID></Response>`
	jsonError  = `{"__type":"%C","message":"%M"}`

	badSignature = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)

func document(frame, code, message string) string {
	return strings.NewReplacer("%C", code, "%M", message).Replace(frame)
}

// withTarget makes a request one of the JSON protocol.
func withTarget(target string) *http.Request {
	r := httptest.NewRequest("POST", "http://127.0.0.1:4566/", strings.NewReader("{}"))
	r.Header.Set("X-Amz-Target", target)
	return r
}

func TestUnauthenticated(t *testing.T) {
	t.Parallel()
	const list = "Action=DescribeCacheClusters&Version=2015-02-02"
	other := aws.Credentials{AccessKeyID: "AKIANOBODY", SecretAccessKey: testSecret}
	wrong := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: "wrong"}
	session := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret, SessionToken: "made-up"}
	for name, c := range map[string]struct {
		request                    *http.Request
		status                     int
		frame, code, message, part string
	}{
		"unsigned":         {request: form(list), status: 403, frame: queryError, code: "MissingAuthenticationToken", message: "Request is missing Authentication Token"},
		"unknown key":      {request: sign(t, other, "elasticache", "us-east-1", testTime, form(list)), status: 403, frame: queryError, code: "InvalidClientTokenId", message: "The security token included in the request is invalid."},
		"made-up session":  {request: sign(t, session, "elasticache", "us-east-1", testTime, form(list)), status: 403, frame: queryError, code: "InvalidClientTokenId", message: "The security token included in the request is invalid."},
		"wrong secret":     {request: sign(t, wrong, "elasticache", "us-east-1", testTime, form(list)), status: 403, frame: queryError, code: "SignatureDoesNotMatch", message: badSignature},
		"replayed late":    {request: sign(t, testCreds, "elasticache", "us-east-1", testTime.Add(-16*time.Minute), form(list)), status: 403, frame: queryError, code: "SignatureDoesNotMatch", message: "Signature expired: 20260102T024805Z is now earlier than 20260102T024905Z (20260102T030405Z - 15 min.)"},
		"odd region":       {request: sign(t, testCreds, "elasticache", "nowhere", testTime, form(list)), status: 403, frame: queryError, code: "SignatureDoesNotMatch", message: "Credential should be scoped to a valid region."},
		"wrong service":    {request: sign(t, testCreds, "iam", "us-east-1", testTime, form(list)), status: 403, frame: queryError, code: "SignatureDoesNotMatch", message: "Credential should be scoped to correct service: 'elasticache'."},
		"ec2 unknown key":  {request: sign(t, other, "ec2", "us-east-1", testTime, form("")), status: 401, frame: ec2Error, code: "AuthFailure", message: "AWS was not able to validate the provided access credentials"},
		"ec2 wrong secret": {request: sign(t, wrong, "ec2", "us-east-1", testTime, form("")), status: 401, frame: ec2Error, code: "AuthFailure", message: badSignature},
		"json unsigned":    {request: withTarget("Logs_20140328.X"), status: 400, frame: jsonError, code: "MissingAuthenticationTokenException", message: "Request is missing Authentication Token"},
		"json unknown key": {request: sign(t, other, "logs", "us-east-1", testTime, withTarget("Logs_20140328.X")), status: 400, frame: jsonError, code: "UnrecognizedClientException", message: "The security token included in the request is invalid."},
		"json wrong key":   {request: sign(t, wrong, "logs", "us-east-1", testTime, withTarget("Logs_20140328.X")), status: 400, frame: jsonError, code: "InvalidSignatureException", message: badSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench()
			b.cache.describe = func(context.Context, *elasticache.DescribeCacheClustersMessage) (*elasticache.CacheClusterMessage, error) {
				t.Error("the handler was called")
				return nil, nil
			}
			status, body := b.do(c.request)
			if want := document(c.frame, c.code, c.message); status != c.status || body != want {
				t.Fatalf("got %d %s\nwant %d %s", status, body, c.status, want)
			}
		})
	}
}

func TestIncompleteSignature(t *testing.T) {
	t.Parallel()
	r := post(t, "elasticache", "Action=X")
	r.Header.Del("X-Amz-Date")
	status, body := newBench().do(r)
	if status != 400 || !strings.Contains(body, "<Code>IncompleteSignature</Code>") {
		t.Fatalf("got %d %s", status, body)
	}
}

func TestActions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		request              *http.Request
		status               int
		frame, code, message string
	}{
		"no action":            {post(t, "elasticache", "Version=2015-02-02"), 400, queryError, "MissingAction", "Missing Action"},
		"unknown":              {post(t, "elasticache", "Action=Describe"), 400, queryError, "InvalidAction", "Could not find operation Describe for version 2015-02-02"},
		"unknown, escaped":     {post(t, "elasticache", "Action=%3Ca%3E"), 400, queryError, "InvalidAction", "Could not find operation &lt;a&gt; for version 2015-02-02"},
		"not served":           {post(t, "elasticache", "Action=CreateGlobalReplicationGroup"), 400, queryError, "InvalidAction", "The action CreateGlobalReplicationGroup is not served by this version of Larder."},
		"ec2 unknown":          {post(t, "ec2", "Action=Fly"), 400, ec2Error, "InvalidAction", "The action Fly is not valid for this web service."},
		"ec2 not served":       {post(t, "ec2", "Action=CreateNatGateway"), 400, ec2Error, "InvalidAction", "The action CreateNatGateway is not served by this version of Larder."},
		"service not served":   {post(t, "s3", ""), 400, queryError, "InvalidAction", "The service s3 is not served by this version of Larder."},
		"json service":         {sign(t, testCreds, "kms", "us-east-1", testTime, withTarget("TrentService.ListKeys")), 400, jsonError, "UnknownOperationException", "The service kms is not served by this version of Larder."},
		"malformed form":       {post(t, "elasticache", "Action=%"), 404, queryError, "MalformedQueryString", "The query string contains a syntax error."},
		"required":             {post(t, "elasticache", "Action=DeleteCacheSubnetGroup"), 400, queryError, "InvalidParameterValue", "The parameter CacheSubnetGroupName must be provided and must not be blank."},
		"required list":        {post(t, "elasticache", "Action=RemoveTagsFromResource&ResourceName=x&TagKeys="), 400, queryError, "InvalidParameterValue", "The parameter TagKeys must be provided."},
		"bad type":             {post(t, "elasticache", "Action=DescribeCacheClusters&MaxRecords=all"), 400, queryError, "InvalidParameterValue", "The parameter MaxRecords must be an integer."},
		"bad choice":           {post(t, "elasticache", "Action=CreateCacheCluster&CacheClusterId=a&AZMode=no"), 400, queryError, "InvalidParameterValue", "The parameter AZMode must be one of: single-az, cross-az."},
		"ec2 bounds":           {post(t, "ec2", "Action=DescribeVpcs&MaxResults=4"), 400, ec2Error, "InvalidParameterValue", "The value for parameter MaxResults is invalid: it must be at least 5."},
		"error of the handler": {post(t, "ec2", "Action=DescribeVpcs&VpcId.1=vpc-9"), 400, ec2Error, "InvalidVpcID.NotFound", "The vpc ID 'vpc-9' does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, body := newBench().do(c.request)
			if want := document(c.frame, c.code, c.message); status != c.status || body != want {
				t.Fatalf("got %d %s\nwant %d %s", status, body, c.status, want)
			}
		})
	}
}

// TestErrorsOfHandlers: a refusal keeps its code and gets the model's status, any
// other error says nothing to the client.
func TestErrorsOfHandlers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err       error
		status    int
		code      string
		warnings  int
		failures  int
		mustNotBe string
	}{
		"model's status":       {err: core.Errorf("CacheClusterNotFound", "CacheCluster not found: x"), status: 404, code: "CacheClusterNotFound"},
		"own status":           {err: core.Errorf("CacheClusterNotFound", "x").WithStatus(410), status: 410, code: "CacheClusterNotFound"},
		"wrapped":              {err: errors.Join(errors.New("context"), core.Errorf("InvalidParameterCombination", "x")), status: 400, code: "InvalidParameterCombination", mustNotBe: "context"},
		"common":               {err: core.Errorf("ServiceUnavailable", "x"), status: 503, code: "ServiceUnavailable"},
		"not declared":         {err: core.Errorf("SnapshotNotFoundFault", "x"), status: 404, code: "SnapshotNotFoundFault", warnings: 1},
		"not of the model":     {err: core.Errorf("DependencyViolation", "x"), status: 400, code: "DependencyViolation", warnings: 1},
		"internal":             {err: errors.New("etcd: lost the plot"), status: 500, code: "InternalFailure", failures: 1, mustNotBe: "plot"},
		"cause is for us only": {err: &core.Error{Code: "InvalidParameterValue", Message: "m", Cause: errors.New("plot")}, status: 400, code: "InvalidParameterValue", mustNotBe: "plot"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench()
			b.cache.describe = func(context.Context, *elasticache.DescribeCacheClustersMessage) (*elasticache.CacheClusterMessage, error) {
				return nil, c.err
			}
			status, body := b.do(post(t, "elasticache", "Action=DescribeCacheClusters"))
			if status != c.status || !strings.Contains(body, "<Code>"+c.code+"</Code>") || c.mustNotBe != "" && strings.Contains(body, c.mustNotBe) {
				t.Errorf("got %d %s", status, body)
			}
			if n := len(b.log.records(t, "error code not declared for the action")); n != c.warnings {
				t.Errorf("%d warnings", n)
			}
			if n := len(b.log.records(t, "request failed")); n != c.failures {
				t.Errorf("%d failures logged", n)
			}
		})
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.cache.remove = func(_ context.Context, in *elasticache.DeleteCacheSubnetGroupMessage) error {
		if *in.CacheSubnetGroupName == "index" {
			return []error{}[len(*in.CacheSubnetGroupName)]
		}
		panic("holds " + *in.CacheSubnetGroupName)
	}
	for name, want := range map[string]string{"index": "index out of range", "private": "string"} {
		status, body := b.do(post(t, "elasticache", "Action=DeleteCacheSubnetGroup&CacheSubnetGroupName="+name))
		if status != 500 || !strings.Contains(body, "<Type>Receiver</Type><Code>InternalFailure</Code>") || !strings.Contains(body, "<RequestId>ID</RequestId>") {
			t.Fatalf("got %d %s", status, body)
		}
		records := b.log.records(t, "panic in a handler")
		last := records[len(records)-1]
		if !strings.Contains(last["panic"].(string), want) || !strings.Contains(last["stack"].(string), "gateway_test.go") {
			t.Errorf("logged %v", last)
		}
	}
	if strings.Contains(b.log.String(), "private") {
		t.Error("the value of a parameter is in the log")
	}
}

func TestStoreFailureAtLookup(t *testing.T) {
	t.Parallel()
	creds := aws.Credentials{AccessKeyID: "AKIABROKENSTORE", SecretAccessKey: testSecret}
	status, body := newBench().do(sign(t, creds, "elasticache", "us-east-1", testTime, form("")))
	if status != 500 || !strings.Contains(body, "InternalFailure") || strings.Contains(body, "EOF") {
		t.Fatalf("got %d %s", status, body)
	}
}

func TestRecord(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.cache.create = func(context.Context, *elasticache.CreateReplicationGroupMessage) (*elasticache.CreateReplicationGroupResult, error) {
		return nil, core.Errorf("ReplicationGroupAlreadyExists", "no")
	}
	_, body := b.do(post(t, "elasticache", "Action=CreateReplicationGroup&ReplicationGroupId=parameter-value&ReplicationGroupDescription=d&AuthToken=very-secret-token"))
	records := b.log.records(t, "request")
	if len(records) != 1 {
		t.Fatalf("%d records", len(records))
	}
	r := records[0]
	for k, want := range map[string]any{"service": "elasticache", "action": "CreateReplicationGroup", "region": "us-east-1", "key": testKey,
		"status": 400.0, "code": "ReplicationGroupAlreadyExists", "bytes": float64(len(body) + 34)} {
		if r[k] != want {
			t.Errorf("%s is %v, want %v", k, r[k], want)
		}
	}
	if len(r["request"].(string)) != 36 {
		t.Errorf("request id %v", r["request"])
	}
	for _, private := range []string{"parameter-value", "very-secret-token"} {
		if strings.Contains(b.log.String(), private) {
			t.Errorf("%s is in the log", private)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.cfg.MaxBody = 100
	for name, c := range map[string]struct {
		size, status int
		chunked      bool
	}{
		"at the limit":        {size: 100, status: 400},
		"over the limit":      {size: 101, status: 413},
		"over it, no length":  {size: 101, status: 413, chunked: true},
		"far over, no length": {size: 1 << 20, status: 413, chunked: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := post(t, "elasticache", strings.Repeat("x", c.size))
			if c.chunked {
				r.ContentLength = -1
			}
			status, body := b.do(r)
			if status != c.status || c.status == 413 && !strings.Contains(body, "<Code>RequestEntityTooLarge</Code>") {
				t.Fatalf("got %d %s", status, body)
			}
		})
	}
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.cfg.Extra = map[string]http.Handler{"POST /larder/v1/echo": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		req := core.RequestFrom(r.Context())
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, req.PrincipalARN+" "+string(body))
	})}
	echo := func() *http.Request {
		return httptest.NewRequest("POST", "http://127.0.0.1:4566/larder/v1/echo", strings.NewReader("hello"))
	}
	if status, body := b.do(sign(t, testCreds, AdminService, "us-east-1", testTime, echo())); status != 201 || body != "arn:aws:iam::000000000000:root hello" {
		t.Errorf("signed: %d %s", status, body)
	}
	if status, body := b.do(echo()); status != 400 || body != document(jsonError, "MissingAuthenticationTokenException", "Request is missing Authentication Token") {
		t.Errorf("unsigned: %d %s", status, body)
	}
	if status, body := b.do(sign(t, testCreds, "elasticache", "us-east-1", testTime, echo())); status != 400 ||
		body != document(jsonError, "InvalidSignatureException", "Credential should be scoped to correct service: 'larder'.") {
		t.Errorf("signed for another service: %d %s", status, body)
	}
	missing := httptest.NewRequest("GET", "http://127.0.0.1:4566/larder/v1/none", nil)
	if status, _ := b.do(sign(t, testCreds, AdminService, "us-east-1", testTime, missing)); status != 404 {
		t.Errorf("no such path: %d", status)
	}
	if got := b.log.records(t, "request")[0]["status"]; got != 201.0 {
		t.Errorf("logged status %v", got)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	b := newBench()
	ready := false
	b.cfg.Ready = func() bool { return ready }
	for _, c := range []struct {
		path   string
		ready  bool
		status int
	}{{"/healthz", false, 200}, {"/readyz", false, 503}, {"/readyz", true, 200}} {
		ready = c.ready
		if status, _ := b.do(httptest.NewRequest("GET", c.path, nil)); status != c.status {
			t.Errorf("%s, ready %v: %d", c.path, c.ready, status)
		}
	}
}

// logGroup is the input and output of a service of the JSON protocol.
type logGroup struct {
	Name *string `in:"name" out:"name" required:"true"`
}

func TestJSONService(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.cfg.Services = append(b.cfg.Services, Service{
		Name: "logs", Protocol: api.JSON, TargetPrefix: "Logs_20140328", Known: []string{"Create", "Delete", "Tail"},
		Operations: []api.Operation{
			api.Returning("Create", "", func(_ context.Context, in *logGroup) (*logGroup, error) { return in, nil }),
			api.Void("Delete", func(context.Context, *logGroup) error {
				return core.Errorf("ResourceNotFoundException", "The log group does not exist.")
			}),
		},
	})
	for name, c := range map[string]struct {
		action, body string
		status       int
		want         string
	}{
		"answered":    {"Create", `{"name":"a"}`, 200, `{"name":"a"}`},
		"refused":     {"Delete", `{"name":"a"}`, 400, document(jsonError, "ResourceNotFoundException", "The log group does not exist.")},
		"not served":  {"Tail", `{}`, 400, document(jsonError, "UnknownOperationException", "The action Tail is not served by this version of Larder.")},
		"unknown":     {"Fly", `{}`, 400, document(jsonError, "UnknownOperationException", "The operation Fly does not exist.")},
		"not JSON":    {"Create", `name=a`, 400, document(jsonError, "SerializationException", "The request's body is not a JSON object.")},
		"wrong type":  {"Create", `{"name":1}`, 400, document(jsonError, "ValidationException", "The parameter name must be a string.")},
		"not present": {"Create", `{}`, 400, document(jsonError, "ValidationException", "The parameter name must be provided and must not be blank.")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("POST", "http://127.0.0.1:4566/", strings.NewReader(c.body))
			r.Header.Set("X-Amz-Target", "Logs_20140328."+c.action)
			if status, body := b.do(sign(t, testCreds, "logs", "us-east-1", testTime, r)); status != c.status || body != c.want {
				t.Fatalf("got %d %s", status, body)
			}
		})
	}
	if status, body := b.do(sign(t, testCreds, "ec2", "us-east-1", testTime, withTarget("Logs_20140328.Create"))); !strings.Contains(body, "correct service: 'logs'") {
		t.Errorf("signed for another service: %d %s", status, body)
	}
}

// FuzzForm: no authenticated form, however strange, makes the gateway fail.
func FuzzForm(f *testing.F) {
	for _, s := range []string{
		"Action=CreateReplicationGroup&ReplicationGroupId=a&ReplicationGroupDescription=b&SecurityGroupIds=&NodeGroupConfiguration.1.NodeGroupId=0001",
		"Action=CreateReplicationGroup&LogDeliveryConfigurations.LogDeliveryConfigurationRequest.1.DestinationDetails.CloudWatchLogsDetails.LogGroup=g",
		"Action=DescribeCacheClusters&MaxRecords=20&Marker=%00", "Action=DeleteCacheSubnetGroup&CacheSubnetGroupName=a",
	} {
		f.Add(s)
	}
	b := newBench()
	b.cache.create = func(context.Context, *elasticache.CreateReplicationGroupMessage) (*elasticache.CreateReplicationGroupResult, error) {
		return &elasticache.CreateReplicationGroupResult{}, nil
	}
	b.cache.describe = func(context.Context, *elasticache.DescribeCacheClustersMessage) (*elasticache.CacheClusterMessage, error) {
		return &elasticache.CacheClusterMessage{}, nil
	}
	b.cache.remove = func(context.Context, *elasticache.DeleteCacheSubnetGroupMessage) error { return nil }
	served := []string{"Action=CreateReplicationGroup&", "Action=DescribeCacheClusters&", "Action=DeleteCacheSubnetGroup&"}
	f.Fuzz(func(t *testing.T, body string) {
		for _, s := range served { // the first Action counts
			if status, answer := b.do(post(t, "elasticache", s+body)); status >= 500 {
				t.Fatalf("%d %s", status, answer)
			}
		}
	})
}

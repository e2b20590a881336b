package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/larder-cache/larder/internal/aws/api"
	ec2wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	elasticachewire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	stswire "github.com/larder-cache/larder/internal/aws/gen/sts"
	"github.com/larder-cache/larder/internal/aws/shape"
	"github.com/larder-cache/larder/test/harness"
)

// harmless keeps requests that would otherwise be fine from succeeding.
var harmless = map[string]url.Values{
	"CreateReplicationGroup": {"CacheNodeType": {"nosuch"}},
	"CreateCacheCluster":     {"Engine": {"nosuch"}},
	"CreateSecurityGroup":    {"VpcId": {"vpc-nosuch"}},
}

// TestBadInput sends every action what no client should: whatever is wrong with a
// parameter, the answer is an error of the client that names it, and nothing is
// stored.
func TestBadInput(t *testing.T) {
	t.Parallel()
	d := harness.In(t, harness.Options{})
	group(t, d, "g", 2, secured)
	r := &raw{d: d}
	before := r.everything(t)
	for _, s := range []api.Service{
		elasticachewire.Describe(struct{ elasticachewire.Service }{}),
		ec2wire.Describe(struct{ ec2wire.Service }{}),
		stswire.Describe(struct{ stswire.Service }{}),
	} {
		for _, op := range s.Operations {
			t.Run(s.Name+"/"+op.Name, func(t *testing.T) { r.abuse(t, s, op) })
		}
		r.expect(t, s, url.Values{"Action": {"NoSuchAction"}}, "NoSuchAction")
		r.expect(t, s, url.Values{}, "")
	}
	for name, form := range conflicts {
		t.Run(name, func(t *testing.T) {
			s := elasticachewire.Describe(struct{ elasticachewire.Service }{})
			values, err := url.ParseQuery(form)
			must(t, err)
			r.expect(t, s, values, "")
		})
	}
	if after := r.everything(t); after != before {
		t.Errorf("something was stored:\n%s\nbefore:\n%s", after, before)
	}
	t.Logf("%d requests", r.sent)
	tidy(t, d)
}

// conflicts are parameters that are fine alone.
var conflicts = map[string]string{
	"token without TLS":         "Action=CreateReplicationGroup&ReplicationGroupId=x&ReplicationGroupDescription=x&Engine=redis&CacheNodeType=cache.t4g.micro&NumCacheClusters=2&AuthToken=" + token,
	"failover of one":           "Action=CreateReplicationGroup&ReplicationGroupId=x&ReplicationGroupDescription=x&Engine=redis&CacheNodeType=cache.t4g.micro&NumCacheClusters=1&AutomaticFailoverEnabled=true",
	"zones without failover":    "Action=CreateReplicationGroup&ReplicationGroupId=x&ReplicationGroupDescription=x&Engine=redis&CacheNodeType=cache.t4g.micro&NumCacheClusters=2&MultiAZEnabled=true",
	"two kinds of count":        "Action=CreateReplicationGroup&ReplicationGroupId=x&ReplicationGroupDescription=x&Engine=redis&CacheNodeType=cache.t4g.micro&NumCacheClusters=2&NumNodeGroups=1&ReplicasPerNodeGroup=1",
	"zones that do not fit":     "Action=CreateReplicationGroup&ReplicationGroupId=x&ReplicationGroupDescription=x&Engine=redis&CacheNodeType=cache.t4g.micro&NumCacheClusters=2&PreferredCacheClusterAZs.AvailabilityZone.1=us-east-1a",
	"memcached in a group":      "Action=CreateReplicationGroup&ReplicationGroupId=x&ReplicationGroupDescription=x&Engine=memcached&CacheNodeType=cache.t4g.micro&NumCacheClusters=2",
	"mode without TLS":          "Action=CreateReplicationGroup&ReplicationGroupId=x&ReplicationGroupDescription=x&Engine=redis&CacheNodeType=cache.t4g.micro&NumCacheClusters=2&TransitEncryptionMode=required",
	"token without strategy":    "Action=ModifyReplicationGroup&ReplicationGroupId=g&AuthToken=" + second + "&AuthTokenUpdateStrategy=SOMEHOW&ApplyImmediately=true",
	"strategy without token":    "Action=ModifyReplicationGroup&ReplicationGroupId=g&AuthTokenUpdateStrategy=ROTATE&ApplyImmediately=true",
	"redis of two nodes":        "Action=CreateCacheCluster&CacheClusterId=x&Engine=redis&CacheNodeType=cache.t4g.micro&NumCacheNodes=2",
	"valkey of its own":         "Action=CreateCacheCluster&CacheClusterId=x&Engine=valkey&CacheNodeType=cache.t4g.micro&NumCacheNodes=1",
	"memcached with a token":    "Action=CreateCacheCluster&CacheClusterId=x&Engine=memcached&CacheNodeType=cache.t4g.micro&NumCacheNodes=1&AuthToken=" + token,
	"engine of a replica":       "Action=CreateCacheCluster&CacheClusterId=x&ReplicationGroupId=g&Engine=memcached&NumCacheNodes=3",
	"parameters of another one": "Action=CreateCacheCluster&CacheClusterId=x&Engine=redis&CacheNodeType=cache.t4g.micro&NumCacheNodes=1&CacheParameterGroupName=default.memcached1.6",
	"node that is not there":    "Action=RebootCacheCluster&CacheClusterId=g-001&CacheNodeIdsToReboot.CacheNodeId.1=0002",
	"reset of all and some":     "Action=ResetCacheParameterGroup&CacheParameterGroupName=default.redis7&ResetAllParameters=true&ParameterNameValues.ParameterNameValue.1.ParameterName=timeout",
	"default group changed":     "Action=ModifyCacheParameterGroup&CacheParameterGroupName=default.redis7&ParameterNameValues.ParameterNameValue.1.ParameterName=timeout&ParameterNameValues.ParameterNameValue.1.ParameterValue=9",
}

// abuse sends an action each parameter in each wrong way.
func (r *raw) abuse(t *testing.T, s api.Service, op api.Operation) {
	base := base(s, op)
	for i, f := range op.Input.Fields {
		tag := op.Input.Type.Field(i).Tag
		name := parameter(s, f)
		wrong := func(value string) url.Values { return with(base, name, value) }
		if tag.Get("required") == "true" {
			missing := clone(base)
			missing.Del(name)
			r.expect(t, s, missing, f.In)
			if f.Kind != shape.List {
				r.expect(t, s, wrong(""), f.In)
			}
		}
		switch f.Kind {
		case shape.Int, shape.Float, shape.Bool, shape.Time:
			r.expect(t, s, wrong("wrong"), f.In)
			r.expect(t, s, wrong("99999999999999999999999"), f.In)
		case shape.String:
			if f.Enumerated() {
				r.expect(t, s, wrong("no-such-value"), f.In)
			}
			r.send(t, s, wrong(strings.Repeat("x", 100_000)))
			r.send(t, s, wrong("\x00\xff<&>\"' \U0001F980"))
		case shape.Secret:
			r.send(t, s, wrong(strings.Repeat("x", 100_000)))
		}
		// A name that goes on where it should end, or ends where it should go on.
		r.send(t, s, with(base, name+".1.2.3", "x"))
		r.send(t, s, with(base, f.In, "x"))
	}
	r.send(t, s, with(base, "NoSuchParameter", "x"))
	r.send(t, s, with(base, strings.Repeat("Tags.", 2000), "x"))
}

// base has all required parameters, of things that do not exist.
func base(s api.Service, op api.Operation) url.Values {
	form := url.Values{"Action": {op.Name}}
	for i, f := range op.Input.Fields {
		tag := op.Input.Type.Field(i).Tag
		if tag.Get("required") != "true" {
			continue
		}
		value := "nosuch"
		switch {
		case f.Kind == shape.Int:
			value = "1"
		case f.Kind == shape.Bool:
			value = "true"
		case f.Enumerated():
			value, _, _ = strings.Cut(tag.Get("enum"), "|")
		}
		form.Set(parameter(s, f), value)
	}
	for name, values := range harmless[op.Name] {
		form[name] = values
	}
	return form
}

// parameter is what a value of the member is called in a form.
func parameter(s api.Service, f shape.Field) string {
	switch {
	case f.Kind != shape.List:
		return f.In
	case s.Protocol == api.EC2:
		return f.In + ".1"
	default:
		return f.In + "." + f.Item + ".1"
	}
}

func clone(form url.Values) url.Values {
	out := url.Values{}
	for k, v := range form {
		out[k] = v
	}
	return out
}

func with(form url.Values, name, value string) url.Values {
	out := clone(form)
	out.Set(name, value)
	return out
}

// raw sends signed requests that no SDK would make.
type raw struct {
	d    *harness.Deployment
	sent int
}

var (
	messageElement = regexp.MustCompile(`(?s)<Message>(.*?)</Message>`)
	requestElement = regexp.MustCompile(`<(RequestId|requestId)>.*?</`)
)

// send gives the status and the body of the answer, which is never the server's
// fault.
func (r *raw) send(t testing.TB, s api.Service, form url.Values) (int, string) {
	t.Helper()
	form = with(form, "Version", s.Version)
	r.sent++
	status, body, err := r.do(t.Context(), s.Name, form.Encode())
	must(t, err)
	if status >= 500 {
		t.Errorf("%.300s: %d %s", form.Encode(), status, body)
	}
	return status, body
}

// expect wants a refusal that names a parameter.
func (r *raw) expect(t testing.TB, s api.Service, form url.Values, names string) {
	t.Helper()
	status, body := r.send(t, s, form)
	message := messageElement.FindStringSubmatch(body)
	switch {
	case status < 400:
		t.Errorf("%.300s was taken", form.Encode())
	case message == nil || strings.TrimSpace(message[1]) == "":
		t.Errorf("%.300s: no message: %s", form.Encode(), body)
	case !strings.Contains(strings.ToLower(message[1]), strings.ToLower(names)):
		t.Errorf("%.300s: %q does not name %s", form.Encode(), message[1], names)
	}
}

func (r *raw) do(ctx context.Context, service, body string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.d.Endpoint+"/", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	hash := sha256.Sum256([]byte(body))
	keys := aws.Credentials{AccessKeyID: r.d.Credentials["AWS_ACCESS_KEY_ID"], SecretAccessKey: r.d.Credentials["AWS_SECRET_ACCESS_KEY"]}
	if err := v4.NewSigner().SignHTTP(ctx, keys, req, hex.EncodeToString(hash[:]), service, "us-east-1", time.Now()); err != nil {
		return 0, "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	return res.StatusCode, string(answer), err
}

// everything is all that the API shows.
func (r *raw) everything(t testing.TB) string {
	t.Helper()
	var all bytes.Buffer
	for _, ask := range []struct{ service, version, action string }{
		{"elasticache", "2015-02-02", "DescribeReplicationGroups"},
		{"elasticache", "2015-02-02", "DescribeCacheClusters"},
		{"elasticache", "2015-02-02", "DescribeCacheParameterGroups"},
		{"elasticache", "2015-02-02", "DescribeCacheSubnetGroups"},
		{"ec2", "2016-11-15", "DescribeSecurityGroups"},
		{"ec2", "2016-11-15", "DescribeVpcs"},
		{"ec2", "2016-11-15", "DescribeSubnets"},
		{"ec2", "2016-11-15", "DescribeTags"},
	} {
		status, body, err := r.do(t.Context(), ask.service, "Action="+ask.action+"&Version="+ask.version)
		must(t, err)
		if status != http.StatusOK {
			t.Fatalf("%s: %d %s", ask.action, status, body)
		}
		fmt.Fprintf(&all, "%s\n", requestElement.ReplaceAllString(body, ""))
	}
	return all.String()
}

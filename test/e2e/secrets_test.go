package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"

	"github.com/larder-cache/larder/internal/seal"
	"github.com/larder-cache/larder/test/harness"
)

// TestNoSecretInClear looks, after a life with tokens, for secrets everywhere
// where somebody else may look too.
func TestNoSecretInClear(t *testing.T) {
	t.Parallel()
	var log safeBuffer
	d := harness.In(t, harness.Options{Args: []string{"--log-level", "debug"}, Log: &log})
	answers := live(t, d)

	secrets := secretsOf(t, d)
	places := files(t, d.Dir)
	for _, pid := range d.Processes() {
		for _, name := range []string{"cmdline", "environ"} {
			content, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), name)) // unless it has ended
			places[name+" of a process"] = append(places[name+" of a process"], content...)
		}
	}
	status, err := d.Larder(t.Context(), "status", "-o", "json")
	must(t, err)
	places["larder status"], places["API"], places["server log"] = []byte(status), answers, log.bytes()
	for _, place := range []string{"server log", "API", "cmdline of a process"} {
		if len(places[place]) < 300 {
			t.Errorf("%s holds only %q", place, places[place])
		}
	}
	for place, content := range places {
		for what, secret := range secrets {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s: %s", place, what)
			}
		}
	}
}

// live goes through all that handles secrets and gives the API's answers.
func live(t testing.TB, d *harness.Deployment) []byte {
	t.Helper()
	ctx := t.Context()
	var answers recorder
	api := elasticache.New(d.ElastiCache().Options(), func(o *elasticache.Options) { o.HTTPClient = &answers })
	group(t, d, "g", 2, func(in *elasticache.CreateReplicationGroupInput) { secured(in); failover(in) })
	for _, strategy := range []types.AuthTokenUpdateStrategyType{types.AuthTokenUpdateStrategyTypeRotate, types.AuthTokenUpdateStrategyTypeSet} {
		_, err := api.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
			ReplicationGroupId: aws.String("g"), AuthToken: aws.String(second), AuthTokenUpdateStrategy: strategy, ApplyImmediately: aws.Bool(true),
		})
		must(t, err)
		available(t, d, "g")
	}
	// Refusals quote what they refuse.
	_, err := api.ModifyReplicationGroup(ctx, &elasticache.ModifyReplicationGroupInput{
		ReplicationGroupId: aws.String("g"), AuthToken: aws.String(refusedToken), AuthTokenUpdateStrategy: types.AuthTokenUpdateStrategyTypeRotate, ApplyImmediately: aws.Bool(true),
	})
	if err == nil {
		t.Error("a token with a space was taken")
	}
	must(t, ping(ctx, primaryAddr(available(t, d, "g")), second, trust(t, d)))
	g := available(t, d, "g")
	awaitRestart(t, d, member(g, "primary")+"/0001", killNode(t, d, member(g, "primary")+"/0001"))
	d.Kill()
	must(t, d.Start(ctx))
	available(t, d, "g")

	api = elasticache.New(d.ElastiCache().Options(), func(o *elasticache.Options) { o.HTTPClient = &answers })
	_, err = api.DescribeReplicationGroups(ctx, &elasticache.DescribeReplicationGroupsInput{})
	must(t, err)
	_, err = api.DescribeCacheClusters(ctx, &elasticache.DescribeCacheClustersInput{ShowCacheNodeInfo: aws.Bool(true)})
	must(t, err)
	_, err = api.DescribeEvents(ctx, &elasticache.DescribeEventsInput{Duration: aws.Int32(60)})
	must(t, err)
	return answers.log.bytes()
}

const refusedToken = "c-token 0123456789"

// secretsOf are the forms in which a secret of the deployment could be found.
func secretsOf(t testing.TB, d *harness.Deployment) map[string]string {
	t.Helper()
	secrets := map[string]string{
		"the refused token":   refusedToken,
		"a private key":       "PRIVATE KEY-----",
		"the access key":      d.Credentials["AWS_SECRET_ACCESS_KEY"],
		"the access key, hex": hex.EncodeToString([]byte(d.Credentials["AWS_SECRET_ACCESS_KEY"])),
	}
	for _, token := range []string{token, second} {
		digest := sha256.Sum256([]byte(token))
		secrets["token "+token] = token
		secrets["token "+token+", base64"] = strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(token)), "=")[:20]
		secrets["digest of "+token] = hex.EncodeToString(digest[:])
	}
	ring, err := seal.Open(d.DataDir)
	must(t, err)
	nodes, err := os.ReadDir(filepath.Join(d.DataDir, "nodes"))
	must(t, err)
	for _, n := range nodes {
		secrets["the engine's admin password of "+n.Name()] = ring.Derive("admin", n.Name()).Reveal()
	}
	for what, secret := range secrets {
		if len(secret) < 16 {
			t.Fatalf("%s is %q, too short to be looked for", what, secret)
		}
	}
	return secrets
}

// files are the contents of all regular files below a directory.
func files(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		all[path] = content
		if info, infoErr := e.Info(); infoErr == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %v", path, info.Mode())
		}
		return err
	}))
	if len(all) < 5 {
		t.Errorf("only %d files were found", len(all))
	}
	return all
}

// recorder is an HTTP client that keeps the bodies of all answers.
type recorder struct{ log safeBuffer }

// Do implements the client of the AWS SDK.
func (r *recorder) Do(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	_, _ = r.log.Write(body)
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, err
}

// safeBuffer may be written to by several at once.
type safeBuffer struct {
	mu sync.Mutex
	b  []byte
}

// Write implements io.Writer.
func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b = append(s.b, p...)
	return len(p), nil
}

func (s *safeBuffer) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.b)
}

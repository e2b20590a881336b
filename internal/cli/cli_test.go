package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/admin"
	"github.com/larder-cache/larder/internal/aws/gateway"
	"github.com/larder-cache/larder/internal/config"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/internal/seal"
	"github.com/larder-cache/larder/internal/store/storetest"
)

// line is one command line under test.
type line struct {
	args []string
	env  map[string]string
	exec func(name string, argv, environ []string) error
	tool func(ctx context.Context, name string, args ...string) error
	app  App
	// terminal pretends that the output is one.
	terminal bool
	out      io.Writer
	clock    core.Clock
}

// run returns exit code, standard output and standard error.
func (l line) run(ctx context.Context) (code int, stdout, stderr string) {
	var out, errOut bytes.Buffer
	p := Process{
		Args: l.args, Out: &out, Err: &errOut, Interactive: l.terminal,
		Env:  config.Environment{Get: func(name string) string { return l.env[name] }, UID: 1000},
		Exec: l.exec, Run: l.tool, Clock: core.SystemClock{},
	}
	for k, v := range l.env {
		p.Environ = append(p.Environ, k+"="+v)
	}
	slices.Sort(p.Environ)
	if l.out != nil {
		p.Out = l.out
	}
	if l.clock != nil {
		p.Clock = l.clock
	}
	code = Run(ctx, p, l.app)
	return code, out.String(), errOut.String()
}

type noEngines struct{}

func (noEngines) Replication(context.Context, string) (runtime.Replication, error) {
	return runtime.Replication{}, errors.New("no engine")
}

func (noEngines) Listening(string) runtime.Listening { return runtime.Listening{Open: true} }

func (noEngines) InstanceSpace(runtime.Instance) (namespace, resolver string) { return "", "" }

// serve runs the admin API on a data directory, as a server would leave it.
func serve(t *testing.T) (dataDir, url string) {
	t.Helper()
	dataDir = t.TempDir()
	ring, err := seal.Open(dataDir)
	if err != nil {
		t.Fatal(err)
	}
	st := storetest.New(t)
	keys := admin.NewKeys(st, ring, core.SystemClock{}, "000000000000")
	root, err := keys.EnsureRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	server := admin.NewServer(admin.Config{
		Store: st, Keys: keys, Live: noEngines{}, Clock: core.SystemClock{}, Version: "v1", Account: "000000000000", Fabric: "userspace", Log: log,
		Names:         admin.NamesConfig{Domain: "d.test", Listen: netip.MustParseAddrPort("127.0.0.1:4553")},
		ClusterStatus: func(*resource.CacheCluster) string { return "" },
		GroupStatus:   func(*resource.ReplicationGroup) string { return "" },
	})
	front := httptest.NewServer(gateway.New(gateway.Config{
		Account: "000000000000", Keys: keys, Clock: core.SystemClock{}, Log: log, Extra: server.Handlers(),
	}))
	t.Cleanup(front.Close)
	file := admin.ClientFile{Endpoint: front.URL, Region: "eu-west-1", AccessKeyID: root.ID, Secret: root.Secret}
	if err := file.Write(dataDir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dataDir, admin.AuthorityFile), authorityPEM(t), 0o600); err != nil {
		t.Fatal(err)
	}
	return dataDir, front.URL
}

func authorityPEM(t *testing.T) []byte {
	t.Helper()
	pem, err := os.ReadFile("testdata/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	return pem
}

// variables are what `larder env` of a data directory says.
func variables(t *testing.T, dataDir string) map[string]string {
	t.Helper()
	code, out, errOut := line{args: []string{"env", "--data-dir", dataDir, "--format", "json"}}.run(t.Context())
	if code != 0 {
		t.Fatal(errOut)
	}
	vars := map[string]string{}
	if err := json.Unmarshal([]byte(out), &vars); err != nil {
		t.Fatal(err)
	}
	return vars
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		args []string
		env  map[string]string
		code int
		want string
	}{
		{"unknown command", []string{"sevre"}, nil, exitUsage, `unknown command "sevre"; see larder --help`},
		{"unknown command of keys", []string{"keys", "make"}, nil, exitUsage, `unknown command "make"; see larder keys --help`},
		{"unknown flag", []string{"serve", "--lisen=x"}, nil, exitUsage, "unknown flag: --lisen; see larder serve --help"},
		{"argument too many", []string{"serve", "now"}, nil, exitUsage, "larder serve takes no argument"},
		{"bad configuration", []string{"serve", "--listen=0.0.0.0:1"}, nil, exitUsage, "add --tls, or --insecure-listen"},
		{"bad variable", []string{"down"}, map[string]string{"LARDER_REGION": "mars"}, exitUsage, "region"},
		{"no server yet", []string{"status", "--data-dir=/nonexistent"}, nil, exitFailed, "start one with larder serve"},
		{"no server yet for env", []string{"env", "--data-dir=/nonexistent"}, nil, exitFailed, "start one with larder serve"},
		{"no server yet for ca", []string{"ca", "--data-dir=/nonexistent"}, nil, exitFailed, "start one with larder serve"},
		{"no server yet for aws", []string{"aws", "--data-dir", "/nonexistent", "sts", "x"}, nil, exitFailed, "start one with larder serve"},
		{"format", []string{"env", "--format=csh"}, nil, exitUsage, "none of sh, json, fish"},
		{"output", []string{"status", "--output=xml"}, nil, exitUsage, "neither table nor json"},
		{"create without name", []string{"keys", "create"}, nil, exitUsage, "exactly one NAME"},
		{"revoke without id", []string{"keys", "revoke"}, nil, exitUsage, "exactly one ID"},
		{"endpoint without keys", []string{"status", "--endpoint=http://127.0.0.1:1"}, nil, exitUsage, "AWS_ACCESS_KEY_ID"},
		{"endpoint that is none", []string{"status", "--endpoint=localhost"}, keyVariables, exitUsage, "not an http or https URL"},
		{"nobody there", []string{"status", "--endpoint=http://127.0.0.1:1"}, keyVariables, exitFailed, "no server answers at http://127.0.0.1:1: start it with larder serve"},
		{"missing authority", []string{"status", "--endpoint=https://127.0.0.1:1"}, withCA("/nonexistent.pem"), exitFailed, "/nonexistent.pem"},
		{"two servers", []string{"status", "--data-dir=/d", "--endpoint=http://h:1"}, keyVariables, exitUsage, "give one of them"},
		{"two servers for ca", []string{"ca", "--data-dir=/d", "--endpoint=http://h:1"}, keyVariables, exitUsage, "give one of them"},
		{"relay without socket", []string{"relay"}, nil, exitFailed, "socket"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			code, out, errOut := line{args: c.args, env: c.env}.run(t.Context())
			if code != c.code || !strings.Contains(errOut, c.want) {
				t.Errorf("exit code %d, %q; want %d with %q", code, errOut, c.code, c.want)
			}
			if out != "" || strings.Count(errOut, "\n") != 1 || !strings.HasPrefix(errOut, "larder: ") {
				t.Errorf("an error is one line on standard error: %q and %q", out, errOut)
			}
		})
	}
}

var keyVariables = map[string]string{"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "us-east-1"}

func withCA(file string) map[string]string {
	out := map[string]string{"LARDER_CA_FILE": file}
	for k, v := range keyVariables {
		out[k] = v
	}
	return out
}

func TestHelpNamesEveryCommand(t *testing.T) {
	t.Parallel()
	code, out, _ := line{args: []string{"--help"}}.run(t.Context())
	for _, name := range []string{"serve", "down", "env", "status", "keys", "ca", "aws", "version", "completion"} {
		if !strings.Contains(out, "\n  "+name+" ") {
			t.Errorf("help does not name %s", name)
		}
	}
	if code != 0 || strings.Contains(out, "relay") {
		t.Errorf("code %d, help:\n%s", code, out)
	}
	if code, out, _ := (line{args: []string{"completion", "bash"}}).run(t.Context()); code != 0 || !strings.Contains(out, "larder") {
		t.Error("no completion")
	}
	if code, out, _ := (line{args: []string{"version"}}).run(t.Context()); code != 0 || !strings.HasPrefix(out, "larder ") {
		t.Errorf("version says %q", out)
	}
}

func TestLongRunningCommandsGetTheirConfiguration(t *testing.T) {
	t.Parallel()
	var served, downed config.Config
	var socket string
	app := App{
		Serve: func(_ context.Context, cfg config.Config, out io.Writer, log *slog.Logger) error {
			served = cfg
			log.Info("to the log")
			_, err := io.WriteString(out, "ready\n")
			return err
		},
		Down: func(_ context.Context, cfg config.Config) error { downed = cfg; return errors.New("two\nlines") },
		Relay: func(_ context.Context, path string, _ *slog.Logger) error {
			socket = path
			return nil
		},
	}
	env := map[string]string{"LARDER_ACCOUNT": "111111111111"}
	code, out, errOut := line{args: []string{"serve", "--data-dir=/d", "--log-format=json"}, env: env, app: app}.run(t.Context())
	if code != 0 || served.DataDir != "/d" || served.Account != "111111111111" {
		t.Errorf("code %d, %+v", code, served)
	}
	if out != "ready\n" || !json.Valid([]byte(errOut)) {
		t.Errorf("output %q, log %q", out, errOut)
	}
	code, _, errOut = line{args: []string{"down", "--data-dir=/e"}, app: app}.run(t.Context())
	if code != exitFailed || errOut != "larder: two lines\n" || downed.DataDir != "/e" || downed.RunDir == "" {
		t.Errorf("code %d, %q, %+v", code, errOut, downed)
	}
	if code, _, _ := (line{args: []string{"relay", "--socket=/s"}, app: app}).run(t.Context()); code != 0 || socket != "/s" {
		t.Errorf("code %d, socket %s", code, socket)
	}
}

func TestEnvIsReadByShells(t *testing.T) {
	t.Parallel()
	dir, url := serve(t)
	vars := variables(t, dir)
	if vars["AWS_ENDPOINT_URL"] != url || vars["AWS_REGION"] != "eu-west-1" || vars["AWS_DEFAULT_REGION"] != "eu-west-1" ||
		len(vars["AWS_SECRET_ACCESS_KEY"]) != 40 || vars["LARDER_CA_FILE"] != filepath.Join(dir, "ca.pem") ||
		vars["LARDER_DATA_DIR"] != dir {
		t.Errorf("got %v", vars)
	}
	if _, ok := vars["AWS_CA_BUNDLE"]; ok {
		t.Error("AWS_CA_BUNDLE would cut clients off from everything else")
	}
	_, exports, _ := line{args: []string{"env", "--data-dir", dir}}.run(t.Context())
	cmd := exec.Command("sh", "-euc", `eval "$1"; printf %s "$AWS_SECRET_ACCESS_KEY ${AWS_SESSION_TOKEN-none}"`, "sh", exports)
	cmd.Env = append(os.Environ(), "AWS_SESSION_TOKEN=stale")
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != vars["AWS_SECRET_ACCESS_KEY"]+" none" {
		t.Errorf("a shell sees %q, %v", out, err)
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	odd := []variable{{"A", `it's a "$HOME" \ back`}}
	for format, want := range map[string]string{
		"sh":   `export A='it'\''s a "$HOME" \ back'`,
		"fish": `set -gx A 'it\'s a "$HOME" \\ back'`,
		"json": `  "A": "it's a \"$HOME\" \\ back"`,
	} {
		var out bytes.Buffer
		if err := formats[format](&out, odd); err != nil || !strings.Contains(out.String(), want+"\n") {
			t.Errorf("%s: %s, %v", format, out.String(), err)
		}
	}
}

func TestTLSEndpointsNeedTheirAuthority(t *testing.T) {
	t.Parallel()
	vars := clientVariables(admin.Access{Endpoint: "https://h:1"}, "/ca.pem")
	if !slices.Contains(vars, variable{"AWS_CA_BUNDLE", "/ca.pem"}) {
		t.Errorf("got %v", vars)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	dir, url := serve(t)
	code, out, errOut := line{args: []string{"keys", "create", "ci", "--data-dir", dir}}.run(t.Context())
	var key admin.Key
	if err := json.Unmarshal([]byte(out), &key); code != 0 || err != nil {
		t.Fatal(code, errOut, err)
	}
	// The new key works from anywhere, with the usual variables.
	env := map[string]string{
		"AWS_ACCESS_KEY_ID": key.ID, "AWS_SECRET_ACCESS_KEY": key.Secret, "AWS_DEFAULT_REGION": "us-east-1", "LARDER_ENDPOINT": url,
	}
	code, out, errOut = line{args: []string{"keys", "list"}, env: env}.run(t.Context())
	if code != 0 || !strings.Contains(out, key.ID) || strings.Contains(out, key.Secret) {
		t.Errorf("code %d, %q, %q", code, out, errOut)
	}
	code, _, errOut = line{args: []string{"keys", "revoke", key.ID}, env: env}.run(t.Context())
	if code != exitFailed || !strings.Contains(errOut, "Only the root key") {
		t.Errorf("code %d, %q", code, errOut)
	}
	code, _, errOut = line{args: []string{"keys", "revoke", key.ID, "--data-dir", dir}}.run(t.Context())
	if code != 0 {
		t.Errorf("code %d, %q", code, errOut)
	}
	if code, _, _ = (line{args: []string{"status"}, env: env}).run(t.Context()); code != exitFailed {
		t.Error("a revoked key still works")
	}
	// A data directory on the command line wins over the URL in the environment.
	if code, _, errOut = (line{args: []string{"status", "--data-dir", dir}, env: env}).run(t.Context()); code != 0 {
		t.Errorf("code %d, %q", code, errOut)
	}
}

func TestCA(t *testing.T) {
	t.Parallel()
	dir, url := serve(t)
	code, out, errOut := line{args: []string{"ca", "--data-dir", dir}}.run(t.Context())
	if code != 0 || out != string(authorityPEM(t)) {
		t.Errorf("code %d, %q, %q", code, out, errOut)
	}
	// Through the API, whose store has none in this test.
	code, _, errOut = line{args: []string{"ca", "--endpoint", url}, env: variables(t, dir)}.run(t.Context())
	if code != exitFailed || !strings.Contains(errOut, "no certificate authority") {
		t.Errorf("code %d, %q", code, errOut)
	}
}

func TestStatusOfAnEmptyServer(t *testing.T) {
	t.Parallel()
	dir, _ := serve(t)
	code, out, errOut := line{args: []string{"status", "--data-dir", dir}}.run(t.Context())
	if code != 0 || out != "larder v1, account 000000000000, userspace fabric: 0 caches, 0 nodes\n" {
		t.Errorf("code %d, %q, %q", code, out, errOut)
	}
	code, out, _ = line{args: []string{"status", "--data-dir", dir, "-o", "json"}}.run(t.Context())
	var s admin.Status
	if err := json.Unmarshal([]byte(out), &s); code != 0 || err != nil || s.Version != "v1" || s.Caches == nil {
		t.Errorf("code %d, %q, %v", code, out, err)
	}
}

// pages is an output that says how many screens it has got.
type pages struct {
	mu     sync.Mutex
	count  int
	text   string
	enough func()
}

func (p *pages) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	p.text += string(b)
	if p.count == 3 {
		p.enough()
	}
	return len(b), nil
}

// eager is a clock on which no wait takes time.
type eager struct{ core.SystemClock }

func (eager) After(time.Duration) <-chan time.Time {
	c := make(chan time.Time, 1)
	c <- time.Time{}
	return c
}

func TestWatchRefreshesUntilInterrupted(t *testing.T) {
	t.Parallel()
	dir, _ := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &pages{enough: cancel}
	code, _, errOut := line{args: []string{"status", "--data-dir", dir, "--watch"}, out: out, terminal: true, clock: eager{}}.run(ctx)
	if code != 0 || errOut != "" {
		t.Errorf("an interrupt is no error: code %d, %q", code, errOut)
	}
	if n := strings.Count(out.text, clearScreen+"larder v1"); n != 3 {
		t.Errorf("got %d screens:\n%q", n, out.text)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	used, clients := int64(1536*1024), 3
	s := admin.Status{Version: "v1", Account: "000000000000", Fabric: "kernel", Troubles: []admin.Trouble{{At: time.Unix(0, 0).UTC(), Text: "odd rules"}}, Caches: []admin.Cache{{
		Region: "us-east-1", ID: "rg", Kind: "replication-group", Status: "available", Engine: "redis", EngineVersion: "7.1.0",
		NodeType: "cache.t4g.micro", TLS: "required", Auth: "optional",
		Notice:    "AUTH optional: unauthenticated clients are still admitted; SET closes it",
		Endpoints: []admin.Endpoint{{Name: "primary", Address: "127.10.0.4:6379"}, {Name: "reader", Address: "127.10.0.5:6379"}},
		Nodes: []admin.Node{
			{
				ID: "rg-001/0001", Phase: "running", Role: "primary", Address: "127.10.0.6:6379", Binary: "redis-server",
				BinaryVersion: "7.0.15", UsedMemory: &used, Clients: &clients, MaxClients: 65000,
			},
			{ID: "rg-002/0001", Phase: "failed", Address: "127.10.0.7:6379", Message: "address taken"},
		},
	}}}
	var out bytes.Buffer
	if err := writeTable(&out, s); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/status.txt")
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("got:\n%swant:\n%s", out.String(), want)
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536 << 20: "1.5 GiB"} {
		if got := memory(&bytes); got != want {
			t.Errorf("%d: got %s, want %s", bytes, got, want)
		}
	}
	if memory(nil) != "-" {
		t.Error("an unknown amount must show as -")
	}
}

func TestAWSIsRunWithTheServersCredentials(t *testing.T) {
	dir, url := serve(t)
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "aws"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	var name string
	var argv, environ []string
	l := line{
		args: []string{"aws", "--data-dir", dir, "--debug", "elasticache", "describe-events", "--endpoint", "theirs"},
		env: map[string]string{
			"AWS_PROFILE": "work", "AWS_SESSION_TOKEN": "stale", "AWS_ACCESS_KEY_ID": "other", "KEEP": "1",
			"AWS_ENDPOINT_URL_ELASTICACHE": "http://elsewhere",
		},
		exec: func(n string, a, e []string) error { name, argv, environ = n, a, e; return nil },
	}
	if code, _, errOut := l.run(t.Context()); code != 0 {
		t.Fatal(errOut)
	}
	if name != filepath.Join(bin, "aws") {
		t.Errorf("ran %s", name)
	}
	if want := []string{"aws", "--endpoint-url", url, "--debug", "elasticache", "describe-events", "--endpoint", "theirs"}; !slices.Equal(argv, want) {
		t.Errorf("arguments %v", argv)
	}
	vars := variables(t, dir)
	for _, want := range []string{"KEEP=1", "AWS_ACCESS_KEY_ID=" + vars["AWS_ACCESS_KEY_ID"], "AWS_REGION=eu-west-1"} {
		if !slices.Contains(environ, want) {
			t.Errorf("%s is missing in %v", want, environ)
		}
	}
	for _, kv := range environ {
		for _, gone := range []string{"AWS_PROFILE=", "AWS_SESSION_TOKEN=", "AWS_ENDPOINT_URL_ELASTICACHE=", "AWS_ACCESS_KEY_ID=other"} {
			if strings.HasPrefix(kv, gone) {
				t.Errorf("%s leads elsewhere", gone)
			}
		}
	}
	t.Setenv("PATH", t.TempDir())
	if code, _, errOut := l.run(t.Context()); code != exitFailed || !strings.Contains(errOut, "not on PATH") {
		t.Errorf("without AWS CLI: code %d, %q", code, errOut)
	}
}

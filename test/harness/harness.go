// Package harness starts deployments of Larder for tests, benchmarks and the
// demonstration: the real binary with a data directory of its own, real engines,
// and the clients that users have. It needs no testing package, so that programs
// can use it too; see In for tests.
package harness

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options of a deployment. The zero value is an ordinary one.
type Options struct {
	// Args are added to `larder serve`.
	Args []string
	// Env is added to the server's environment.
	Env []string
	// Log receives what the server prints; nil keeps the last of it for errors.
	Log io.Writer
	// Fabric is "userspace" or "kernel"; empty is what LARDER_FABRIC says, or
	// "userspace", which is the one that needs no privileges.
	Fabric string
	// Dir is where data and run directories are made; empty: a temporary one.
	Dir string
}

func (o Options) fabric() string {
	switch asked := os.Getenv("LARDER_FABRIC"); {
	case o.Fabric != "":
		return o.Fabric
	case asked != "":
		return asked
	}
	return "userspace"
}

// Deployment is one running Larder.
type Deployment struct {
	Dir, DataDir, RunDir string
	// Endpoint is the URL of the API.
	Endpoint string
	// Credentials are what `larder env` prints.
	Credentials map[string]string

	opts   Options
	slot   *slot
	binary string
	tail   *tail

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
	ended  error // how the server ended, once exited is closed
}

// Launch builds the binary if needed, starts a server and waits until it serves.
func Launch(ctx context.Context, opts Options) (*Deployment, error) {
	binary, err := Binary(ctx)
	if err != nil {
		return nil, err
	}
	t := tenant{Dir: opts.Dir}
	if t.Dir == "" {
		t.Made = true
		if t.Dir, err = os.MkdirTemp("", "larder-"); err != nil {
			return nil, err
		}
	}
	sl, err := takeSlot(ctx, t, opts.fabric())
	if err != nil {
		return nil, err
	}
	d := deploymentIn(t.Dir, sl)
	d.opts, d.binary = opts, binary
	if err := d.Start(ctx); err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

func deploymentIn(dir string, s *slot) *Deployment {
	return &Deployment{Dir: dir, DataDir: filepath.Join(dir, "data"), RunDir: filepath.Join(dir, "run"), slot: s, tail: &tail{}}
}

// Start starts the server of a deployment whose server does not run.
func (d *Deployment) Start(ctx context.Context) error { return d.StartWith(ctx) }

// StartWith starts it with more arguments, which win over those that it has.
func (d *Deployment) StartWith(ctx context.Context, more ...string) error {
	args := append([]string{
		"serve", "--data-dir", d.DataDir, "--run-dir", d.RunDir, "--listen", "127.0.0.1:0",
		"--windows", d.slot.windows(), "--fabric", d.opts.fabric(), "--default-vpc-cidr", d.slot.defaultVPC(d.opts.fabric()),
	}, append(slices.Clone(d.opts.Args), more...)...)
	cmd := exec.Command(d.binary, args...)
	cmd.Env = append(os.Environ(), d.opts.Env...)
	out := io.Writer(d.tail)
	if d.opts.Log != nil {
		out = io.MultiWriter(d.tail, d.opts.Log)
	}
	cmd.Stdout, cmd.Stderr = out, out
	// The server must not get the signals that the terminal sends to a test.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := os.Remove(filepath.Join(d.DataDir, "client.json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		err := cmd.Wait()
		d.mu.Lock()
		d.ended = err
		d.mu.Unlock()
		close(exited)
	}()
	d.mu.Lock()
	d.cmd, d.exited = cmd, exited
	d.mu.Unlock()
	return d.ready(ctx, exited)
}

func (d *Deployment) ready(ctx context.Context, exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if url, err := d.published(); err == nil && serves(ctx, url) {
			d.Endpoint = url
			return d.loadCredentials(ctx)
		}
		select {
		case <-exited:
			return fmt.Errorf("larder serve ended before it was ready:\n%s", d.tail)
		case <-ctx.Done():
			return fmt.Errorf("larder serve was not ready in time:\n%s", d.tail)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// published reads where the server says that it listens.
func (d *Deployment) published() (string, error) {
	b, err := os.ReadFile(filepath.Join(d.DataDir, "client.json"))
	if err != nil {
		return "", err
	}
	var c struct {
		Endpoint string `json:"endpoint"`
	}
	err = json.Unmarshal(b, &c)
	return c.Endpoint, err
}

func serves(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return false
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // only asks whether something answers
	}}
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

func (d *Deployment) loadCredentials(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, d.binary, "env", "--data-dir", d.DataDir, "--format", "json").Output()
	if err != nil {
		return fmt.Errorf("larder env: %w", err)
	}
	d.Credentials = map[string]string{}
	return json.Unmarshal(out, &d.Credentials)
}

// Env is the environment in which AWS's clients find this deployment.
func (d *Deployment) Env() []string {
	env := os.Environ()
	for k, v := range d.Credentials {
		env = append(env, k+"="+v)
	}
	return append(env, "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
}

// Larder runs a command of the binary against this deployment and returns what
// it printed.
func (d *Deployment) Larder(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, d.binary, append(args, "--data-dir", d.DataDir)...)
	return output(cmd)
}

// Exec runs a program inside an instance, where the fabric has insides, and returns
// what it printed.
func (d *Deployment) Exec(ctx context.Context, instance string, args ...string) (string, error) {
	return output(exec.CommandContext(ctx, d.binary, append([]string{"exec", "--data-dir", d.DataDir, instance, "--"}, args...)...))
}

// AWS runs the AWS CLI against this deployment, asking for JSON.
func (d *Deployment) AWS(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "aws", append(args, "--output", "json", "--endpoint-url", d.Endpoint)...)
	cmd.Env = d.Env()
	return output(cmd)
}

func output(cmd *exec.Cmd) (string, error) {
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

// CAs is the pool with the deployment's authority.
func (d *Deployment) CAs() (*x509.CertPool, error) {
	pem, err := os.ReadFile(filepath.Join(d.DataDir, "ca.pem"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("ca.pem holds no certificate")
	}
	return pool, nil
}

// Pid of the server, 0 when it does not run.
func (d *Deployment) Pid() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cmd == nil {
		return 0
	}
	return d.cmd.Process.Pid
}

// Kill ends the server at once, as kill -9 does; engines and relay stay.
func (d *Deployment) Kill() { _ = d.signal(syscall.SIGKILL) }

// Stop ends the server in an orderly way; engines and relay stay.
func (d *Deployment) Stop() { _ = d.signal(syscall.SIGTERM) }

// Interrupt ends the server as Ctrl-C does. The error says that it did not end
// with status 0.
func (d *Deployment) Interrupt() error { return d.signal(syscall.SIGINT) }

// Reconfigure makes other arguments those that Start gives the server.
func (d *Deployment) Reconfigure(args ...string) { d.opts.Args = args }

// Upgrade makes another binary the one that Start and the commands run.
func (d *Deployment) Upgrade(binary string) { d.binary = binary }

func (d *Deployment) signal(s syscall.Signal) error {
	d.mu.Lock()
	cmd, exited := d.cmd, d.exited
	d.cmd = nil
	d.mu.Unlock()
	if cmd == nil {
		return nil
	}
	_ = cmd.Process.Signal(s)
	select {
	case <-exited:
	case <-time.After(20 * time.Second):
		_ = cmd.Process.Kill()
		<-exited
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ended
}

// Output is the last of what the server printed.
func (d *Deployment) Output() string { return d.tail.String() }

// Close takes everything down: server, engines, relay, and the directory if the
// harness made it. Anything that is left behind is an error.
func (d *Deployment) Close() error {
	d.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := output(exec.CommandContext(ctx, d.binary, "down", "--data-dir", d.DataDir, "--run-dir", d.RunDir))
	if d.opts.Dir == "" {
		err = errors.Join(err, os.RemoveAll(d.Dir))
	}
	err = errors.Join(err, d.left())
	if err == nil {
		err = d.slot.let(tenant{})
	}
	d.slot.release()
	return err
}

// tail keeps the last 64 KiB written to it, without the lines about requests that were
// answered well: who waits asks often.
type tail struct {
	mu   sync.Mutex
	b    []byte
	part []byte // of a line
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.part = append(t.part, p...)
	for line := range bytes.Lines(t.part) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		if !bytes.Contains(line, []byte(" msg=request ")) || !bytes.Contains(line, []byte(` code="" `)) {
			t.b = append(t.b, line...)
		}
		t.part = t.part[len(line):]
	}
	if over := len(t.b) - 1<<16; over > 0 {
		t.b = t.b[over:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b) + string(t.part)
}

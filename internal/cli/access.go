package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/larder-cache/larder/internal/admin"
	"github.com/larder-cache/larder/internal/config"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/seal"
)

// target says which server a command is for: that of a data directory, or any
// by its URL and the usual AWS variables.
type target struct {
	p        Process
	flags    *config.Flags
	own      *pflag.FlagSet
	endpoint string
	// dataDir is the data directory once access has found the server there.
	dataDir string
}

// endpointVariable stands for --endpoint.
const endpointVariable = "LARDER_ENDPOINT"

func newTarget(p Process) *target {
	return &target{p: p, flags: config.NewFlags(p.Env)}
}

func (t *target) addTo(fs *pflag.FlagSet) {
	t.own = fs
	t.flags.AddTo(fs, "config", "data-dir")
	fs.StringVar(&t.endpoint, "endpoint", t.p.Env.Get(endpointVariable),
		"`URL` of a server elsewhere, with keys and region from the AWS_* variables")
}

// elsewhere reports whether the server is named by URL. A data directory on the
// command line wins over a URL in the environment.
func (t *target) elsewhere() (bool, error) {
	if !t.own.Changed("data-dir") {
		return t.endpoint != "", nil
	}
	if t.own.Changed("endpoint") {
		return false, usageError{errors.New("--data-dir and --endpoint name two servers: give one of them")}
	}
	return false, nil
}

// access is how the server is reached. caFile is where its authority's
// certificate is, or empty.
func (t *target) access() (a admin.Access, caFile string, err error) {
	elsewhere, err := t.elsewhere()
	switch {
	case err != nil:
	case elsewhere:
		a, caFile, err = t.fromVariables()
	default:
		a, caFile, err = t.fromDataDir()
	}
	if err != nil || caFile == "" {
		return a, caFile, err
	}
	if a.AuthorityPEM, err = os.ReadFile(caFile); err != nil {
		return a, caFile, fmt.Errorf("read the authority's certificate: %w", err)
	}
	return a, caFile, nil
}

func (t *target) fromVariables() (admin.Access, string, error) {
	get := t.p.Env.Get
	a := admin.Access{
		Endpoint:    t.endpoint,
		Region:      first(get("AWS_REGION"), get("AWS_DEFAULT_REGION")),
		AccessKeyID: get("AWS_ACCESS_KEY_ID"),
		Secret:      core.NewSecret(get("AWS_SECRET_ACCESS_KEY")),
	}
	if a.Region == "" || a.AccessKeyID == "" || a.Secret.IsZero() {
		return a, "", usageError{errors.New("--endpoint needs AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION in the environment")}
	}
	return a, first(get("LARDER_CA_FILE"), get("AWS_CA_BUNDLE")), nil
}

func (t *target) fromDataDir() (admin.Access, string, error) {
	cfg, err := t.flags.Load()
	if err != nil {
		return admin.Access{}, "", usageError{err}
	}
	file, err := admin.ReadClientFile(cfg.DataDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return admin.Access{}, "", fmt.Errorf("no server has run with data directory %s: start one with larder serve, or name its directory with --data-dir", cfg.DataDir)
	case errors.Is(err, fs.ErrPermission):
		return admin.Access{}, "", fmt.Errorf("data directory %s belongs to another user: run this as the user of larder serve", cfg.DataDir)
	case err != nil:
		return admin.Access{}, "", err
	}
	ring, err := seal.Open(cfg.DataDir)
	if err != nil {
		return admin.Access{}, "", err
	}
	secret, err := ring.Unseal(file.Secret)
	if err != nil {
		return admin.Access{}, "", fmt.Errorf("credentials in %s: %w", cfg.DataDir, err)
	}
	t.dataDir = cfg.DataDir
	ca := filepath.Join(cfg.DataDir, admin.AuthorityFile)
	if _, err := os.Stat(ca); err != nil {
		ca = ""
	}
	return admin.Access{
		Endpoint: file.Endpoint, Region: file.Region, AccessKeyID: file.AccessKeyID, Secret: secret,
	}, ca, nil
}

// asking makes of a command one exchange with the server, which its flags name.
func asking(p Process, cmd *cobra.Command, exchange func(ctx context.Context, c *admin.Client, args []string) error) {
	t := newTarget(p)
	t.addTo(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return t.call(cmd.Context(), func(ctx context.Context, c *admin.Client) error { return exchange(ctx, c, args) })
	}
}

// call runs one exchange with the server.
func (t *target) call(ctx context.Context, fn func(context.Context, *admin.Client) error) error {
	client, err := t.client()
	if err != nil {
		return err
	}
	return t.explain(fn(ctx, client))
}

func (t *target) client() (*admin.Client, error) {
	a, _, err := t.access()
	if err != nil {
		return nil, err
	}
	client, err := admin.NewClient(a, t.p.Clock)
	if err != nil {
		return nil, usageError{fmt.Errorf("endpoint: %w", err)}
	}
	return client, nil
}

// explain says what to do about an error of an exchange.
func (t *target) explain(err error) error {
	var u *url.Error
	if !errors.As(err, &u) {
		return err
	}
	server := u.URL
	if parsed, err := url.Parse(u.URL); err == nil {
		server = parsed.Scheme + "://" + parsed.Host
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("no server answers at %s: start it with larder serve", server)
	}
	if dns := (&net.DNSError{}); errors.As(err, &dns) {
		return fmt.Errorf("no host %s: check --endpoint", dns.Name)
	}
	if unknown := (x509.UnknownAuthorityError{}); errors.As(err, &unknown) {
		return fmt.Errorf("%s has a certificate of an unknown authority: name the authority's file in LARDER_CA_FILE", server)
	}
	return fmt.Errorf("%s: %w", server, u.Err)
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

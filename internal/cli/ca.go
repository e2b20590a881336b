package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/admin"
)

func newCA(p Process) *cobra.Command {
	t := newTarget(p)
	cmd := &cobra.Command{
		Use:     "ca",
		Short:   "Print the certificate that TLS clients of the caches have to trust",
		Example: `  larder ca > ca.pem && redis-cli --tls --cacert ca.pem -h HOST ping`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			pem, err := t.authority(cmd.Context())
			if err != nil {
				return err
			}
			_, err = io.WriteString(p.Out, pem)
			return err
		},
	}
	t.addTo(cmd.Flags())
	return cmd
}

// authority is the certificate of the authority: with a data directory no
// server has to run.
func (t *target) authority(ctx context.Context) (string, error) {
	elsewhere, err := t.elsewhere()
	if err != nil {
		return "", err
	}
	if elsewhere {
		var out admin.Authority
		err = t.call(ctx, func(ctx context.Context, c *admin.Client) (err error) {
			out, err = c.Authority(ctx)
			return err
		})
		return out.CertificatePEM, err
	}
	cfg, err := t.flags.Load()
	if err != nil {
		return "", usageError{err}
	}
	pem, err := os.ReadFile(filepath.Join(cfg.DataDir, admin.AuthorityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("no server has run with data directory %s: start one with larder serve, or name its directory with --data-dir", cfg.DataDir)
	}
	if err != nil {
		return "", fmt.Errorf("read the authority's certificate: %w", err)
	}
	return string(pem), nil
}

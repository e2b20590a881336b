package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/admin"
)

func newDNS(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dns",
		Short: "Show the names of endpoints, and make this host resolve them",
		Args:  knownCommand,
		RunE:  help,
	}
	cmd.AddCommand(newDNSStatus(p), newDNSInstall(p), newDNSRemove(p))
	return cmd
}

func newDNSStatus(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the names of endpoints, and who resolves them",
		Args:  noArguments,
	}
	asking(p, cmd, func(ctx context.Context, c *admin.Client, _ []string) error {
		d, err := c.DNS(ctx)
		if err != nil {
			return err
		}
		return writeDNS(p, d)
	})
	return cmd
}

func writeDNS(p Process, d admin.DNS) error {
	resolver := "none: larder serve --dns-listen 127.0.0.1:4553 would answer them"
	if d.Listen != "" {
		resolver = d.Listen
	}
	if d.Trouble != "" {
		resolver += ": " + d.Trouble
	}
	host := "does not resolve them: larder dns install makes it"
	if d.Host != nil {
		host = fmt.Sprintf("%s by %s, %s", d.Host.State, d.Host.Via, d.Host.Path)
		if d.Host.Trouble != "" {
			host += ": " + d.Host.Trouble
		}
	}
	t := tabwriter.NewWriter(p.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(t, "domain\t%s\nresolver\t%s\nthis host\t%s\n", d.Domain, resolver, host)
	for _, n := range d.Names {
		_, _ = fmt.Fprintf(t, "%s\t%s\n", n.Address, n.Name)
	}
	return t.Flush()
}

// The ways in which a host is made to resolve names, as in the admin API.
const (
	viaAuto     = "auto"
	viaResolved = "systemd-resolved"
	viaHosts    = "hosts"
)

// resolvedRun exists while systemd-resolved runs.
const resolvedRun = "/run/systemd/resolve"

func newDNSInstall(p Process) *cobra.Command {
	var via, hosts, resolvedDir string
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Make this host resolve the names of endpoints, and tell clients names from then on",
		Long: `Makes this host resolve the names of endpoints: by systemd-resolved where that runs
and the server answers names (larder serve --dns-listen), or else by a block in the
hosts file, which larder serve keeps up to date. From then on Describe answers with
names, unless the server was started with --endpoint-names=ip.

larder dns remove takes back exactly what was done.`,
		Args: noArguments,
	}
	asking(p, cmd, func(ctx context.Context, c *admin.Client, _ []string) error {
		d, err := c.DNS(ctx)
		if err != nil {
			return err
		}
		if via == viaAuto {
			via = chooseVia(d)
		}
		switch via {
		case viaHosts:
			_, err = c.InstallDNS(ctx, admin.InstallDNS{Via: via, Path: hosts})
		case viaResolved:
			err = installResolved(ctx, p, c, d, filepath.Join(resolvedDir, resolvedFile))
		default:
			err = usageError{fmt.Errorf("--via %q is none of %s, %s, %s", via, viaAuto, viaResolved, viaHosts)}
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.Out, "this host resolves names of %s by %s\n", d.Domain, via)
		return err
	})
	cmd.Flags().StringVar(&via, "via", viaAuto, "`auto|systemd-resolved|hosts`")
	cmd.Flags().StringVar(&hosts, "hosts-file", "/etc/hosts", "hosts `file`")
	cmd.Flags().StringVar(&resolvedDir, "resolved-dir", "/etc/systemd/resolved.conf.d", "`directory` of systemd-resolved's configuration")
	return cmd
}

// chooseVia keeps what is installed, so that installing again is no change.
func chooseVia(d admin.DNS) string {
	if d.Host != nil {
		return d.Host.Via
	}
	if _, err := os.Stat(resolvedRun); err == nil && d.Listen != "" {
		return viaResolved
	}
	return viaHosts
}

func newDNSRemove(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remove",
		Short: "Take back what install has done",
		Args:  noArguments,
	}
	asking(p, cmd, func(ctx context.Context, c *admin.Client, _ []string) error {
		d, err := c.DNS(ctx)
		if err != nil {
			return err
		}
		if d.Host != nil && d.Host.Via == viaResolved {
			if err := removeResolved(ctx, p, d.Host.Path); err != nil {
				return err
			}
		}
		_, err = c.RemoveDNS(ctx)
		return err
	})
	return cmd
}

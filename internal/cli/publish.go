package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/admin"
)

func newPublish(p Process) *cobra.Command {
	var in admin.Publish
	cmd := &cobra.Command{
		Use:   "publish [CACHE]",
		Short: "Let clients from outside reach a cache through an address of this host; without a cache list what is published",
		Long: `Listens on an address of this host and leads whoever connects to a cache: to the
primary of a replication group (to its replicas with --reader), or to a node of a
cache cluster (CLUSTER, or CLUSTER/NODE where there are several).

In the cache's VPC the publication is an interface with an address and security
groups of its own. It reaches the cache exactly when rules let that interface in;
where its clients come from does not count. It goes on while the server is down.

TLS, AUTH and users are the cache's. Its certificate names the cache, not this
host: clients that verify it have to ask for the cache's name.`,
		Example: `  larder publish sessions --listen 192.0.2.10:6379 --security-group sg-0123456789abcdef0
  larder publish
  larder unpublish pub-1a2b3c4d`,
		Args: cobra.MaximumNArgs(1),
	}
	asking(p, cmd, func(ctx context.Context, c *admin.Client, args []string) error {
		if len(args) == 0 {
			return listPublications(ctx, p, c)
		}
		if in.Listen == "" {
			return usageError{errors.New("publish needs --listen IP:PORT")}
		}
		in.Target = args[0]
		return publish(ctx, p, c, in)
	})
	f := cmd.Flags()
	f.StringVar(&in.Listen, "listen", "", "IP:PORT `address` on this host; 0.0.0.0 is each of its addresses")
	f.StringSliceVar(&in.SecurityGroups, "security-group", nil, "`id` of a security group of the VPC that the publication shall be in (default: the VPC's default group)")
	f.BoolVar(&in.Reader, "reader", false, "lead to the replicas of a replication group")
	f.BoolVar(&in.Plaintext, "plaintext", false, "end TLS here: clients speak plaintext though the cache asks for TLS (loopback addresses only)")
	f.BoolVar(&in.Insecure, "insecure", false, "permit --plaintext on an address that others can reach")
	return cmd
}

func newUnpublish(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unpublish ID",
		Short: "Take back what was published; its connections end",
		Args:  oneArgument("ID"),
	}
	asking(p, cmd, func(ctx context.Context, c *admin.Client, args []string) error { return c.Unpublish(ctx, args[0]) })
	return cmd
}

// publish makes a publication, and says what else its clients need.
func publish(ctx context.Context, p Process, c *admin.Client, in admin.Publish) error {
	made, err := c.Publish(ctx, in)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(p.Out, publicationText(made)); err != nil {
		return err
	}
	if made.Plaintext {
		_, _ = fmt.Fprintf(p.Err, "larder: warning: what clients exchange with %s is not encrypted\n", made.Listen)
	}
	why, err := c.Explain(ctx, made.ID, "", 0)
	if err != nil {
		return err
	}
	shut := slices.IndexFunc(why.Nodes, func(v admin.Verdict) bool { return !v.Allowed })
	if shut >= 0 && why.Nodes[shut].Open != "" {
		_, err = fmt.Fprintf(p.Out, "no rule lets it in yet; this would:\n  %s\n", why.Nodes[shut].Open)
	}
	return err
}

func listPublications(ctx context.Context, p Process, c *admin.Client) error {
	all, err := c.Publications(ctx)
	if err != nil {
		return err
	}
	return writePublications(p.Out, all)
}

func writePublications(w io.Writer, all []admin.Publication) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "ID\tLISTENS ON\tLEADS TO\tAS\tGROUPS\tSTATE")
	for _, p := range all {
		state := p.State
		if p.Trouble != "" {
			state += ": " + p.Trouble
		}
		if p.Plaintext {
			state += " (plaintext)"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s in %s\t%s\t%s\n", p.ID, p.Listen, p.Endpoint, p.Address, p.VPC, strings.Join(p.SecurityGroups, " "), state)
	}
	return t.Flush()
}

// publicationText is one line about a publication.
func publicationText(p admin.Publication) string {
	out := fmt.Sprintf("%s listens on %s for %s, as %s in %s  groups %s", p.ID, p.Listen, p.Endpoint, p.Address, p.VPC, strings.Join(p.SecurityGroups, " "))
	switch {
	case p.Trouble != "":
		out += "  " + p.State + ": " + p.Trouble
	case p.State != admin.PublicationOpen:
		out += "  " + p.State
	}
	if p.Plaintext {
		out += "  plaintext"
	}
	return out
}

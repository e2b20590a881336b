package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/admin"
)

func newKeys(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make, list and revoke access keys",
		Args:  knownCommand,
		RunE:  help,
	}
	cmd.AddCommand(newKeysCreate(p), newKeysList(p), newKeysRevoke(p))
	return cmd
}

func newKeysCreate(p Process) *cobra.Command {
	t := newTarget(p)
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make an access key for a user; its secret is shown only now",
		Args:  oneArgument("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.call(cmd.Context(), func(ctx context.Context, c *admin.Client) error {
				key, err := c.CreateKey(ctx, args[0])
				if err != nil {
					return err
				}
				e := json.NewEncoder(p.Out)
				e.SetEscapeHTML(false)
				e.SetIndent("", "  ")
				return e.Encode(key)
			})
		},
	}
	t.addTo(cmd.Flags())
	return cmd
}

func newKeysList(p Process) *cobra.Command {
	t := newTarget(p)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the access keys",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.call(cmd.Context(), func(ctx context.Context, c *admin.Client) error {
				keys, err := c.Keys(ctx)
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(p.Out, 0, 0, 2, ' ', 0)
				_, _ = fmt.Fprintln(w, "ID\tNAME\tCREATED")
				for _, k := range keys {
					_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", k.ID, k.Name, k.Created.Format(time.RFC3339))
				}
				return w.Flush()
			})
		},
	}
	t.addTo(cmd.Flags())
	return cmd
}

func newKeysRevoke(p Process) *cobra.Command {
	t := newTarget(p)
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Revoke an access key; requests signed with it are refused at once",
		Args:  oneArgument("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.call(cmd.Context(), func(ctx context.Context, c *admin.Client) error {
				return c.RevokeKey(ctx, args[0])
			})
		},
	}
	t.addTo(cmd.Flags())
	return cmd
}

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
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make an access key for a user; its secret is shown only now",
		Args:  oneArgument("NAME"),
	}
	asking(p, cmd, func(ctx context.Context, c *admin.Client, args []string) error {
		key, err := c.CreateKey(ctx, args[0])
		if err != nil {
			return err
		}
		e := json.NewEncoder(p.Out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(key)
	})
	return cmd
}

func newKeysList(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the access keys",
		Args:  noArguments,
	}
	asking(p, cmd, func(ctx context.Context, c *admin.Client, _ []string) error {
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
	return cmd
}

func newKeysRevoke(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Revoke an access key; requests signed with it are refused at once",
		Args:  oneArgument("ID"),
	}
	asking(p, cmd, func(ctx context.Context, c *admin.Client, args []string) error {
		return c.RevokeKey(ctx, args[0])
	})
	return cmd
}

package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/admin"
)

func newAttach(p Process) *cobra.Command {
	t := newTarget(p)
	var groups []string
	cmd := &cobra.Command{
		Use:   "attach VPC",
		Short: "Make the host an instance of a VPC, so that its clients reach caches there if rules allow it",
		Args:  oneArgument("VPC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.call(cmd.Context(), func(ctx context.Context, c *admin.Client) error {
				a, err := c.Attach(ctx, args[0], groups)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(p.Out, attachmentText(a))
				return err
			})
		},
	}
	t.addTo(cmd.Flags())
	cmd.Flags().StringSliceVar(&groups, "security-group", nil, "`id` of a security group of the VPC that the host shall be in (default: the VPC's default group)")
	return cmd
}

func newDetach(p Process) *cobra.Command {
	t := newTarget(p)
	cmd := &cobra.Command{
		Use:   "detach VPC",
		Short: "Take the host out of a VPC",
		Args:  oneArgument("VPC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.call(cmd.Context(), func(ctx context.Context, c *admin.Client) error {
				return c.Detach(ctx, args[0])
			})
		},
	}
	t.addTo(cmd.Flags())
	return cmd
}

func attachmentText(a admin.Attachment) string {
	return fmt.Sprintf("host is %s in %s  %s  groups %s", a.Address, a.VPC, a.Region, strings.Join(a.SecurityGroups, " "))
}

package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/admin"
)

func newAttach(p Process) *cobra.Command {
	var groups []string
	cmd := &cobra.Command{
		Use:   "attach VPC",
		Short: "Make the host an instance of a VPC, so that its clients reach caches there if rules allow it",
		Args:  oneArgument("VPC"),
	}
	asking(p, cmd, func(ctx context.Context, c *admin.Client, args []string) error {
		a, err := c.Attach(ctx, args[0], groups)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(p.Out, attachmentText(a))
		return err
	})
	cmd.Flags().StringSliceVar(&groups, "security-group", nil, "`id` of a security group of the VPC that the host shall be in (default: the VPC's default group)")
	return cmd
}

func newDetach(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "detach VPC",
		Short: "Take the host out of a VPC",
		Args:  oneArgument("VPC"),
	}
	asking(p, cmd, func(ctx context.Context, c *admin.Client, args []string) error {
		return c.Detach(ctx, args[0])
	})
	return cmd
}

func attachmentText(a admin.Attachment) string {
	return fmt.Sprintf("host is %s in %s  %s  groups %s", a.Address, a.VPC, a.Region, strings.Join(a.SecurityGroups, " "))
}

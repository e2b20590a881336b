package cli

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/admin"
)

func newExec(p Process) *cobra.Command {
	t := newTarget(p)
	cmd := &cobra.Command{
		Use:   "exec INSTANCE -- COMMAND [ARGUMENT...]",
		Short: "Run a program in an instance: with its network and its resolver, in place of this process",
		Args: func(cmd *cobra.Command, args []string) error {
			if at := cmd.ArgsLenAtDash(); at != 1 || len(args) < 2 {
				return usageError{fmt.Errorf("%s takes an instance, two hyphens and a command; see %s --help", cmd.CommandPath(), cmd.CommandPath())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if elsewhere, err := t.elsewhere(); err != nil || elsewhere {
				return errors.Join(err, usageError{errors.New("exec runs programs on the host of the server: name its --data-dir there")})
			}
			var at admin.Instance
			err := t.call(cmd.Context(), func(ctx context.Context, c *admin.Client) error {
				var err error
				at, err = c.Instance(ctx, args[0])
				return err
			})
			if err != nil {
				return err
			}
			return enter(p, at, args[1:])
		},
	}
	t.addTo(cmd.Flags())
	return cmd
}

// enter becomes a program in an instance. Exit code, signals, terminal and input are
// the program's own then.
func enter(p Process, at admin.Instance, command []string) error {
	switch {
	case at.State != "running" || !at.Reached:
		return fmt.Errorf("instance %s is not running", at.ID)
	case at.Namespace == "":
		return fmt.Errorf("instance %s is no namespace in the userspace fabric, only an address: run the program as it is and have it bind %s, which is %s in %s",
			at.ID, at.Source, at.Address, at.VPC)
	}
	program, err := exec.LookPath(command[0])
	if err != nil {
		return fmt.Errorf("find %s: %w", command[0], err)
	}
	if err := p.Enter(at.Namespace, at.Resolver); err != nil {
		return err
	}
	if err := p.Exec(program, command, p.Environ); err != nil {
		return fmt.Errorf("run %s: %w", program, err)
	}
	return nil
}

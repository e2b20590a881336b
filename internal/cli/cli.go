// Package cli is the command line of Larder. Commands print what was asked for
// on standard output, and on standard error one line that says what to do when
// something is wrong.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/config"
	"github.com/larder-cache/larder/internal/core"
)

// Exit codes.
const (
	exitOK = 0
	// exitFailed: the command could not do its work.
	exitFailed = 1
	// exitUsage: arguments, environment or configuration file are wrong.
	exitUsage = 2
)

// App is what the long-running commands start.
type App struct {
	// Serve runs a server until ctx ends.
	Serve func(ctx context.Context, cfg config.Config, out io.Writer, log *slog.Logger) error
	// Down stops everything that a server left running.
	Down func(ctx context.Context, cfg config.Config) error
	// Relay runs the relay process with its control socket.
	Relay func(ctx context.Context, socket string, log *slog.Logger) error
}

// Process is what a command line has of its process.
type Process struct {
	Args     []string
	Out, Err io.Writer
	// Interactive says that Out is a terminal.
	Interactive bool
	Env         config.Environment
	// Environ are all variables, for Exec.
	Environ []string
	// Exec replaces the process by a program.
	Exec func(name string, argv, environ []string) error
	// Run runs a program to its end; its error says what the program said.
	Run func(ctx context.Context, name string, args ...string) error
	// Enter puts the goroutine into a network namespace, with a resolv.conf of its own
	// unless resolver is empty, for an Exec that follows.
	Enter func(namespace, resolver string) error
	Clock core.Clock
}

// usageError makes the exit code say that the user has to write something else.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Run runs one command line and returns the exit code.
func Run(ctx context.Context, p Process, app App) int {
	root := newRoot(p, app)
	root.SetArgs(p.Args)
	root.SetOut(p.Out)
	root.SetErr(p.Err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	_, _ = fmt.Fprintln(p.Err, "larder: "+oneLine(err))
	if usage := (usageError{}); errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}

func newRoot(p Process, app App) *cobra.Command {
	root := &cobra.Command{
		Use:           "larder",
		Short:         "A self-hosted Amazon ElastiCache",
		Version:       config.Version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          knownCommand,
		RunE:          help,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(
		newServe(p, app), newDown(p, app), newRelay(p, app),
		newEnv(p), newAWS(p), newStatus(p), newExplain(p), newExec(p), newAttach(p), newDetach(p), newPublish(p), newUnpublish(p), newDNS(p), newKeys(p), newCA(p), newVersion(p),
	)
	return root
}

// help is what a command does that only has commands below it.
func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unknown command %q; see %s --help", args[0], cmd.CommandPath())}
	}
	return nil
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no argument %q; see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())}
	}
	return nil
}

func oneArgument(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{fmt.Errorf("%s takes exactly one %s; see %s --help", cmd.CommandPath(), name, cmd.CommandPath())}
		}
		return nil
	}
}

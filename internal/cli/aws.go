package cli

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newAWS(p Process) *cobra.Command {
	return &cobra.Command{
		Use:   "aws [--data-dir DIR | --endpoint URL] ARGUMENTS...",
		Short: "Run the AWS CLI against the server",
		Long: `Runs the AWS CLI with the endpoint, region and keys of the server. Flags of
larder come first; everything from the first other argument on is the AWS CLI's.`,
		Example: `  larder aws elasticache describe-cache-clusters`,
		// The AWS CLI's flags are its own, also those that look like ours.
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && (args[0] == "--help" || args[0] == "-h") {
				return cmd.Help()
			}
			t := newTarget(p)
			own := pflag.NewFlagSet("aws", pflag.ContinueOnError)
			t.addTo(own)
			ours, theirs := split(own, args)
			if err := own.Parse(ours); err != nil {
				return usageError{err}
			}
			return runAWS(p, t, theirs)
		},
	}
}

// split takes the flags of fs off the front of args.
func split(fs *pflag.FlagSet, args []string) (ours, theirs []string) {
	for i := 0; i < len(args); i++ {
		name, _, assigned := strings.Cut(strings.TrimPrefix(args[i], "--"), "=")
		if !strings.HasPrefix(args[i], "--") || fs.Lookup(name) == nil {
			return args[:i], args[i:]
		}
		if !assigned {
			i++
		}
	}
	return args, nil
}

func runAWS(p Process, t *target, args []string) error {
	a, caFile, err := t.access()
	if err != nil {
		return err
	}
	program, err := exec.LookPath("aws")
	if err != nil {
		return errors.New("the AWS CLI (aws) is not on PATH: install it, or use an SDK with the variables of larder env")
	}
	// Versions before 1.29 and 2.13 do not know AWS_ENDPOINT_URL; all know the
	// option, so that no version has to be found out.
	argv := append([]string{"aws", "--endpoint-url", a.Endpoint}, args...)
	if err := p.Exec(program, argv, withVariables(p.Environ, clientVariables(a, caFile))); err != nil {
		return fmt.Errorf("run %s: %w", program, err)
	}
	return nil
}

// withVariables is an environment with some variables set, and without those
// that would lead a client elsewhere.
func withVariables(environ []string, vars []variable) []string {
	set := map[string]bool{"AWS_PROFILE": true, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": true}
	for _, name := range staleVariables {
		set[name] = true
	}
	for _, v := range vars {
		set[v.name] = true
	}
	out := slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return set[name] || strings.HasPrefix(name, "AWS_ENDPOINT_URL_")
	})
	for _, v := range vars {
		out = append(out, v.name+"="+v.value)
	}
	return out
}

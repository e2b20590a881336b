package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/admin"
)

// variable is one variable of the environment that clients need.
type variable struct{ name, value string }

// clientVariables are what the AWS CLI, the SDKs and the commands read.
func clientVariables(a admin.Access, caFile string) []variable {
	vars := []variable{
		{"AWS_ENDPOINT_URL", a.Endpoint},
		{"AWS_ACCESS_KEY_ID", a.AccessKeyID},
		{"AWS_SECRET_ACCESS_KEY", a.Secret.Reveal()},
		{"AWS_REGION", a.Region},
		{"AWS_DEFAULT_REGION", a.Region},
	}
	if caFile != "" {
		vars = append(vars, variable{"LARDER_CA_FILE", caFile})
		// This one replaces the authorities that SDKs trust, so it is only set
		// where the API itself needs it.
		if strings.HasPrefix(a.Endpoint, "https:") {
			vars = append(vars, variable{"AWS_CA_BUNDLE", caFile})
		}
	}
	return vars
}

// staleVariables would be sent along with the keys above, and be refused.
var staleVariables = []string{"AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"}

// formats print variables for a shell or a program.
var formats = map[string]func(io.Writer, []variable) error{
	"sh": func(w io.Writer, vars []variable) error {
		for _, v := range vars {
			if _, err := fmt.Fprintf(w, "export %s=%s\n", v.name, shellQuote(v.value, `'\''`)); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(w, "unset %s\n", strings.Join(staleVariables, " "))
		return err
	},
	"fish": func(w io.Writer, vars []variable) error {
		for _, v := range vars {
			value := strings.ReplaceAll(v.value, `\`, `\\`)
			if _, err := fmt.Fprintf(w, "set -gx %s %s\n", v.name, shellQuote(value, `\'`)); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(w, "set -e %s\n", strings.Join(staleVariables, " "))
		return err
	},
	"json": func(w io.Writer, vars []variable) error {
		object := make(map[string]string, len(vars))
		for _, v := range vars {
			object[v.name] = v.value
		}
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(object)
	},
}

// shellQuote puts a value in single quotes; quote stands for one inside.
func shellQuote(value, quote string) string {
	return "'" + strings.ReplaceAll(value, "'", quote) + "'"
}

func newEnv(p Process) *cobra.Command {
	t := newTarget(p)
	var format string
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print what AWS clients need, as shell exports",
		Example: `  eval "$(larder env)"
  larder env --format fish | source`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			print, ok := formats[format]
			if !ok {
				return usageError{fmt.Errorf("--format %q is none of sh, json, fish", format)}
			}
			a, caFile, err := t.access()
			if err != nil {
				return err
			}
			vars := clientVariables(a, caFile)
			if t.dataDir != "" {
				// The other commands of larder then need no --data-dir.
				vars = append(vars, variable{"LARDER_DATA_DIR", t.dataDir})
			}
			return print(p.Out, vars)
		},
	}
	t.addTo(cmd.Flags())
	cmd.Flags().StringVar(&format, "format", "sh", "`sh|json|fish`")
	return cmd
}

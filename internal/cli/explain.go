package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/admin"
)

func newExplain(p Process) *cobra.Command {
	t := newTarget(p)
	var from, to, output string
	var port int
	cmd := &cobra.Command{
		Use:   "explain [--from CLIENT] --to CACHE | explain --from PUBLICATION",
		Short: "Say whether a client may connect to a cache, which rules decide, and what would let it in",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			render, ok := map[string]func(io.Writer, admin.Explanation) error{"text": writeExplanation, "json": explanationJSON}[output]
			if !ok {
				return usageError{fmt.Errorf("--output %q is neither text nor json", output)}
			}
			if to == "" && !strings.HasPrefix(from, "pub-") {
				return usageError{fmt.Errorf("--to is missing; see %s --help", cmd.CommandPath())}
			}
			return t.call(cmd.Context(), func(ctx context.Context, c *admin.Client) error {
				e, err := c.Explain(ctx, from, to, port)
				if err != nil {
					return err
				}
				var page bytes.Buffer
				if err := render(&page, e); err != nil {
					return err
				}
				_, err = p.Out.Write(page.Bytes())
				return err
			})
		},
	}
	t.addTo(cmd.Flags())
	cmd.Flags().StringVar(&from, "from", "127.0.0.1", "`client`: the id of an instance or a publication, or an address, of the VPC or as it connects; 127.0.0.1 is the host")
	cmd.Flags().StringVar(&to, "to", "", "`id` of a replication group or cache cluster, or an endpoint (default: where the publication leads)")
	cmd.Flags().IntVar(&port, "port", 0, "`port` that the client tries (default: the cache's)")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "`text|json`")
	return cmd
}

func explanationJSON(w io.Writer, e admin.Explanation) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	return out.Encode(e)
}

func writeExplanation(w io.Writer, e admin.Explanation) error {
	client := e.From
	if e.Source != "" && e.Source != e.From {
		client += " (" + e.Source + ")"
	}
	for _, n := range e.Nodes {
		verdict := "may not connect"
		if n.Allowed {
			verdict = "may connect"
		}
		_, _ = fmt.Fprintf(w, "%s %s to %s, port %d, in %s\n", client, verdict, n.Node, e.Port, e.VPC)
		for _, g := range n.Gates {
			mark := "refused"
			if g.Pass {
				mark = "passed"
			}
			if g.Unchecked {
				mark = "told"
			}
			_, _ = fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("  %-8s %-8s %s  %s", g.Name, mark, g.Text, strings.Join(g.Rules, " ")), " "))
		}
		if n.Open != "" {
			_, _ = fmt.Fprintf(w, "  to open it: %s\n", n.Open)
		}
	}
	_, _ = fmt.Fprintf(w, "then: TLS %s, AUTH %s\n", e.TLS, e.Auth)
	for _, text := range e.Warnings {
		_, _ = fmt.Fprintln(w, "warning: "+text)
	}
	return nil // w is a buffer
}

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/admin"
)

// refresh is how often status --watch asks.
const refresh = time.Second

// clearScreen moves to the top left corner and clears a terminal.
const clearScreen = "\x1b[H\x1b[2J"

func newStatus(p Process) *cobra.Command {
	t := newTarget(p)
	var watch bool
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what runs: caches, nodes, endpoints, memory, clients",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			render, ok := map[string]func(io.Writer, admin.Status) error{"table": writeTable, "json": writeJSON}[output]
			if !ok {
				return usageError{fmt.Errorf("--output %q is neither table nor json", output)}
			}
			client, err := t.client()
			if err != nil {
				return err
			}
			show := func(ctx context.Context) error {
				s, err := client.Status(ctx)
				if err != nil {
					return t.explain(err)
				}
				var page bytes.Buffer
				if watch && p.Interactive && output == "table" {
					page.WriteString(clearScreen)
				}
				if err := render(&page, s); err != nil {
					return err
				}
				_, err = p.Out.Write(page.Bytes())
				return err
			}
			if !watch {
				return show(cmd.Context())
			}
			return repeat(cmd.Context(), p, show)
		},
	}
	t.addTo(cmd.Flags())
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "refresh each second until interrupted")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "`table|json`")
	return cmd
}

// repeat shows again and again. An interrupt is the way to end it, so no error.
func repeat(ctx context.Context, p Process, show func(context.Context) error) error {
	for {
		err := show(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.Clock.After(refresh):
		}
	}
}

func writeJSON(w io.Writer, s admin.Status) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(s)
}

func writeTable(w io.Writer, s admin.Status) error {
	nodes := 0
	for _, c := range s.Caches {
		nodes += len(c.Nodes)
	}
	_, _ = fmt.Fprintf(w, "larder %s, account %s, %s fabric: %s, %s\n", s.Version, s.Account, s.Fabric,
		plural(len(s.Caches), "cache"), plural(nodes, "node"))
	for _, a := range s.Attachments {
		_, _ = fmt.Fprintln(w, attachmentText(a))
	}
	for _, p := range s.Publications {
		_, _ = fmt.Fprintln(w, publicationText(p))
	}
	for _, t := range s.Troubles {
		_, _ = fmt.Fprintf(w, "%s: %s\n", t.At.Format(time.RFC3339), t.Text)
	}
	for _, i := range s.Instances {
		_, _ = fmt.Fprintln(w, instanceText(i))
	}
	for _, c := range s.Caches {
		writeCache(w, c)
	}
	return nil // w is a buffer
}

// instanceText says what an instance is, and how a program on this host becomes it.
func instanceText(i admin.Instance) string {
	text := fmt.Sprintf("instance %s  %s  %s  %s in %s", i.ID, i.Region, i.State, i.Address, i.VPC)
	switch {
	case i.Namespace != "":
		return text + "  larder exec " + i.ID
	case i.Source != "":
		return text + "  bind " + i.Source
	}
	return text
}

func writeCache(w io.Writer, c admin.Cache) {
	_, _ = fmt.Fprintf(w, "\n%s  %s  %s  %s %s  %s  TLS %s  AUTH %s\n",
		c.ID, c.Region, c.Status, c.Engine, c.EngineVersion, c.NodeType, c.TLS, c.Auth)
	if c.Notice != "" {
		_, _ = fmt.Fprintf(w, "  %s\n", c.Notice)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, e := range c.Endpoints {
		_, _ = fmt.Fprintf(t, "  %s\t%s\n", e.Name, e.Address)
	}
	_ = t.Flush()
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "  NODE\tROLE\tSTATE\tENDPOINT\tMEMORY\tCLIENTS\tSERVED BY")
	for _, n := range c.Nodes {
		_, _ = fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\n", n.ID, dash(n.Role), n.Phase, n.Address,
			memory(n.UsedMemory), clients(n), servedBy(n))
	}
	_ = t.Flush()
}

// servedBy names the program that really runs, and what is wrong with it.
func servedBy(n admin.Node) string {
	program := "-"
	if n.Binary != "" {
		program = n.Binary + " " + n.BinaryVersion
	}
	if n.Message != "" {
		program += ": " + n.Message
	}
	return program
}

func clients(n admin.Node) string {
	if n.Clients == nil {
		return "-"
	}
	out := strconv.Itoa(*n.Clients)
	if n.MaxClients > 0 {
		out += "/" + strconv.Itoa(n.MaxClients)
	}
	return out
}

func memory(bytes *int64) string {
	if bytes == nil {
		return "-"
	}
	value, unit := float64(*bytes), 0
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", *bytes)
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

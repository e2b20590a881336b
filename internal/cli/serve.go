package cli

import (
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/config"
)

func newServe(p Process, app App) *cobra.Command {
	flags := config.NewFlags(p.Env)
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server: API, state, engines and network",
		Long: `Runs the server until it is interrupted. Engines go on without it and are
adopted by the next serve on the same data directory; larder down stops them.

Every flag is also an environment variable (--data-dir is LARDER_DATA_DIR) and a
key of the --config file (data-dir). A flag wins over the environment, the
environment over the file.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := flags.Load()
			if err != nil {
				return usageError{err}
			}
			return app.Serve(cmd.Context(), cfg, p.Out, newLog(p.Err, cfg))
		},
	}
	flags.AddTo(cmd.Flags())
	return cmd
}

func newDown(p Process, app App) *cobra.Command {
	flags := config.NewFlags(p.Env)
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop the server, its engines and the network; the state stays",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := flags.Load()
			if err != nil {
				return usageError{err}
			}
			return app.Down(cmd.Context(), cfg)
		},
	}
	flags.AddTo(cmd.Flags(), "config", "data-dir", "run-dir")
	return cmd
}

func newRelay(p Process, app App) *cobra.Command {
	var socket string
	cmd := &cobra.Command{
		Use:    "relay",
		Short:  "Run the relay process of a server",
		Hidden: true,
		Args:   noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.Relay(cmd.Context(), socket, slog.New(slog.NewTextHandler(p.Err, nil)))
		},
	}
	cmd.Flags().StringVar(&socket, "socket", "", "`path` of the control socket")
	if err := cmd.MarkFlagRequired("socket"); err != nil {
		panic(err) // the flag is defined one line above
	}
	return cmd
}

func newLog(w io.Writer, cfg config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

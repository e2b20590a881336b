// Command larder is a self-hosted Amazon ElastiCache.
package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/app"
	"github.com/larder-cache/larder/internal/cli"
	"github.com/larder-cache/larder/internal/config"
	"github.com/larder-cache/larder/internal/core"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Run(ctx, cli.Process{
		Args: os.Args[1:], Out: os.Stdout, Err: os.Stderr, Interactive: terminal(os.Stdout),
		Env: config.OSEnvironment(), Environ: os.Environ(), Exec: syscall.Exec, Clock: core.SystemClock{},
	}, cli.App{
		Serve: func(ctx context.Context, cfg config.Config, out io.Writer, log *slog.Logger) error {
			return app.Serve(ctx, cfg, app.IO{Out: out, Log: log, Program: os.Args[0]})
		},
		Down:  app.Down,
		Relay: app.RelayMain,
	}))
}

func terminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// Command larder is a self-hosted Amazon ElastiCache.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/app"
	"github.com/larder-cache/larder/internal/cli"
	"github.com/larder-cache/larder/internal/config"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/netns"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Run(ctx, cli.Process{
		Args: os.Args[1:], Out: os.Stdout, Err: os.Stderr, Interactive: terminal(os.Stdout),
		Env: config.OSEnvironment(), Environ: os.Environ(), Exec: syscall.Exec, Run: run, Enter: netns.Enter, Clock: core.SystemClock{},
	}, cli.App{
		Serve: func(ctx context.Context, cfg config.Config, out io.Writer, log *slog.Logger) error {
			return app.Serve(ctx, cfg, app.IO{Out: out, Log: log, Program: os.Args[0]})
		},
		Down:  app.Down,
		Relay: app.RelayMain,
	}))
}

// run runs a program, whose words are the error's if it fails.
func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

func terminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

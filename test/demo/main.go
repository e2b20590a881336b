// Command demo starts a Larder from nothing in a temporary directory, tells the
// story of package story with real clients, and cleans up.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/larder-cache/larder/test/harness"
	"github.com/larder-cache/larder/test/story"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	began := time.Now()
	d, err := harness.Launch(ctx, harness.Options{})
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := d.Close(); err == nil {
			err = closeErr
		}
		if err == nil {
			fmt.Println("\nserver, engines, relay and files are gone")
		}
	}()
	fmt.Printf("Larder serves at %s after %d ms\n", d.Endpoint, time.Since(began).Milliseconds())
	teller := &story.Teller{D: d, Say: func(line string) { fmt.Println(line) }}
	if err := teller.Run(ctx); err != nil {
		return fmt.Errorf("%w\n\nthe server's last words:\n%s", err, d.Output())
	}
	return nil
}

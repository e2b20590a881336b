// Command demo starts Larders from nothing in temporary directories, tells the
// stories of package story with real clients, and cleans up.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-cache/larder/test/harness"
	"github.com/larder-cache/larder/test/story"
)

// quiet is a log of the client library's, which would tell of each connection that a
// failover cuts.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func main() {
	redis.SetLogger(quiet{})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// fabric is the one that has the most to show here.
func fabric() string {
	if os.Geteuid() == 0 {
		return "kernel"
	}
	fmt.Println("the kernel fabric needs root: instances are addresses that clients bind")
	return "userspace"
}

func run(ctx context.Context) error {
	say := func(line string) { fmt.Println(line) }
	networks := func(d *harness.Deployment) *story.Networks {
		return &story.Networks{D: d, Kernel: os.Geteuid() == 0, Say: say}
	}
	for _, part := range []struct {
		opts harness.Options
		tell func(d *harness.Deployment) error
	}{
		{harness.Options{}, func(d *harness.Deployment) error { return (&story.Teller{D: d, Say: say}).Run(ctx) }},
		{harness.Options{Fabric: fabric()}, func(d *harness.Deployment) error { return networks(d).RunVPC(ctx) }},
		{harness.Options{Fabric: fabric(), Args: []string{"--platforms=ec2,vpc"}}, func(d *harness.Deployment) error { return networks(d).RunClassic(ctx) }},
	} {
		if err := with(ctx, part.opts, part.tell); err != nil {
			return err
		}
	}
	fmt.Println("\nservers, engines, relays, networks and files are gone")
	return nil
}

// with tells a part of the story in a deployment of its own.
func with(ctx context.Context, opts harness.Options, tell func(d *harness.Deployment) error) (err error) {
	began := time.Now()
	d, err := harness.Launch(ctx, opts)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := d.Close(); err == nil {
			err = closeErr
		}
	}()
	fmt.Printf("\nLarder serves at %s after %d ms\n", d.Endpoint, time.Since(began).Milliseconds())
	if err := tell(d); err != nil {
		return fmt.Errorf("%w\n\nthe server's last words:\n%s", err, d.Output())
	}
	return nil
}

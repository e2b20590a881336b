// Command bench measures what Larder costs beside the bare engine, and holds the
// figures against the bars that the project sets itself. Larder and the engine
// take turns within each round, so that the machine's own swings hit both; read
// the ratios, not the absolute figures. It prints one table of medians and ends
// with status 0 whether the bars are met or not.
//
//	go run ./test/bench [-only REGEXP] [-rounds N] [-data MB] [-quick]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

// experiment is something to measure; it gives one or more lines of the table.
type experiment struct {
	name string
	run  func(context.Context, *bench) ([]line, error)
}

// experiments in the order of the table.
var experiments = []experiment{
	{"create-node", createNode},
	{"create-group", createGroup},
	{"serve-empty", serveEmpty},
	{"serve-100", serveHundred},
	{"security-group", enforceRules},
	{"kernel-network", kernelNetwork},
	{"kernel-throughput", kernelThroughput},
	{"relay-throughput", relayThroughput},
	{"relay-connect", relayConnect},
	{"relay-memory", relayMemory},
	{"describe", describeThousand},
	{"modify", modify},
	{"tokens", changeTokens},
	{"failover", failover},
	{"sentinel", sentinelFailover},
	{"cluster-bus", busFailover},
	{"fleet", fleet},
	{"resharding", resharding},
	{"replica", newReplica},
}

// bench is one run of the program.
type bench struct {
	only  *regexp.Regexp
	fixed int // rounds of every experiment; 0: what each thinks is enough
	quick bool
	// megabytes is how much data is moved and copied; 0: what is enough.
	megabytes int
	notice    io.Writer // progress
}

// The whole program ends after these times, whatever happens.
const (
	fullLimit  = 40 * time.Minute
	quickLimit = 4 * time.Minute
)

func main() {
	b := &bench{notice: os.Stderr}
	only := flag.String("only", "", "`regexp` of the experiments to run; -only help lists them")
	flag.IntVar(&b.fixed, "rounds", 0, "rounds of each experiment; 0: enough for a steady median")
	flag.IntVar(&b.megabytes, "data", 0, "`MB` of data to move between shards and to copy to replicas; 0: 1024, or 16 with -quick")
	flag.BoolVar(&b.quick, "quick", false, "few and small rounds, about a minute in total")
	flag.Parse()
	if *only == "help" {
		for _, e := range experiments {
			fmt.Println(e.name)
		}
		return
	}
	var err error
	if b.only, err = regexp.Compile(*only); err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = b.run(ctx, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run runs the experiments and prints the table. One that fails does not keep
// the others from running; the error names all that did.
func (b *bench) run(ctx context.Context, out io.Writer) error {
	limit := fullLimit
	if b.quick {
		limit = quickLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	var lines []line
	var failed error
	for _, e := range experiments {
		if !b.only.MatchString(e.name) {
			continue
		}
		if ctx.Err() != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", e.name, ctx.Err()))
			continue
		}
		started := time.Now()
		got, err := e.run(ctx, b)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", e.name, err))
		}
		lines = append(lines, got...)
		fmt.Fprintf(b.notice, "%s: %.1f s\n", e.name, time.Since(started).Seconds())
	}
	if len(lines) == 0 && failed == nil {
		return errors.New("no experiment has such a name")
	}
	printFacts(ctx, out, began)
	printTable(out, lines)
	return failed
}

// rounds is how often an experiment is repeated.
func (b *bench) rounds(full, quick int) int {
	switch {
	case b.fixed > 0:
		return b.fixed
	case b.quick:
		return quick
	}
	return full
}

// size is how much of something is enough for one round.
func (b *bench) size(full, quick int) int {
	if b.quick {
		return quick
	}
	return full
}

package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// probeTimeout bounds each run of a binary that is looked at. A healthy one
// answers in 10 ms; the rest is for a host that is very busy.
const probeTimeout = 5 * time.Second

// oldestRedis is the first line of Redis with access rules per subcommand, which
// keep the commands from customers that ElastiCache keeps from them.
const oldestRedis = 7

var (
	programs = []string{"valkey-server", "redis-server", "memcached"}

	// "Redis server v=7.0.15 sha=...", "Valkey server v=8.0.1 sha=...",
	// "memcached 1.6.18".
	versionLine = regexp.MustCompile(`(?m)^(?:(Redis|Valkey) server v=|(memcached) )(\d+\.\d+\.\d+)`)
)

// Discover looks for engines in dirs, in their order, and asks each for its
// version. The error joins what is wrong with binaries that were found but
// cannot be used; the others are returned all the same.
func Discover(ctx context.Context, dirs []string) ([]Binary, error) {
	var (
		found []Binary
		odd   []error
		seen  []os.FileInfo
	)
	for _, dir := range dirs {
		// A process is not started in the directory that Larder is in.
		dir, err := filepath.Abs(dir)
		if err != nil {
			odd = append(odd, fmt.Errorf("engine: %w", err))
			continue
		}
		for _, name := range programs {
			path := filepath.Join(dir, name)
			info, err := os.Stat(path)
			if errors.Is(err, fs.ErrNotExist) || (err == nil && !executable(info)) {
				continue
			}
			if err == nil && sameFile(seen, info) {
				continue
			}
			var b Binary
			if err == nil {
				b, err = probe(ctx, path)
			}
			if err != nil {
				odd = append(odd, fmt.Errorf("engine: %s: %w", path, err))
				continue
			}
			seen = append(seen, info)
			found = append(found, b)
		}
	}
	return found, errors.Join(odd...)
}

func executable(info os.FileInfo) bool {
	return info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

func sameFile(seen []os.FileInfo, info os.FileInfo) bool {
	for _, s := range seen {
		if os.SameFile(s, info) {
			return true
		}
	}
	return false
}

// probe asks one binary what it is. The name of the file is no evidence: some
// distributions install Valkey under Redis' name.
func probe(ctx context.Context, path string) (Binary, error) {
	out, err := run(ctx, path, "", "--version")
	if err != nil {
		return Binary{}, fmt.Errorf("--version: %w", err)
	}
	m := versionLine.FindStringSubmatch(out)
	if m == nil {
		return Binary{}, fmt.Errorf("--version: unexpected answer %q", firstLine(out))
	}
	b := Binary{Engine: strings.ToLower(m[1] + m[2]), Version: m[3], Path: path}
	if b.Engine == Memcached {
		return b, nil
	}
	if major, _ := strconv.Atoi(strings.SplitN(b.Version, ".", 2)[0]); b.Engine == Redis && major < oldestRedis {
		return Binary{}, fmt.Errorf("redis %s is too old: %d.0 or later is needed", b.Version, oldestRedis)
	}
	b.Capabilities.TLS = knowsDirective(ctx, path, "tls-replication no")
	return b, nil
}

// knowsDirective finds out whether a binary takes a line of configuration, by
// the line that it complains about: the one in question or the impossible one
// after it. It never gets as far as to start.
func knowsDirective(ctx context.Context, path, line string) bool {
	const impossible = "larder-probe yes"
	out, _ := run(ctx, path, line+"\n"+impossible+"\n", "-")
	return strings.Contains(out, impossible)
}

// run gives what a program prints on both channels.
func run(ctx context.Context, path, stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = []string{"LC_ALL=C"}
	// A child of a wrapper script may keep the pipe open beyond its end.
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("no answer within %v", probeTimeout)
	}
	return string(out), err
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	if len(line) > 100 {
		line = line[:100]
	}
	return line
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/test/harness"
)

// residentMB is the memory of a process in MB (of 1024 KB).
func residentMB(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			return float64(kb) / 1024, err
		}
	}
	return 0, fmt.Errorf("no VmRSS of %d", pid)
}

// processorTime is what a process has used until now.
func processorTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	const user, system, tick = 11, 12, 10 * time.Millisecond // fields after the name
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	u, uerr := strconv.Atoi(fields[user])
	s, serr := strconv.Atoi(fields[system])
	return time.Duration(u+s) * tick, errors.Join(uerr, serr)
}

// relayOf is the pid of a deployment's relay.
func relayOf(d *harness.Deployment) (int, error) {
	for _, pid := range d.Processes() {
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		args := strings.Split(string(cmdline), "\x00")
		if err == nil && len(args) > 1 && args[1] == "relay" {
			return pid, nil
		}
	}
	return 0, errors.New("the deployment has no relay")
}

// printFacts says what the figures were measured on and with.
func printFacts(ctx context.Context, w io.Writer, began time.Time) {
	var uts unix.Utsname
	_ = unix.Uname(&uts)
	kernel, _, _ := strings.Cut(unix.ByteSliceToString(uts.Release[:]), "-")
	fmt.Fprintf(w, "%s; %d cores (%s), Linux %s, %s", began.UTC().Format(time.DateOnly), runtime.NumCPU(), processor(),
		kernel, runtime.Version())
	for _, name := range []string{"redis-server", "valkey-server", "memcached"} {
		if out, err := exec.CommandContext(ctx, name, "--version").Output(); err == nil {
			fmt.Fprintf(w, ", %s %s", name, versionIn(string(out)))
		}
	}
	fmt.Fprintf(w, "; measured in %.0f s\n\n", time.Since(began).Seconds())
}

// versionIn finds the version in what an engine says of itself.
func versionIn(out string) string {
	for _, word := range strings.Fields(out) {
		word = strings.TrimPrefix(word, "v=")
		if word != "" && word[0] >= '0' && word[0] <= '9' && strings.Contains(word, ".") {
			return word
		}
	}
	return "?"
}

// processor is the model of the machine's processor.
func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if rest, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(rest), ":"))
		}
	}
	return runtime.GOARCH
}

// within runs fn with a temporary directory of a short path: sockets are made in it.
func within(fn func(dir string) error) error {
	dir, err := os.MkdirTemp("", "lb")
	if err != nil {
		return err
	}
	return errors.Join(fn(dir), os.RemoveAll(dir))
}

// fabrics are those that can be measured here.
func fabrics() []string {
	if os.Geteuid() == 0 {
		return []string{"userspace", "kernel"}
	}
	return []string{"userspace"}
}

// deployed runs fn with a deployment in a new directory, in the userspace fabric.
func deployed(ctx context.Context, fn func(*harness.Deployment) error) error {
	return deployedIn(ctx, "userspace", fn)
}

func deployedIn(ctx context.Context, fabric string, fn func(*harness.Deployment) error) error {
	return within(func(dir string) error {
		d, err := harness.Launch(ctx, harness.Options{Dir: filepath.Join(dir, "d"), Fabric: fabric})
		if err != nil {
			return err
		}
		err = fn(d)
		if err != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w\n\nthe server's last words:\n%s", err, d.Output())
		}
		return errors.Join(err, d.Close())
	})
}

package harness

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/config"
	"github.com/larder-cache/larder/internal/netns"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/kernel"
)

// Processes are the pids of all processes that belong to this deployment: they
// work in its directories, or are told of them in their arguments.
func (d *Deployment) Processes() []int {
	var pids []int
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && pid != os.Getpid() && d.owns(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (d *Deployment) owns(pid int) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	cwd, _ := os.Readlink(filepath.Join(dir, "cwd")) // of the dead: none
	cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
	return strings.HasPrefix(cwd, d.Dir+"/") || strings.Contains(string(cmdline), d.Dir+"/")
}

// Listening are the addresses in this deployment's windows on which a socket
// listens, those for replication included.
func (d *Deployment) Listening() []netip.AddrPort { return d.slot.listening() }

func (s *slot) listening() []netip.AddrPort {
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return nil
	}
	defer f.Close()
	var all []netip.AddrPort
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		const listening = "0A"
		if len(fields) < 4 || fields[3] != listening {
			continue
		}
		if a, ok := parseSocket(fields[1]); ok && s.has(a.Addr()) {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, netip.AddrPort.Compare)
	return slices.Compact(all)
}

// parseSocket reads an address as the kernel prints it: 0100007F:1F90.
func parseSocket(s string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	n, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(b) != 4 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{b[3], b[2], b[1], b[0]}), uint16(n)), true
}

// Name is what the deployment is known by in the kernel.
func (d *Deployment) Name() string { return config.Config{DataDir: d.DataDir}.Deployment() }

// left says what is left of a deployment that was taken down; it should be
// nothing.
func (d *Deployment) left() error {
	var left []error
	for _, pid := range d.Processes() {
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		left = append(left, fmt.Errorf("left behind: process %d: %s", pid, strings.ReplaceAll(string(cmdline), "\x00", " ")))
	}
	for _, a := range d.Listening() {
		left = append(left, fmt.Errorf("left behind: somebody listens on %s", a))
	}
	if names, err := netns.List("larder-" + d.Name() + "-"); err != nil || len(names) > 0 {
		left = append(left, fmt.Errorf("left behind: namespaces %v, %v", names, err))
	}
	return errors.Join(left...)
}

// bury ends what runs of a deployment whose test was killed, and takes its networks
// away; its directory stays. The server goes with the others, so that they are looked
// for until nobody has started another.
func (d *Deployment) bury(ctx context.Context) error {
	err := Await(ctx, 20*time.Second, func(context.Context) error {
		pids := d.Processes()
		for _, pid := range pids {
			p, err := os.FindProcess(pid) // this one, also if its number is used again
			if err == nil && d.owns(pid) {
				_ = p.Kill()
			}
		}
		if len(pids) > 0 {
			return fmt.Errorf("processes %v do not end", pids)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// Sockets of dead relays would be dialled.
	if err := os.RemoveAll(d.RunDir); err != nil {
		return err
	}
	return errors.Join(kernel.Stop(ctx, d.RunDir, d.Name()), d.left())
}

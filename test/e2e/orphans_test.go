package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/larder-cache/larder/internal/admin"
	"github.com/larder-cache/larder/internal/runtime"
	"github.com/larder-cache/larder/test/harness"
)

func allNodes(st admin.Status) (nodes []admin.Node) {
	for _, c := range st.Caches {
		nodes = append(nodes, c.Nodes...)
	}
	return nodes
}

// orphanProcesses holds the processes of a deployment against its nodes: nothing
// but those, the server and a relay may run.
func orphanProcesses(d *harness.Deployment, st admin.Status) error {
	known := map[int]bool{d.Pid(): true}
	for _, n := range allNodes(st) {
		known[n.PID] = true
	}
	found := relays(d)
	for _, pid := range found {
		known[pid] = true
	}
	if len(found) > 1 {
		return fmt.Errorf("there are %d relays", len(found))
	}
	for _, pid := range d.Processes() {
		if args := arguments(pid); !known[pid] && len(args) > 1 {
			return fmt.Errorf("nobody's process: %d %q", pid, args)
		}
	}
	return nil
}

// relays are the processes of the deployment's relays.
func relays(d *harness.Deployment) (pids []int) {
	for _, pid := range d.Processes() {
		if args := arguments(pid); len(args) > 1 && args[1] == "relay" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// arguments are those of a process; the dead have none.
func arguments(pid int) []string {
	cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.Split(string(cmdline), "\x00")
}

func orphanDirectories(d *harness.Deployment, st admin.Status) error {
	dirs, err := os.ReadDir(filepath.Join(d.DataDir, "nodes"))
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if nodes := len(allNodes(st)); len(dirs) != nodes {
		return fmt.Errorf("there are %d directories of %d nodes", len(dirs), nodes)
	}
	return nil
}

// besides is the address for replication of the node at a: the same in the window
// after it.
func besides(a netip.AddrPort) netip.AddrPort {
	b := a.Addr().As4()
	b[1]++
	return netip.AddrPortFrom(netip.AddrFrom4(b), a.Port())
}

// orphanAddresses holds the addresses that listen against those that clients are
// told.
func orphanAddresses(d *harness.Deployment, st admin.Status) error {
	known := map[netip.AddrPort]bool{}
	add := func(address string) {
		a, err := netip.ParseAddrPort(address)
		if err != nil {
			return
		}
		known[a], known[besides(a)] = true, true
		for _, port := range []int{runtime.ReplicationPort, runtime.BusPort, runtime.SecondReplicationPort, runtime.SecondBusPort} { // of nodes in cluster mode
			known[netip.AddrPortFrom(a.Addr(), uint16(port))] = true
			known[netip.AddrPortFrom(besides(a).Addr(), uint16(port))] = true // of those that succeeded another
		}
	}
	for _, c := range st.Caches {
		for _, e := range c.Endpoints {
			add(e.Address)
		}
		for _, n := range c.Nodes {
			add(n.Address)
		}
	}
	for _, a := range d.Listening() {
		if !known[a] {
			return fmt.Errorf("nobody's address: %s", a)
		}
	}
	return nil
}

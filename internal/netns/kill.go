package netns

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// killRounds bounds how often Kill looks for processes that others have started
// meanwhile.
const killRounds = 10

// Kill ends every process inside of the namespace at once, as switching a machine
// off does. It does not wait for them. Each is known by a pidfd while it is looked
// at, so that no other can be hit.
func (n *Namespace) Kill() error {
	done := map[int]bool{} // one that is killed may need a while to go
	for range killRounds {
		pids, err := processes()
		if err != nil {
			return err
		}
		killed := 0
		for _, pid := range pids {
			if done[pid] {
				continue
			}
			ok, err := n.kill(pid)
			if err != nil {
				return err
			}
			if ok {
				done[pid] = true
				killed++
			}
		}
		if killed == 0 {
			return nil
		}
	}
	return fmt.Errorf("processes in namespace %s keep starting others", n.path)
}

// kill ends a process if it is inside, and says so.
func (n *Namespace) kill(pid int) (bool, error) {
	if !n.holds(pid) { // most are elsewhere, and need no descriptor
		return false, nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if !n.holds(pid) {
		return false, nil
	}
	err = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return false, fmt.Errorf("kill process %d: %w", pid, err)
	}
	return err == nil, nil
}

// holds reports whether a process is inside. One that has ended is nowhere, though
// its parent may not have noticed.
func (n *Namespace) holds(pid int) bool {
	at, err := os.Stat(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return false
	}
	here, err := n.file.Stat()
	return err == nil && os.SameFile(at, here)
}

// processes are the pids of all processes.
func processes() ([]int, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

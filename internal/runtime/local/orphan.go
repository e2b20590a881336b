package local

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// nodesDir is where the directories of nodes are, with symbolic links resolved
// so that it can be compared with what the kernel says.
func nodesDir(dataDir string) (string, error) {
	dir := filepath.Join(dataDir, "nodes")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(dir)
}

// strays gives the processes that write a node's log, by pid. That is their mark:
// it holds from the moment that they are forked, and engines that overwrite
// their arguments and environment with a title keep it.
func strays(nodes string) (map[int]string, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	out := make(map[int]string)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if uid, ok := stray(nodes, pid); ok {
			out[pid] = uid
		}
	}
	return out, nil
}

// stray gives the uid of the node that a process belongs to, if to any.
func stray(nodes string, pid int) (uid string, ok bool) {
	target, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "fd", "1"))
	if err != nil {
		return "", false // gone, or another user's
	}
	rest, ok := strings.CutPrefix(target, nodes+string(filepath.Separator))
	if !ok {
		return "", false
	}
	uid, file, _ := strings.Cut(rest, string(filepath.Separator))
	return uid, strings.TrimSuffix(file, " (deleted)") == logFile
}

// killStrays ends the processes of nodes which are not in known, a set of
// pids, and gives how many there were once they have ended.
func killStrays(nodes string, known map[int]bool) (int, error) {
	found, err := strays(nodes)
	if err != nil {
		return 0, err
	}
	var dying []*process
	for pid, uid := range found {
		if known[pid] {
			continue
		}
		start, err := startTime(pid)
		if err != nil {
			continue
		}
		p, err := find(pid, start)
		if err != nil {
			continue
		}
		// With the process in hand, look again: the pid may have changed owner.
		if again, ok := stray(nodes, pid); !ok || again != uid {
			p.release()
			continue
		}
		p.kill()
		dying = append(dying, p)
	}
	for _, p := range dying {
		<-p.exited
		p.release()
	}
	return len(dying), nil
}

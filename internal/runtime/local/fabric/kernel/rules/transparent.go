package rules

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// LeadTo lets listeners take connections that were dialled elsewhere, which only a
// transparent socket may. It is given the process of each, and tells the socket by a
// duplicate of it: that holds as long as the socket does, whatever becomes of this
// process. A listener that is not there is left out. failed says which refuse.
func (c *Conn) LeadTo(listeners map[netip.AddrPort]int) (failed map[netip.AddrPort]error, err error) {
	if err := c.openDiag(); err != nil {
		return nil, err
	}
	found, err := sockets(c.diag, listening, nil, func(s tcpSocket) bool { return listeners[s.local] != 0 && !s.transparent })
	if err != nil {
		return nil, err
	}
	failed = map[netip.AddrPort]error{}
	for _, s := range found {
		if err := makeTransparent(listeners[s.local], s.inode); err != nil {
			failed[s.local] = fmt.Errorf("lead clients to %s: %w", s.local, err)
		}
	}
	return failed, nil
}

// Transparent makes a socket take what was sent elsewhere.
func Transparent(fd int) error {
	return os.NewSyscallError("setsockopt IP_TRANSPARENT", unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TRANSPARENT, 1))
}

func makeTransparent(pid int, inode uint32) error {
	n, err := descriptor(pid, inode)
	if err != nil {
		return err
	}
	fd, err := Duplicate(pid, n)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Ino != uint64(inode) {
		return fmt.Errorf("process %d has replaced its listener", pid)
	}
	return Transparent(fd)
}

// Duplicate gives a descriptor of our own for what another process has open.
func Duplicate(pid, descriptor int) (int, error) {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1, os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(process)
	fd, err := unix.PidfdGetfd(process, descriptor, 0)
	return fd, os.NewSyscallError("pidfd_getfd", err)
}

// fewDescriptors are read at once: listeners are among the first that a process has.
const fewDescriptors = 64

// descriptor is the number that a process has for a socket.
func descriptor(pid int, inode uint32) (int, error) {
	path := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	dir, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	want := fmt.Sprintf("socket:[%d]", inode)
	for {
		names, err := dir.Readdirnames(fewDescriptors)
		for _, name := range names {
			if link, err := os.Readlink(filepath.Join(path, name)); err == nil && link == want {
				return strconv.Atoi(name)
			}
		}
		if errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("process %d does not have the listener: %w", pid, syscall.EADDRINUSE)
		}
		if err != nil {
			return 0, err
		}
	}
}

package rules

import (
	"errors"
	"fmt"
	"os"

	"github.com/larder-cache/larder/internal/netns"
	"golang.org/x/sys/unix"
)

// Alarm hears of changes of the tables of a namespace, whoever makes them. What they were
// is not read: Conn.Verify says whether they matter.
type Alarm struct{ file *os.File }

// NewAlarm begins to listen.
func NewAlarm(ns *netns.Namespace) (*Alarm, error) {
	var fd int
	err := ns.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("netlink socket in %s: %w", ns.Path(), err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.NFNLGRP_NFTABLES - 1)}); err != nil {
		return nil, errors.Join(fmt.Errorf("changes of the tables of %s: %w", ns.Path(), err), unix.Close(fd))
	}
	return &Alarm{os.NewFile(uintptr(fd), "changes of tables")}, nil
}

// Wait returns once something has changed since it was called last, or with an error
// after Close.
func (a *Alarm) Wait() error {
	raw, err := a.file.SyscallConn()
	if err != nil {
		return err
	}
	heard := false
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		for {
			switch _, _, err := unix.Recvfrom(int(fd), nil, unix.MSG_TRUNC); {
			case err == nil, errors.Is(err, unix.ENOBUFS):
				heard = true // there may be more, and more than fits
			case errors.Is(err, unix.EAGAIN):
				return heard
			case !errors.Is(err, unix.EINTR):
				failed = err
				return true
			}
		}
	})
	return errors.Join(err, failed)
}

// Close ends a Wait.
func (a *Alarm) Close() error { return a.file.Close() }

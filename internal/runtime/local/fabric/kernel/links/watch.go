package links

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// watch hears of changes of interfaces, addresses and routes in a namespace, so
// that nothing need be listed while there are none. What they were is not read:
// whoever asks looks anew.
type watch struct{ fd int }

// watchBuffer is small: that there was something is all that counts, and the kernel
// says so, too, when there was more than fits.
const watchBuffer = 4096

// newWatch watches the namespace of the calling thread.
func newWatch() (watch, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return watch{}, err
	}
	groups := uint32(unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV4_ROUTE)
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, watchBuffer),
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}))
	if err != nil {
		return watch{}, errors.Join(err, unix.Close(fd))
	}
	return watch{fd}, nil
}

// changed reports whether anything has changed since the last call. Changes after
// it are for the next call, so that it is to be asked before one looks.
func (w watch) changed() (bool, error) {
	changed := false
	for {
		_, _, err := unix.Recvfrom(w.fd, nil, unix.MSG_TRUNC)
		switch {
		case err == nil, errors.Is(err, unix.ENOBUFS):
			changed = true
		case errors.Is(err, unix.EAGAIN):
			return changed, nil
		case errors.Is(err, unix.EINTR):
		default:
			return true, fmt.Errorf("watch for changes: %w", err)
		}
	}
}

func (w watch) close() { _ = unix.Close(w.fd) }

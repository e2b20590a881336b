package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/netns"
	"github.com/larder-cache/larder/internal/runtime/local/fabric/kernel/rules"
)

// space is what is open of a network.
type space struct {
	compiler rules.Compiler
	// table is what the network's rules shall be.
	table *rules.Table
	// conn is open from when the namespace is known to exist, which inode tells from
	// one that has its name later.
	conn  *rules.Conn
	path  string
	inode uint64
	// following and barred are those whose flows have been cut.
	following []rules.Endpoint
	barred    []netip.AddrPort
}

// open begins with a namespace, the first or one that was made anew.
func (s *space) open(ns *netns.Namespace) error {
	var st unix.Stat_t
	if err := unix.Fstat(ns.FD(), &st); err != nil {
		return fmt.Errorf("stat namespace %s: %w", ns.Path(), err)
	}
	if s.conn != nil && s.inode == st.Ino {
		return nil
	}
	s.close()
	conn, err := rules.Open(ns.Path())
	if err != nil {
		return err
	}
	s.conn, s.path, s.inode = conn, ns.Path(), st.Ino
	s.following, s.barred = nil, nil
	return nil
}

func (s *space) close() {
	if s.conn != nil {
		_ = s.conn.Close() // nothing was left to be written
		s.conn = nil
	}
}

func (s *space) enforce() error { return s.conn.Apply(s.table) }

// cut ends the flows to endpoints that have moved, and those in plaintext to nodes
// that no longer have any. The first time it looks for all of them, since it is not
// known what was left undone by a server that was killed.
func (s *space) cut(net *netPlan) error {
	var moved []rules.Endpoint
	for _, e := range net.following {
		if !slices.ContainsFunc(s.following, func(o rules.Endpoint) bool { return reflect.DeepEqual(o, e) }) {
			moved = append(moved, e)
		}
	}
	var barred []netip.AddrPort
	for _, at := range net.barred {
		if !slices.Contains(s.barred, at) {
			barred = append(barred, at)
		}
	}
	_, err := s.conn.CutOthers(moved)
	if _, e := s.conn.CutAnswered(barred); e != nil {
		err = errors.Join(err, e)
	}
	if err == nil {
		s.following, s.barred = net.following, net.barred
	}
	return err
}

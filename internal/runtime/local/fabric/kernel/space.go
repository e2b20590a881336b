package kernel

import (
	"errors"
	"fmt"
	"maps"
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
	alarm *rules.Alarm
	// led are the listeners that clients can be led to.
	led map[engine]bool
	// following and barred are those whose flows have been cut, links and local those
	// whose have not; nil: nothing is known.
	following []rules.Endpoint
	barred    []netip.Addr
	links     map[string]netip.Addr
	local     []netip.Addr
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
	if s.alarm, err = rules.NewAlarm(ns); err != nil {
		return errors.Join(err, conn.Close())
	}
	s.conn, s.path, s.inode = conn, ns.Path(), st.Ino
	s.led, s.following, s.barred, s.links, s.local = nil, nil, nil, nil, nil
	return nil
}

func (s *space) close() {
	if s.conn != nil {
		s.quiet()
		_ = s.conn.Close() // nothing was left to be written
		s.conn = nil
	}
}

// quiet ends listening for changes of the rules.
func (s *space) quiet() {
	if s.alarm != nil {
		_ = s.alarm.Close()
	}
}

func (s *space) enforce() error { return s.conn.Apply(s.table) }

// lead makes sure that clients can be led to the listeners of engines. failed says of
// which endpoints they cannot.
func (s *space) lead(engines []engine) (failed map[string]error, err error) {
	led := make(map[engine]bool, len(engines))
	listeners := map[netip.AddrPort]int{}
	for _, e := range engines {
		if led[e] = s.led[e]; !led[e] {
			listeners[e.at] = e.pid
		}
	}
	s.led = led // an engine that opens its port anew is not among them meanwhile
	if len(listeners) == 0 {
		return nil, nil
	}
	refused, err := s.conn.LeadTo(listeners)
	if err != nil {
		return nil, err
	}
	failed = map[string]error{}
	for e := range led {
		if err := refused[e.at]; err != nil {
			failed[e.endpoint] = err
		}
		led[e] = refused[e.at] == nil
	}
	return failed, nil
}

// cut ends the flows to endpoints that have moved, those in plaintext to nodes that no
// longer have any, and those of instances and nodes that are gone. The first time it
// looks for all of them, since it is not known what was left undone by a server that
// was killed.
func (s *space) cut(net *netPlan) error {
	var moved []rules.Endpoint
	for _, e := range net.following {
		if !slices.ContainsFunc(s.following, func(o rules.Endpoint) bool { return reflect.DeepEqual(o, e) }) {
			moved = append(moved, e)
		}
	}
	var barred []netip.Addr
	for _, at := range net.barred {
		if !slices.Contains(s.barred, at) {
			barred = append(barred, at)
		}
	}
	_, err := s.conn.CutOthers(moved)
	_, barredErr := s.conn.CutDirect(barred)
	err = errors.Join(err, barredErr, s.cutGone(net.rules.Links), s.cutLeft(net))
	if err == nil {
		s.following, s.barred, s.links, s.local = net.following, net.barred, net.rules.Links, net.links.Local
	}
	return err
}

// cutGone ends the flows of what was at a link that is no more.
func (s *space) cutGone(links map[string]netip.Addr) error {
	gone := map[netip.Addr]bool{}
	for name, a := range s.links {
		if links[name] != a {
			gone[a] = true
		}
	}
	is := func(a netip.Addr) bool { return gone[a] }
	switch {
	case s.links == nil:
		is = func(a netip.Addr) bool { return !slices.Contains(slices.Collect(maps.Values(links)), a) }
	case len(gone) == 0:
		return nil
	}
	_, err := s.conn.CutClients(is)
	return err
}

// cutLeft ends what others inside have to do with addresses that are no more.
func (s *space) cutLeft(net *netPlan) error {
	if slices.Equal(s.local, net.links.Local) {
		return nil
	}
	known := func(a netip.Addr) bool { // they are sorted
		_, ok := slices.BinarySearchFunc(net.links.Local, a, netip.Addr.Compare)
		return ok
	}
	gone := slices.DeleteFunc(slices.Clone(s.local), known)
	is := func(a netip.Addr) bool { return slices.Contains(gone, a) }
	switch {
	case s.local == nil:
		clients := slices.Collect(maps.Values(net.rules.Links))
		is = func(a netip.Addr) bool {
			return net.links.CIDR.Contains(a) && !known(a) && !slices.Contains(clients, a)
		}
	case len(gone) == 0:
		return nil
	}
	_, err := s.conn.CutInside(is)
	return err
}

package rules

import (
	"net/netip"
	"testing"

	"github.com/larder-cache/larder/internal/network"
)

// The kernel lists what one of several conditions holds for, and nothing else.
func TestConditions(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "conditions")
	l.echoes(t)
	w, in := echoes(in(network.TCP, portEcho, portEcho, "0.0.0.0/0"))
	apply(t, l.conn, Compile(w, "vpc", in))
	primary := in.Endpoints[0].At
	for _, to := range []netip.AddrPort{primary, nodePort(0), nodePort(0), nodePort(1)} {
		l.client(t, 0, to)
	}
	if err := l.conn.openDiag(); err != nil {
		t.Fatal(err)
	}
	many := make([]condition, 1000)
	for n := range many {
		many[n] = localIs(netip.AddrPortFrom(nodeAddress(0), uint16(20000+n)))
	}
	for _, c := range []struct {
		name  string
		where []condition
		want  int
	}{
		{"none", nil, 4},
		{"an endpoint", []condition{localIs(primary)}, 1},
		{"a node", []condition{localIs(nodePort(0))}, 2},
		{"another port", []condition{localIs(netip.AddrPortFrom(nodeAddress(0), portEcho+1))}, 0},
		{"either", []condition{localIs(primary), localIs(nodePort(1))}, 2},
		{"the last of many", append(many, localIs(nodePort(0))), 2},
		{"untracked", []condition{markIs(markUntracked, markUntracked)}, 4},
		{"by a relay", []condition{markIs(markRelayed, markRelayed)}, 1},
		{"a target, or none", []condition{markIs(hostPart(nodeAddress(0)), maskHost), markIs(0, ^mark(0))}, 3},
	} {
		mine := func(s tcpSocket) bool { return s.remote.Addr() == instanceAddress(0) }
		if got, err := sockets(l.conn.diag, connected, c.where, mine); err != nil || len(got) != c.want {
			t.Errorf("%s: %d sockets (%v), want %d", c.name, len(got), err, c.want)
		}
	}
}

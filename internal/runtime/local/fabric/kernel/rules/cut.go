package rules

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/larder-cache/larder/internal/network"
	"golang.org/x/sys/unix"
)

// Cuts end connections at once, idle ones too: clients get a reset where the other end
// is in the namespace. What is forwarded from instance to instance has no end here, and
// stops. Each returns how many there were. None but CutInside touches what nodes say to
// each other.

// CutOthers ends the connections to endpoints that none of their targets carries: what
// is left of endpoints that have moved. Those to a node's own address go on.
func (c *Conn) CutOthers(endpoints []Endpoint) (int, error) {
	if len(endpoints) == 0 {
		return 0, nil
	}
	targets := make(map[netip.AddrPort][]netip.AddrPort, len(endpoints))
	where := make([]condition, len(endpoints))
	for n, e := range endpoints {
		targets[e.At], where[n] = e.Targets, localIs(e.At)
	}
	return c.reset(where, func(s tcpSocket) bool {
		now, ok := targets[s.local]
		carries := func(t netip.AddrPort) bool { return s.mark.carriedBy(t.Addr()) }
		return ok && s.mark != 0 && !slices.ContainsFunc(now, carries)
	})
}

// CutDirect ends the connections that the nodes at these addresses carry themselves,
// past a relay that nobody may go past any more.
func (c *Conn) CutDirect(nodes []netip.Addr) (int, error) {
	if len(nodes) == 0 {
		return 0, nil
	}
	where := make([]condition, len(nodes))
	for n, a := range nodes {
		where[n] = markIs(hostPart(a), maskHost|markRelayed)
	}
	return c.reset(where, func(s tcpSocket) bool {
		return s.mark != 0 && !s.mark.relayed() && slices.ContainsFunc(nodes, s.mark.carriedBy)
	})
}

// CutClients ends all flows of the clients that are gone.
func (c *Conn) CutClients(gone func(netip.Addr) bool) (int, error) {
	n, err := c.reset(nil, func(s tcpSocket) bool { return s.mark != 0 && gone(s.remote.Addr()) })
	more, e := c.stop(0, func(f flow) bool { return gone(f.client.Addr()) || gone(f.dialled.Addr()) })
	return n + more, errors.Join(err, e)
}

// CutInside ends what nodes say to each other where one of them is gone. Its address is no
// more, so that it cannot say that itself.
func (c *Conn) CutInside(gone func(netip.Addr) bool) (int, error) {
	return c.reset([]condition{markIs(0, ^mark(0))}, func(s tcpSocket) bool {
		return s.mark == 0 && (gone(s.local.Addr()) || gone(s.remote.Addr()))
	})
}

// CutUnjudged ends the connections of clients (Inputs.Links) that came in while no rules
// were in force: they have no mark.
func (c *Conn) CutUnjudged(clients map[string]netip.Addr) (int, error) {
	of := make(map[netip.Addr]bool, len(clients))
	for _, a := range clients {
		of[a] = true
	}
	return c.reset([]condition{markIs(0, ^mark(0))}, func(s tcpSocket) bool { return s.mark == 0 && of[s.remote.Addr()] })
}

// CutUntracked ends the flows that were let in from everywhere and that a policy
// does not admit any more; all others go on until they end by themselves. The
// policy's table must be in force, or the flows come back.
func (c *Conn) CutUntracked(p *network.Policy, vpc string) (int, error) {
	revoked := func(protocol uint8, client, node netip.Addr, port uint16) bool {
		allowed, _ := p.Allows(network.Flow{
			Protocol: network.Protocol(protocol), SourceVPC: vpc, Source: client, VPC: vpc, Destination: node, Port: int(port),
		})
		return !allowed
	}
	n, err := c.reset([]condition{markIs(markUntracked, markUntracked)}, func(s tcpSocket) bool {
		return s.mark&markUntracked != 0 && revoked(unix.IPPROTO_TCP, s.remote.Addr(), s.mark.target(s.local.Addr()), s.local.Port())
	})
	more, e := c.stop(markUntracked, func(f flow) bool {
		return revoked(f.protocol, f.client.Addr(), f.dialled.Addr(), f.dialled.Port())
	})
	return n + more, errors.Join(err, e)
}

// reset destroys the connected sockets for which fn says yes, among those that the
// conditions leave.
func (c *Conn) reset(where []condition, fn func(tcpSocket) bool) (int, error) {
	if err := c.openDiag(); err != nil {
		return 0, err
	}
	list, err := sockets(c.diag, connected, where, fn)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, s := range list {
		errs = append(errs, destroy(c.diag, s))
	}
	return len(list), errors.Join(errs...)
}

func (c *Conn) openDiag() error {
	if c.diag != nil {
		return nil
	}
	s, err := openSocket(c.ns, unix.NETLINK_SOCK_DIAG)
	if err == nil {
		c.diag = s
	}
	return err
}

// stop forgets the forwarded flows with a mark, or with any if it is 0, for which fn
// says yes.
func (c *Conn) stop(m mark, fn func(flow) bool) (int, error) {
	found, err := c.flows(m, fn)
	errs := []error{err}
	for _, f := range found {
		errs = append(errs, c.forget(f))
	}
	return len(found), errors.Join(errs...)
}

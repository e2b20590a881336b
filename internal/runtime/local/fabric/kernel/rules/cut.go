package rules

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/larder-cache/larder/internal/network"
	"golang.org/x/sys/unix"
)

// Flow is which flows to cut: those of a client to a node. Zero fields mean all.
type Flow struct {
	Client, Node netip.Addr
	// Port is the one that the client dialled.
	Port uint16
}

func (f Flow) means(o flow) bool {
	return (!f.Client.IsValid() || f.Client == o.client.Addr()) && (!f.Node.IsValid() || f.Node == o.node.Addr()) &&
		(f.Port == 0 || f.Port == o.dialled.Port())
}

// Cut ends the flows that any of the arguments means, through whichever endpoint
// they came: their clients get a reset, idle ones too, where the other end is in
// the namespace. It returns how many there were. Without arguments it cuts none.
func (c *Conn) Cut(flows ...Flow) (int, error) {
	var which choice
	if len(flows) == 1 {
		which.node = flows[0].Node
	}
	return c.cutOf(which, func(f flow) bool {
		for _, wanted := range flows {
			if wanted.means(f) {
				return true
			}
		}
		return false
	})
}

// CutEndpoint ends the flows to an endpoint that target carries, or all of them if
// target is the zero address. Flows to the target's own address go on.
func (c *Conn) CutEndpoint(endpoint netip.AddrPort, target netip.Addr) (int, error) {
	return c.cutOf(choice{dialled: endpoint.Addr(), node: target}, func(f flow) bool {
		return f.protocol == unix.IPPROTO_TCP && f.dialled == endpoint && (!target.IsValid() || f.node.Addr() == target)
	})
}

// CutOthers ends the flows to endpoints that none of their targets carries: what is
// left of endpoints that have moved. Flows to a node's own address go on.
func (c *Conn) CutOthers(endpoints []Endpoint) (int, error) {
	if len(endpoints) == 0 {
		return 0, nil
	}
	targets := make(map[netip.AddrPort][]netip.AddrPort, len(endpoints))
	for _, e := range endpoints {
		targets[e.At] = e.Targets
	}
	return c.cut(0, func(f flow) bool {
		now, ok := targets[f.dialled]
		carries := func(t netip.AddrPort) bool { return t.Addr() == f.node.Addr() }
		return ok && f.protocol == unix.IPPROTO_TCP && !slices.ContainsFunc(now, carries)
	})
}

// CutAnswered ends the TCP flows that are answered at one of the addresses, however
// they were dialled: those past a relay that nobody may go past any more.
func (c *Conn) CutAnswered(at []netip.AddrPort) (int, error) {
	if len(at) == 0 {
		return 0, nil
	}
	return c.cut(0, func(f flow) bool { return f.protocol == unix.IPPROTO_TCP && slices.Contains(at, f.node) })
}

// CutUntracked ends the flows that were let in from everywhere and that a policy
// does not admit any more; all others go on until they end by themselves. The
// policy's table must be in force, or the flows come back.
func (c *Conn) CutUntracked(p *network.Policy, vpc string) (int, error) {
	return c.cut(markUntracked, func(f flow) bool {
		allowed, _ := p.Allows(network.Flow{
			Protocol: network.Protocol(f.protocol), SourceVPC: vpc, Source: f.client.Addr(),
			VPC: vpc, Destination: f.node.Addr(), Port: int(f.dialled.Port()),
		})
		return !allowed
	})
}

// cut is cutOf for flows with a mark, or all if it is 0.
func (c *Conn) cut(mark uint32, fn func(flow) bool) (int, error) {
	return c.cutOf(choice{mark: mark}, fn)
}

// cutOf resets the sockets of flows first, while the kernel still lets the resets
// out, and then forgets the flows.
func (c *Conn) cutOf(which choice, fn func(flow) bool) (int, error) {
	found, err := c.flows(which, fn)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	type ends struct{ local, remote netip.AddrPort }
	tcp := map[ends]bool{}
	for _, f := range found {
		if f.protocol == unix.IPPROTO_TCP {
			tcp[ends{f.node, f.seen}] = true
		}
	}
	errs := []error{c.reset(func(s tcpSocket) bool { return tcp[ends{s.local, s.remote}] })}
	for _, f := range found {
		errs = append(errs, c.forget(f))
	}
	return len(found), errors.Join(errs...)
}

// reset destroys the sockets for which fn says yes.
func (c *Conn) reset(fn func(tcpSocket) bool) error {
	if c.diag == nil {
		s, err := openSocket(c.ns, unix.NETLINK_SOCK_DIAG)
		if err != nil {
			return err
		}
		c.diag = s
	}
	list, err := sockets(c.diag, fn)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range list {
		errs = append(errs, destroy(c.diag, s))
	}
	return errors.Join(errs...)
}

package links

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/netns"
)

// space is a namespace whose network can be spoken to.
type space struct {
	ns *netns.Namespace
	*netlink.Handle
	watch watch
}

// openSpace opens the kernel's interface in a namespace.
func openSpace(ns *netns.Namespace) (*space, error) {
	s := &space{ns: ns}
	err := ns.Do(func() (err error) {
		if s.Handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
			return fmt.Errorf("netlink in %s: %w", ns.Path(), err)
		}
		if s.watch, err = newWatch(); err != nil {
			s.Handle.Close()
			return fmt.Errorf("watch %s: %w", ns.Path(), err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// closeHandles leaves the namespace itself open.
func (s *space) closeHandles() {
	s.Handle.Close()
	s.watch.close()
}

// setting is a file below /proc/sys with its value.
type setting struct{ name, value string }

// set writes settings of the namespace. A kernel without IPv6 has none of it to be
// switched off, and one that does not track connections has no times for them.
func (s *space) set(settings ...setting) error {
	return s.ns.Do(func() error {
		for _, c := range settings {
			f, err := os.OpenFile("/proc/sys/"+c.name, os.O_WRONLY, 0)
			optional := strings.HasPrefix(c.name, "net/ipv6/") || strings.HasPrefix(c.name, "net/netfilter/")
			if optional && errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return fmt.Errorf("set %s: %w", c.name, err)
			}
			_, err = f.WriteString(c.value)
			if err := errors.Join(err, f.Close()); err != nil {
				return fmt.Errorf("set %s to %s: %w", c.name, c.value, err)
			}
		}
		return nil
	})
}

// dumpTries bounds how often a list is asked for that changed meanwhile.
const dumpTries = 10

// dump asks for a list until it is consistent.
func dump[T any](list func() ([]T, error)) ([]T, error) {
	for range dumpTries - 1 {
		got, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return got, err
		}
	}
	return list()
}

// links are all interfaces by name.
func (s *space) links() (map[string]*netlink.LinkAttrs, error) {
	list, err := dump(s.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	links := make(map[string]*netlink.LinkAttrs, len(list))
	for _, l := range list {
		links[l.Attrs().Name] = l.Attrs()
	}
	return links, nil
}

// link finds an interface; nil: there is none.
func (s *space) link(name string) (netlink.Link, error) {
	l, err := s.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for interface %s: %w", name, err)
	}
	return l, nil
}

// deleteLink deletes an interface, and with it the other end of a veth.
func (s *space) deleteLink(l *netlink.LinkAttrs) error {
	err := s.LinkDel(byIndex(l.Index))
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete interface %s: %w", l.Name, err)
	}
	return nil
}

// addresses of an interface, IPv4 but 127.0.0.0/8.
func (s *space) addresses(index int) ([]netip.Prefix, error) {
	list, err := dump(func() ([]netlink.Addr, error) { return s.AddrList(byIndex(index), netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var out []netip.Prefix
	for _, a := range list {
		if p := prefix(a.IPNet); !p.Addr().IsLoopback() {
			out = append(out, p)
		}
	}
	return out, nil
}

// routes of IPv4 in every table that pass the filter.
func (s *space) routes(filter func(netlink.Route) bool) ([]netlink.Route, error) {
	list, err := dump(func() (out []netlink.Route, err error) {
		err = s.RouteListFilteredIter(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_UNSPEC},
			netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
				if filter(r) {
					out = append(out, r)
				}
				return true
			})
		return out, err
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return list, nil
}

func (s *space) addAddress(index int, a netip.Addr) error {
	err := s.AddrAdd(byIndex(index), &netlink.Addr{IPNet: ipNet(single(a))})
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add address %s: %w", a, err)
	}
	return nil
}

func (s *space) deleteAddress(index int, p netip.Prefix) error {
	err := s.AddrDel(byIndex(index), &netlink.Addr{IPNet: ipNet(p)})
	if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("delete address %s: %w", p, err)
	}
	return nil
}

// byIndex names an interface to netlink without asking for it.
func byIndex(index int) netlink.Link {
	return &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: index}}
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// prefix is the inverse of ipNet; nil, which netlink says for everything, gives
// the range of all addresses.
func prefix(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	a, _ := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), bits)
}

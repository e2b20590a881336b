package links

import "os"

// Kernel settings of namespaces. A new one begins with the host's values of
// net.ipv4.conf, whatever those are, so that all that matter are set.

// plainIPv4 are the settings of net/ipv4/conf for everybody: routes are what they
// are, whatever a neighbour says.
var plainIPv4 = []setting{
	{"accept_redirects", "0"},
	{"secure_redirects", "0"},
	{"send_redirects", "0"},
	{"accept_source_route", "0"},
	{"accept_local", "0"},
	{"route_localnet", "0"},
	{"proxy_arp", "0"},
	{"arp_ignore", "0"},
	{"arp_announce", "0"},
	{"arp_filter", "0"},
}

// noIPv6: the networks have none, so that it cannot be a way around rules.
var noIPv6 = []setting{
	{"net/ipv6/conf/all/disable_ipv6", "1"},
	{"net/ipv6/conf/default/disable_ipv6", "1"},
}

// networkSettings are those of a VPC, which routes between its interfaces. To turn
// forwarding on changes others, so it comes first.
func networkSettings() []setting {
	return append(append([]setting{{"net/ipv4/ip_forward", "1"}}, ipv4Settings("1")...), judged...)
}

// judged are for rules that look at the segment which begins a connection, and leave
// all others to the sockets: what rules have marked it with stays with the socket, and
// nothing but such a segment begins a connection, as one with a cookie would.
var judged = []setting{
	{"net/ipv4/tcp_fwmark_accept", "1"},
	{"net/ipv4/tcp_syncookies", "0"},
}

// Settable tries in the namespace of the calling thread what a VPC needs and kernels may lack.
func Settable() error {
	for _, s := range judged {
		if err := os.WriteFile("/proc/sys/"+s.name, []byte(s.value), 0); err != nil {
			return err
		}
	}
	return nil
}

// instanceSettings are those of an instance, which opens many short connections to
// few addresses as clients of caches do: half the ports with a minute's wait
// after each would be used up by 500 connections a second.
func instanceSettings() []setting {
	return append(ipv4Settings("0"),
		setting{"net/ipv4/tcp_tw_reuse", "1"},
		setting{"net/ipv4/ip_local_port_range", "10240 65535"})
}

// ipv4Settings are for everybody, but for rp_filter. With 1, a packet is dropped that
// comes from an address to which another interface leads: in a VPC each interface has
// one route, to the only address that may send there.
func ipv4Settings(rpFilter string) []setting {
	all := append([]setting(nil), noIPv6...)
	for _, s := range append([]setting{{"rp_filter", rpFilter}}, plainIPv4...) {
		for _, scope := range []string{"all", "default", "lo"} {
			all = append(all, setting{"net/ipv4/conf/" + scope + "/" + s.name, s.value})
		}
	}
	return all
}

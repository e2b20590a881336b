package links

// Kernel settings of namespaces. A new one begins with the host's values of
// net.ipv4.conf, whatever those are, so that all that matter are set.

// plainIPv4 are the settings of net/ipv4/conf for everybody: routes are what they
// are, whatever a neighbour says. Spoofed sources are refused by rules, which know
// the only address that each interface may send from; rp_filter would only guess.
var plainIPv4 = []setting{
	{"rp_filter", "0"},
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
	return append([]setting{{"net/ipv4/ip_forward", "1"}}, ipv4Settings()...)
}

// trackingSettings exist once rules are loaded. A connection that has ended counts
// for two minutes against the limit on those that are tracked (262,144 on most
// hosts): clients that connect for every request would reach it at 2,200 a second,
// and be dropped.
func trackingSettings() []setting {
	return []setting{{"net/netfilter/nf_conntrack_tcp_timeout_time_wait", "10"}}
}

// instanceSettings are those of an instance, which opens many short connections to
// few addresses as clients of caches do: half the ports with a minute's wait
// after each would be used up by 500 connections a second.
func instanceSettings() []setting {
	return append(ipv4Settings(),
		setting{"net/ipv4/tcp_tw_reuse", "1"},
		setting{"net/ipv4/ip_local_port_range", "10240 65535"})
}

func ipv4Settings() []setting {
	all := append([]setting(nil), noIPv6...)
	for _, s := range plainIPv4 {
		for _, scope := range []string{"all", "default", "lo"} {
			all = append(all, setting{"net/ipv4/conf/" + scope + "/" + s.name, s.value})
		}
	}
	return all
}

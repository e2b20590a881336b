package ec2

import "net/netip"

// parseCIDR reads an IPv4 range and puts it into canonical form; EC2 takes
// 10.0.0.5/16 for 10.0.0.0/16.
func parseCIDR(s string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is4() {
		return netip.Prefix{}, false
	}
	return p.Masked(), true
}

// unusable are ranges that no VPC may touch: nothing could be told apart from the
// host itself, its links and groups.
func unusable() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("224.0.0.0/3"),
	}
}

// The sizes that VPCs and subnets may have.
const minBits, maxBits = 16, 28

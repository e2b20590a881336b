package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxRunDir leaves room for "/<node uid>.sock" in the 107 usable bytes of a
// unix socket's path.
const maxRunDir = 64

// maxDomain leaves room for the labels of the longest endpoint name.
const maxDomain = 100

var (
	regionForm = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d$`)
	// domainForm is a domain of at least two labels.
	domainForm  = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
	accountForm = regexp.MustCompile(`^\d{12}$`)
)

// complete fills in what depends on other settings and checks everything.
func (c Config) complete(env Environment) (Config, error) {
	if c.DataDir == "" {
		return c, errors.New("data-dir must not be empty")
	}
	var err error
	if c.DataDir, err = filepath.Abs(c.DataDir); err != nil {
		return c, fmt.Errorf("data-dir: %w", err)
	}
	if c.RunDir == "" {
		c.RunDir = defaultRunDir(env, c.DataDir)
	}
	if c.RunDir, err = filepath.Abs(c.RunDir); err != nil {
		return c, fmt.Errorf("run-dir: %w", err)
	}
	c.EngineDirs = engineDirs(env, c.EngineDirs)
	c.TLS = c.TLS || c.TLSCert != ""
	for _, check := range []func() error{c.checkDirs, c.checkListen, c.checkChoices, c.checkEtcd, c.checkAddresses, c.checkNames, c.checkRefusal} {
		if err := check(); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c Config) checkDirs() error {
	if len(c.RunDir) > maxRunDir {
		return fmt.Errorf("run-dir %s is longer than %d characters, which sockets do not allow: choose a shorter one", c.RunDir, maxRunDir)
	}
	if c.RunDir == c.DataDir {
		return errors.New("run-dir and data-dir must differ")
	}
	return nil
}

func (c Config) checkListen() error {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("listen: %q is not HOST:PORT", c.Listen)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("listen: %q is not a port", port)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errors.New("tls-cert and tls-key must be given together")
	}
	if !c.TLS && !c.InsecureListen && !loopback(host) {
		return fmt.Errorf("listen: %s can be reached by others: add --tls, or --insecure-listen if that is wanted", c.Listen)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c Config) checkChoices() error {
	for _, choice := range []struct {
		name, value string
		allowed     []string
	}{
		{"fabric", c.Fabric, []string{FabricAuto, FabricKernel, FabricUserspace}},
		{"engine-versions", c.EngineVersions, []string{VersionsCompatible, VersionsExact}},
		{"endpoint-names", c.EndpointNames, []string{NamesAuto, NamesIP, NamesDNS}},
		{"log-format", c.LogFormat, []string{"text", "json"}},
	} {
		if !slices.Contains(choice.allowed, choice.value) {
			return fmt.Errorf("%s: %q is none of %v", choice.name, choice.value, choice.allowed)
		}
	}
	if c.Fabric == FabricKernel && c.Advertise != "" {
		return errors.New("advertise: the kernel fabric tells clients the addresses in the VPC, where they connect; larder publish opens a cache to others")
	}
	platforms := slices.Sorted(slices.Values(c.Platforms))
	if !slices.Equal(platforms, []string{PlatformVPC}) && !slices.Equal(platforms, []string{PlatformEC2, PlatformVPC}) {
		return fmt.Errorf("platforms: %q is neither vpc nor ec2,vpc", strings.Join(c.Platforms, ","))
	}
	if c.GroupNodes < groupNodes || c.GroupNodes > maxGroupNodes {
		return fmt.Errorf("group-nodes: %d is not between %d and %d", c.GroupNodes, groupNodes, maxGroupNodes)
	}
	if !regionForm.MatchString(c.Region) {
		return fmt.Errorf("region: %q does not look like us-east-1", c.Region)
	}
	if !accountForm.MatchString(c.Account) {
		return fmt.Errorf("account: %q is not a number of 12 digits", c.Account)
	}
	return nil
}

func (c Config) checkEtcd() error {
	e := c.Etcd
	if len(e.Endpoints) == 0 && (e.CAFile != "" || e.CertFile != "" || e.KeyFile != "" || e.Username != "" || e.PasswordFile != "") {
		return errors.New("the etcd-* settings need etcd-endpoints")
	}
	if (e.CertFile == "") != (e.KeyFile == "") {
		return errors.New("etcd-cert and etcd-key must be given together")
	}
	if (e.Username == "") != (e.PasswordFile == "") {
		return errors.New("etcd-user and etcd-password-file must be given together")
	}
	if c.Ephemeral && len(e.Endpoints) > 0 {
		return errors.New("ephemeral and etcd-endpoints exclude each other: state in an external etcd lasts")
	}
	return nil
}

func (c Config) checkRefusal() error {
	if c.RefuseAfter < 0 || c.RefuseAfter > maxRefuseAfter {
		return fmt.Errorf("refuse-after: %v is not between 0s and %v", c.RefuseAfter, maxRefuseAfter)
	}
	return nil
}

func (c Config) checkNames() error {
	if !domainForm.MatchString(c.DNSDomain) || len(c.DNSDomain) > maxDomain {
		return fmt.Errorf("dns-domain: %q is not a domain in lower case like cache.example.com of at most %d characters", c.DNSDomain, maxDomain)
	}
	if c.DNSListen.IsValid() && (c.DNSListen.Port() == 0 || c.DNSListen.Addr().IsUnspecified()) {
		return fmt.Errorf("dns-listen: %s must name one address and a port", c.DNSListen)
	}
	if ip, err := netip.ParseAddr(c.Advertise); c.EndpointNames == NamesDNS && c.Advertise != "" && (err != nil || !ip.Is4()) {
		return fmt.Errorf("endpoint-names: names lead to IPv4 addresses, and %s is none: use ip", c.Advertise)
	}
	return nil
}

func (c Config) checkAddresses() error {
	if (c.Advertise == "") != c.Ports.IsZero() {
		return errors.New("advertise and ports must be given together")
	}
	if p := c.DefaultVPCCIDR; p.Bits() < minDefaultVPCBits || p.Bits() > maxDefaultVPCBits || !p.Addr().IsGlobalUnicast() {
		return fmt.Errorf("default-vpc-cidr: %s is no range for a VPC: one of /%d to /%d is", p, minDefaultVPCBits, maxDefaultVPCBits)
	}
	if w := c.Windows; w.From+w.From%2 >= w.To {
		return fmt.Errorf("windows: %s holds no even number with the next one, which a VPC needs", w)
	}
	return nil
}

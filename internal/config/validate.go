package config

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxRunDir leaves room for "/<node uid>.sock" in the 107 usable bytes of a
// unix socket's path.
const maxRunDir = 64

var (
	regionForm  = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d$`)
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
	for _, check := range []func() error{c.checkDirs, c.checkListen, c.checkChoices, c.checkEtcd, c.checkAddresses, c.checkRefusal} {
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
		{"log-format", c.LogFormat, []string{"text", "json"}},
	} {
		if !slices.Contains(choice.allowed, choice.value) {
			return fmt.Errorf("%s: %q is none of %v", choice.name, choice.value, choice.allowed)
		}
	}
	if c.Fabric == FabricKernel {
		return errors.New("fabric: this version of Larder has no kernel fabric: use userspace or auto")
	}
	platforms := slices.Sorted(slices.Values(c.Platforms))
	if !slices.Equal(platforms, []string{PlatformVPC}) && !slices.Equal(platforms, []string{PlatformEC2, PlatformVPC}) {
		return fmt.Errorf("platforms: %q is neither vpc nor ec2,vpc", strings.Join(c.Platforms, ","))
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

func (c Config) checkAddresses() error {
	if (c.Advertise == "") != c.Ports.IsZero() {
		return errors.New("advertise and ports must be given together")
	}
	if w := c.Windows; w.From+w.From%2 >= w.To {
		return fmt.Errorf("windows: %s holds no even number with the next one, which a VPC needs", w)
	}
	return nil
}

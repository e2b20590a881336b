package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// Environment is what the defaults and the LARDER_* variables are read from.
type Environment struct {
	Get func(name string) string
	UID int
}

// OSEnvironment is that of the process.
func OSEnvironment() Environment {
	return Environment{Get: os.Getenv, UID: os.Geteuid()}
}

// Flags are all settings as flags, bound to one Config.
type Flags struct {
	env  Environment
	all  *pflag.FlagSet
	cfg  Config
	file string
}

// fileFlag is the one flag that is not a setting.
const fileFlag = "config"

// NewFlags makes the flags with their defaults.
func NewFlags(env Environment) *Flags {
	f := &Flags{env: env, all: pflag.NewFlagSet("larder", pflag.ContinueOnError)}
	f.cfg.LogLevel = slog.LevelInfo
	f.cfg.DefaultVPCCIDR = netip.MustParsePrefix(defaultVPCCIDR)
	f.cfg.Windows = Range{From: firstWindow, To: lastWindow}
	c, fs := &f.cfg, f.all
	fs.StringVar(&f.file, fileFlag, "", "YAML `file` with the same names as the flags")
	fs.StringVar(&c.DataDir, "data-dir", DefaultDataDir(env), "`directory` of the state")
	fs.StringVar(&c.RunDir, "run-dir", "", "short `directory` for sockets (default: made from the data directory)")
	fs.StringVar(&c.Listen, "listen", "127.0.0.1:4566", "`address` of the API")
	fs.BoolVar(&c.TLS, "tls", false, "serve the API over TLS, with a certificate of the deployment's own authority")
	fs.StringVar(&c.TLSCert, "tls-cert", "", "PEM `file` with the API's certificate chain; implies --tls")
	fs.StringVar(&c.TLSKey, "tls-key", "", "PEM `file` with its key")
	fs.BoolVar(&c.InsecureListen, "insecure-listen", false, "permit --listen on a non-loopback address without TLS")
	fs.StringVar(&c.Fabric, "fabric", FabricAuto, "network of the caches: `auto|kernel|userspace`")
	fs.StringVar(&c.Region, "region", "us-east-1", "`region` of the host and of larder env")
	fs.StringVar(&c.Account, "account", "000000000000", "12-digit account `number` that owns everything")
	fs.StringSliceVar(&c.Platforms, "platforms", []string{PlatformVPC}, "`platforms` of the account: vpc, or ec2,vpc for one that has EC2-Classic too")
	fs.IntVar(&c.GroupNodes, "group-nodes", groupNodes, "quota: most `nodes` of a replication group in cluster mode")
	fs.StringSliceVar(&c.Etcd.Endpoints, "etcd-endpoints", nil, "`URLs` of an external etcd")
	fs.StringVar(&c.Etcd.CAFile, "etcd-ca", "", "PEM `file` of the external etcd's authority")
	fs.StringVar(&c.Etcd.CertFile, "etcd-cert", "", "PEM `file` of the client certificate for etcd")
	fs.StringVar(&c.Etcd.KeyFile, "etcd-key", "", "PEM `file` of its key")
	fs.StringVar(&c.Etcd.Username, "etcd-user", "", "user `name` for etcd")
	fs.StringVar(&c.Etcd.PasswordFile, "etcd-password-file", "", "`file` with the password of that user")
	fs.StringSliceVar(&c.EngineDirs, "engine-dirs", nil, "`directories` searched for engines before PATH")
	fs.StringVar(&c.EngineVersions, "engine-versions", VersionsCompatible, "versions offered: `compatible|exact`")
	fs.StringVar(&c.Advertise, "advertise", "", "`host` that clients of caches are told, with --ports")
	fs.Var(&rangeValue{to: &c.Ports, what: "port", max: 65535}, "ports", "port `range` A-B of the advertised endpoints")
	fs.Var(&rangeValue{to: &c.Windows, what: "window", max: lastWindow}, "windows", "`range` A-B of the N in 127.N.0.0/16 that VPCs are mapped to; deployments of one host must not share any")
	fs.TextVar(&c.DNSListen, "dns-listen", netip.AddrPort{}, "IP:PORT `address` where names of endpoints are answered, e.g. 127.0.0.1:4553 (default: nowhere)")
	fs.StringVar(&c.DNSDomain, "dns-domain", "cache.larder.internal", "`domain` of the names of endpoints")
	fs.StringVar(&c.EndpointNames, "endpoint-names", NamesAuto, "what clients are told of endpoints: `auto|ip|dns`; auto is dns after larder dns install")
	fs.Var((*prefixValue)(&c.DefaultVPCCIDR), "default-vpc-cidr", "`range` of the default VPC of every region")
	fs.DurationVar(&c.RefuseAfter, "refuse-after", refuseAfter, "how `long` a client that no security group admits waits for its reset")
	fs.BoolVar(&c.Ephemeral, "ephemeral", false, "take engines and state along at the end")
	fs.Var((*logLevel)(&c.LogLevel), "log-level", "`debug|info|warn|error`")
	fs.StringVar(&c.LogFormat, "log-format", "text", "`text|json`")
	return f
}

// AddTo offers the named flags on a command; without names all of them.
func (f *Flags) AddTo(fs *pflag.FlagSet, names ...string) {
	if len(names) == 0 {
		fs.AddFlagSet(f.all)
		return
	}
	for _, name := range names {
		fs.AddFlag(f.all.Lookup(name))
	}
}

// Load reads the file and the environment into what the flags left open, and
// checks the result.
func (f *Flags) Load() (Config, error) {
	file, err := f.readFile()
	if err != nil {
		return Config{}, err
	}
	f.all.VisitAll(func(flag *pflag.Flag) {
		if err != nil || flag.Changed || flag.Name == fileFlag {
			return
		}
		source, value := variable(flag.Name), f.env.Get(variable(flag.Name))
		if value == "" {
			var ok bool
			if value, ok = file[flag.Name]; !ok {
				return
			}
			source = f.file + ": " + flag.Name
		}
		if e := flag.Value.Set(value); e != nil {
			err = fmt.Errorf("%s: %w", source, e)
		}
	})
	if err != nil {
		return Config{}, err
	}
	return f.cfg.complete(f.env)
}

// variable is the environment variable of a setting.
func variable(name string) string {
	return "LARDER_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// rangeValue is a Range as a flag; max bounds both of its ends.
type rangeValue struct {
	to   *Range
	what string
	max  int
}

// String implements pflag.Value.
func (v *rangeValue) String() string {
	if v.to == nil {
		return ""
	}
	return v.to.String()
}

// Type implements pflag.Value.
func (v *rangeValue) Type() string { return "range" }

// Set implements pflag.Value.
func (v *rangeValue) Set(s string) error {
	from, to, ok := strings.Cut(s, "-")
	if !ok {
		return fmt.Errorf("%q is not a range like 10-20", s)
	}
	r := Range{}
	for _, end := range []struct {
		text string
		to   *int
	}{{from, &r.From}, {to, &r.To}} {
		n, err := strconv.Atoi(strings.TrimSpace(end.text))
		if err != nil || n < 1 || n > v.max {
			return fmt.Errorf("%q is not a %s (1 to %d)", end.text, v.what, v.max)
		}
		*end.to = n
	}
	if r.To < r.From {
		return fmt.Errorf("%q ends before it begins", s)
	}
	*v.to = r
	return nil
}

// prefixValue is a range of IPv4 addresses as a flag.
type prefixValue netip.Prefix

// String implements pflag.Value.
func (v *prefixValue) String() string { return netip.Prefix(*v).String() }

// Type implements pflag.Value.
func (v *prefixValue) Type() string { return "range" }

// Set implements pflag.Value.
func (v *prefixValue) Set(s string) error {
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is4() || p.Masked() != p {
		return fmt.Errorf("%q is no range of addresses like %s", s, defaultVPCCIDR)
	}
	*v = prefixValue(p)
	return nil
}

type logLevel slog.Level

// String implements pflag.Value.
func (l *logLevel) String() string { return strings.ToLower(slog.Level(*l).String()) }

// Type implements pflag.Value.
func (l *logLevel) Type() string { return "level" }

// Set implements pflag.Value.
func (l *logLevel) Set(s string) error {
	switch s {
	case "debug", "info", "warn", "error":
		return (*slog.Level)(l).UnmarshalText([]byte(s))
	}
	return fmt.Errorf("%q is none of debug, info, warn, error", s)
}

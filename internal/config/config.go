// Package config is the configuration of a Larder server: one list of settings
// that are flags, environment variables (LARDER_*) and keys of a YAML file under
// the same names. A flag wins over the environment, the environment over the
// file, the file over the default.
package config

import (
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// Values of Config.Fabric.
const (
	FabricAuto      = "auto"
	FabricKernel    = "kernel"
	FabricUserspace = "userspace"
)

// Values of Config.EngineVersions.
const (
	VersionsCompatible = "compatible"
	VersionsExact      = "exact"
)

// Values of Config.Platforms.
const (
	PlatformEC2 = "ec2"
	PlatformVPC = "vpc"
)

// Values of Config.EndpointNames.
const (
	NamesAuto = "auto"
	NamesIP   = "ip"
	NamesDNS  = "dns"
)

// Config is a complete, validated configuration.
type Config struct {
	// DataDir holds state that must last, RunDir sockets; RunDir is short because
	// the path of a unix socket is limited to 108 bytes. Both are absolute.
	DataDir, RunDir string
	// Listen is HOST:PORT of the API; port 0 takes any free one.
	Listen string
	// TLS serves the API over TLS, with the certificate of the deployment's own
	// authority unless TLSCert and TLSKey name PEM files.
	TLS             bool
	TLSCert, TLSKey string
	// InsecureListen permits a plaintext listener that others can reach.
	InsecureListen bool
	// Fabric is FabricAuto, FabricKernel or FabricUserspace.
	Fabric string
	// Region is where the host is, and what `larder env` prints.
	Region string
	// Account is the 12-digit account that owns everything.
	Account string
	// Platforms are those that the account can launch into: PlatformVPC alone, or
	// PlatformEC2, which is EC2-Classic, beside it.
	Platforms []string
	// GroupNodes is the quota of nodes of a group in cluster mode.
	GroupNodes int
	Etcd       Etcd
	// EngineDirs are searched for engines, in this order: the configured ones,
	// those of PATH, and the usual ones that the PATH of a user often lacks.
	EngineDirs []string
	// EngineVersions is VersionsCompatible or VersionsExact.
	EngineVersions string
	// Advertise is the host name or address that clients of caches are told,
	// each endpoint with a port of Ports; empty: the endpoint's own address.
	Advertise string
	Ports     Range
	// Windows are the second bytes of the addresses 127.N.0.0/16 that VPCs are
	// mapped to, each VPC two of them. Deployments of one host must not share any.
	Windows Range
	// DefaultVPCCIDR is the range of the default VPC of every region.
	DefaultVPCCIDR netip.Prefix
	// DNSListen is the IP:PORT where names of endpoints are answered on this host;
	// invalid: nowhere. DNSDomain is the domain of the names.
	DNSListen netip.AddrPort
	DNSDomain string
	// EndpointNames is NamesAuto, NamesIP or NamesDNS.
	EndpointNames string
	// RefuseAfter is how long a client that no rule lets in is left in silence
	// before its connection is reset.
	RefuseAfter time.Duration
	// Ephemeral takes engines and state along when the server ends.
	Ephemeral bool
	LogLevel  slog.Level
	// LogFormat is "text" or "json".
	LogFormat string
}

// Deployment is a short name that follows from the data directory: what is ours in
// the kernel is known by it.
func (c Config) Deployment() string { return shortHash(c.DataDir) }

// Classic reports whether the account can use EC2-Classic.
func (c Config) Classic() bool { return slices.Contains(c.Platforms, PlatformEC2) }

// The quota of nodes of a group in cluster mode unless configured otherwise, and the
// highest: what an account of AWS has, and what it may ask for.
const groupNodes, maxGroupNodes = 90, 500

// defaultVPCCIDR is the range of a default VPC unless configured otherwise, as it is
// in every account of AWS. It has room for sixteen subnets of the smallest size or
// larger.
const (
	defaultVPCCIDR                       = "172.31.0.0/16"
	minDefaultVPCBits, maxDefaultVPCBits = 16, 24
)

// The time that a refused client waits unless configured otherwise, and at most. A
// packet filter would leave it waiting for ever.
const refuseAfter, maxRefuseAfter = 10 * time.Second, 10 * time.Minute

// The windows of 127.0.0.0/8 that are used unless configured otherwise; lower and
// higher ones are left to the host.
const firstWindow, lastWindow = 10, 253

// Etcd names an external etcd. Without Endpoints the server runs its own.
type Etcd struct {
	Endpoints                 []string
	CAFile, CertFile, KeyFile string
	Username, PasswordFile    string
}

// Range is inclusive; the zero value is no range.
type Range struct{ From, To int }

// IsZero reports whether there is no range.
func (p Range) IsZero() bool { return p == Range{} }

// String is "FROM-TO", or empty.
func (p Range) String() string {
	if p.IsZero() {
		return ""
	}
	return strconv.Itoa(p.From) + "-" + strconv.Itoa(p.To)
}

// DefaultDataDir is where state is kept unless configured otherwise.
func DefaultDataDir(env Environment) string {
	if env.UID == 0 {
		return "/var/lib/larder"
	}
	if state := env.Get("XDG_STATE_HOME"); state != "" {
		return filepath.Join(state, "larder")
	}
	return filepath.Join(env.Get("HOME"), ".local", "state", "larder")
}

// engineDirs adds to the configured directories those of PATH and of the system.
// Relative ones of PATH are left out: they would depend on where one stands.
func engineDirs(env Environment, configured []string) []string {
	dirs := slices.Clone(configured)
	for _, dir := range append(filepath.SplitList(env.Get("PATH")), "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin") {
		if filepath.IsAbs(dir) && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// defaultRunDir is named after the data directory, so that the servers of two
// data directories do not meet.
func defaultRunDir(env Environment, dataDir string) string {
	name := shortHash(dataDir)
	if env.UID == 0 {
		return filepath.Join("/run/larder", name)
	}
	if run := env.Get("XDG_RUNTIME_DIR"); run != "" {
		return filepath.Join(run, "larder", name)
	}
	return filepath.Join("/tmp", "larder-"+strconv.Itoa(env.UID), name)
}

func shortHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:4])
}

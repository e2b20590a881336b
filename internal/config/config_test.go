package config

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// load runs the flags as a command line would.
func load(t *testing.T, env map[string]string, args ...string) (Config, error) {
	t.Helper()
	f := NewFlags(Environment{Get: func(name string) string { return env[name] }, UID: 1000})
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f.AddTo(fs)
	if err := fs.Parse(args); err != nil {
		return Config{}, err
	}
	return f.Load()
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "larder.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	cfg, err := load(t, map[string]string{"HOME": "/home/u"})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.DataDir != "/home/u/.local/state/larder" {
		t.Errorf("data directory is %s", cfg.DataDir)
	}
	if !strings.HasPrefix(cfg.RunDir, "/tmp/larder-1000/") {
		t.Errorf("run directory is %s", cfg.RunDir)
	}
	if cfg.Listen != "127.0.0.1:4566" || cfg.Region != "us-east-1" || cfg.Account != "000000000000" ||
		cfg.Fabric != FabricAuto || cfg.DNSListen.IsValid() || cfg.DNSDomain != "cache.larder.internal" || cfg.EndpointNames != NamesAuto || cfg.EngineVersions != VersionsCompatible || cfg.LogLevel != slog.LevelInfo {
		t.Errorf("unexpected defaults: %+v", cfg)
	}
}

func TestDefaultDirectories(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		uid       int
		env       map[string]string
		data, run string
	}{
		{"root", 0, nil, "/var/lib/larder", "/run/larder/"},
		{"user", 7, map[string]string{"HOME": "/h"}, "/h/.local/state/larder", "/tmp/larder-7/"},
		{"xdg", 7, map[string]string{"XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/r"}, "/s/larder", "/r/larder/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg, err := NewFlags(Environment{Get: func(n string) string { return c.env[n] }, UID: c.uid}).Load()
			if err != nil {
				t.Fatal(err)
			}
			if cfg.DataDir != c.data || !strings.HasPrefix(cfg.RunDir, c.run) || len(cfg.RunDir) != len(c.run)+8 {
				t.Errorf("got %s and %s", cfg.DataDir, cfg.RunDir)
			}
		})
	}
}

func TestRunDirectoryFollowsDataDirectory(t *testing.T) {
	t.Parallel()
	a, errA := load(t, nil, "--data-dir=/a")
	b, errB := load(t, nil, "--data-dir=/b")
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if a.RunDir == b.RunDir {
		t.Errorf("two data directories share %s", a.RunDir)
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	file := write(t, "region: eu-west-1\naccount: \"111111111111\"\nlog-level: warn\nengine-dirs: [/opt/a, /opt/b]\ntls: true\nports: 7000-7100\nadvertise: cache.test\n")
	env := map[string]string{"LARDER_REGION": "eu-north-1", "LARDER_ACCOUNT": "222222222222", "LARDER_CONFIG": file}
	cfg, err := load(t, env, "--account=333333333333")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Account != "333333333333" {
		t.Errorf("account %s: the flag must win", cfg.Account)
	}
	if cfg.Region != "eu-north-1" {
		t.Errorf("region %s: the environment must win over the file", cfg.Region)
	}
	if cfg.LogLevel != slog.LevelWarn || !cfg.TLS || !slices.Equal(cfg.EngineDirs[:2], []string{"/opt/a", "/opt/b"}) ||
		cfg.Ports != (Range{7000, 7100}) {
		t.Errorf("the file was not read: %+v", cfg)
	}
}

func TestEngineDirectories(t *testing.T) {
	t.Parallel()
	cfg, err := load(t, map[string]string{"PATH": "/opt/x::bin:/usr/bin:/opt/x"}, "--engine-dirs=/mine,./theirs")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/mine", "./theirs", "/opt/x", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/usr/sbin"}
	if !slices.Equal(cfg.EngineDirs, want) {
		t.Errorf("got %v, want %v", cfg.EngineDirs, want)
	}
}

func TestEverySettingIsReachable(t *testing.T) {
	t.Parallel()
	f := NewFlags(Environment{Get: func(string) string { return "" }})
	f.all.VisitAll(func(flag *pflag.Flag) {
		if flag.Usage == "" {
			t.Errorf("--%s has no description", flag.Name)
		}
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		file string
		env  map[string]string
		args []string
		want string
	}{
		{name: "unknown key", file: "regoin: eu-west-1\n", want: `unknown setting "regoin"`},
		{name: "config inside the file", file: "config: x\n", want: `unknown setting "config"`},
		{name: "nested file", file: "etcd:\n  endpoints: x\n", want: "must be a value or a list"},
		{name: "not yaml", file: "{", want: "larder.yaml"},
		{name: "same key twice", file: "region: eu-west-1\nregion: eu-west-2\n", want: "already defined"},
		{name: "bad value in file", file: "tls: perhaps\n", want: "tls"},
		{name: "bad value in environment", env: map[string]string{"LARDER_LOG_LEVEL": "loud"}, want: "LARDER_LOG_LEVEL"},
		{name: "missing file", args: []string{"--config=/nonexistent/x.yaml"}, want: "no such file"},
		{name: "public plaintext listener", args: []string{"--listen=0.0.0.0:4566"}, want: "--insecure-listen"},
		{name: "listener on every address", args: []string{"--listen=:4566"}, want: "--insecure-listen"},
		{name: "listener without port", args: []string{"--listen=localhost"}, want: "HOST:PORT"},
		{name: "listener with a bad port", args: []string{"--listen=localhost:http"}, want: "not a port"},
		{name: "certificate without key", args: []string{"--tls-cert=a.pem"}, want: "together"},
		{name: "kernel fabric advertised", args: []string{"--fabric=kernel", "--advertise=cache.test", "--ports=7000-7010"}, want: "larder publish"},
		{name: "default VPC with host bits", args: []string{"--default-vpc-cidr=10.1.2.3/16"}, want: "no range of addresses"},
		{name: "default VPC of IPv6", args: []string{"--default-vpc-cidr=fd00::/16"}, want: "no range of addresses"},
		{name: "default VPC too small", args: []string{"--default-vpc-cidr=10.0.0.0/28"}, want: "/16 to /24"},
		{name: "default VPC too large", args: []string{"--default-vpc-cidr=10.0.0.0/8"}, want: "/16 to /24"},
		{name: "default VPC of loopback", args: []string{"--default-vpc-cidr=127.9.0.0/16"}, want: "no range for a VPC"},
		{name: "unknown fabric", args: []string{"--fabric=cloud"}, want: "none of"},
		{name: "quota below that of AWS", args: []string{"--group-nodes=89"}, want: "between 90 and 500"},
		{name: "quota above that of AWS", args: []string{"--group-nodes=501"}, want: "between 90 and 500"},
		{name: "region", args: []string{"--region=mars"}, want: "us-east-1"},
		{name: "account", args: []string{"--account=12"}, want: "12 digits"},
		{name: "etcd option alone", args: []string{"--etcd-user=root"}, want: "etcd-endpoints"},
		{name: "etcd user without password", args: []string{"--etcd-endpoints=http://e:1", "--etcd-user=root"}, want: "together"},
		{name: "ephemeral external state", args: []string{"--etcd-endpoints=http://e:1", "--ephemeral"}, want: "exclude"},
		{name: "advertise without ports", args: []string{"--advertise=h"}, want: "together"},
		{name: "ports without advertise", args: []string{"--ports=1-2"}, want: "together"},
		{name: "ports reversed", args: []string{"--advertise=h", "--ports=9-2"}, want: "before it begins"},
		{name: "ports beyond the last", args: []string{"--advertise=h", "--ports=9-70000"}, want: "not a port"},
		{name: "windows too narrow", args: []string{"--windows=11-12"}, want: "even number"},
		{name: "window beyond the last", args: []string{"--windows=11-254"}, want: "not a window"},
		{name: "long run directory", args: []string{"--run-dir=/" + strings.Repeat("x", 80)}, want: "shorter"},
		{name: "same directories", args: []string{"--data-dir=/d", "--run-dir=/d"}, want: "differ"},
		{name: "empty data directory", args: []string{"--data-dir="}, want: "data-dir"},
		{name: "domain in capitals", args: []string{"--dns-domain=Cache.example.com"}, want: "not a domain"},
		{name: "domain of one label", args: []string{"--dns-domain=cache"}, want: "not a domain"},
		{name: "domain with a dot too many", args: []string{"--dns-domain=cache.example.com."}, want: "not a domain"},
		{name: "long domain", args: []string{"--dns-domain=" + strings.Repeat("a.", 60) + "com"}, want: "at most 100"},
		{name: "resolver without port", args: []string{"--dns-listen=127.0.0.1"}, want: "dns-listen"},
		{name: "resolver on any port", args: []string{"--dns-listen=127.0.0.1:0"}, want: "a port"},
		{name: "resolver everywhere", args: []string{"--dns-listen=0.0.0.0:53"}, want: "one address"},
		{name: "names of endpoints", args: []string{"--endpoint-names=cname"}, want: "none of"},
		{name: "names for a name", args: []string{"--endpoint-names=dns", "--advertise=h", "--ports=1-2"}, want: "use ip"},
		{name: "log format", args: []string{"--log-format=xml"}, want: "none of"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			args := c.args
			if c.file != "" {
				args = append(args, "--config="+write(t, c.file))
			}
			_, err := load(t, c.env, args...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestListenersThatArePermitted(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--listen=[::1]:0"},
		{"--listen=127.0.0.9:80"},
		{"--listen=localhost:80"},
		{"--listen=0.0.0.0:80", "--tls"},
		{"--listen=0.0.0.0:80", "--tls-cert=a", "--tls-key=b"},
		{"--listen=0.0.0.0:80", "--insecure-listen"},
	} {
		if _, err := load(t, nil, args...); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestMakeDirs(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	c := Config{DataDir: filepath.Join(base, "d", "data"), RunDir: filepath.Join(base, "r", "run")}
	for range 2 {
		if err := c.MakeDirs(); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{c.DataDir, c.RunDir} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v %v", dir, info.Mode(), err)
		}
	}
	if err := os.Chmod(c.RunDir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.MakeDirs(); err == nil || !strings.Contains(err.Error(), "0700") {
		t.Errorf("a run directory open to others was taken: %v", err)
	}
	c.RunDir = "/tmp"
	if err := c.MakeDirs(); err == nil {
		t.Error("/tmp itself was taken as the run directory")
	}
}

func TestPlatforms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args    []string
		env     string
		classic bool
		refused string
	}{
		{},
		{args: []string{"--platforms=vpc"}},
		{args: []string{"--platforms=ec2,vpc"}, classic: true},
		{args: []string{"--platforms=vpc,ec2"}, classic: true},
		{env: "ec2,vpc", classic: true},
		{args: []string{"--platforms=ec2"}, refused: `platforms: "ec2" is neither vpc nor ec2,vpc`},
		{args: []string{"--platforms=vpc,vpc"}, refused: `platforms: "vpc,vpc" is neither vpc nor ec2,vpc`},
		{args: []string{"--platforms=EC2,VPC"}, refused: `platforms: "EC2,VPC" is neither vpc nor ec2,vpc`},
		{args: []string{"--platforms="}, refused: `platforms: "" is neither vpc nor ec2,vpc`},
	} {
		cfg, err := load(t, map[string]string{"LARDER_PLATFORMS": c.env}, c.args...)
		if c.refused != "" {
			if err == nil || err.Error() != c.refused {
				t.Errorf("%v: got %v, want %s", c.args, err, c.refused)
			}
			continue
		}
		if err != nil || cfg.Classic() != c.classic {
			t.Errorf("%v %q: classic %v, %v", c.args, c.env, cfg.Classic(), err)
		}
	}
}

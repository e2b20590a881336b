package config

import "runtime/debug"

// version is set by the linker.
var version string

// Version is the version of this binary: what the build stamped, else what the
// module system knows, else "devel".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

package resource

// HostResolver says that this host resolves the names of endpoints, and by what. There
// is none while it does not. Key: HostResolverKey.
type HostResolver struct {
	// Via is one of the ways below.
	Via string
	// Path is the file that holds the names, or what was configured.
	Path string
	// Removing asks to take the names out of the hosts file again; the record goes
	// when that is done.
	Removing bool
	// Ready: the host resolves the names. Trouble says why not. Of a hosts file, both
	// are written by the controller.
	Ready   bool
	Trouble string
}

// HostResolverKey is the key of the one host resolver.
const HostResolverKey = "host"

// The ways in which a host resolves names: systemd-resolved asks Larder's resolver, a
// hosts file holds the names themselves.
const (
	ViaResolved = "systemd-resolved"
	ViaHosts    = "hosts"
)

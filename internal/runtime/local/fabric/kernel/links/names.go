package links

import (
	"crypto/sha256"
	"encoding/base32"
	"regexp"
	"strings"
)

// HostInterface is the host's interface inside the namespace of a VPC.
const HostInterface = "host"

const (
	// instanceInterface is an instance's own interface.
	instanceInterface = "eth0"
	// instancePrefix begins the names of instances' interfaces in the VPC.
	instancePrefix = "i-"
	// hostPrefix begins the names of our interfaces in the host's namespace.
	hostPrefix = "ldr"
)

var (
	validDeployment = regexp.MustCompile(`^[a-z0-9]{1,16}$`)
	// validID keeps names together with their prefix below 255 bytes.
	validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
)

// InterfaceName is the interface of an instance inside the namespace of its VPC,
// which is what rules see. An interface's name has at most 15 bytes, fewer than
// an id, so it is a digest; the id is the interface's alias.
func InterfaceName(instanceID string) string { return instancePrefix + digest(instanceID, 13) }

// hostLinks begins the names of all interfaces of the deployment in the host's
// namespace.
func (l *Links) hostLinks() string { return hostPrefix + digest(l.cfg.Deployment, 6) }

// hostLink is the host's own interface for a network.
func (l *Links) hostLink(network string) string { return l.hostLinks() + digest(network, 6) }

// spaceName is the name of the namespace of a network or an instance.
func (l *Links) spaceName(id string) string { return "larder-" + l.cfg.Deployment + "-" + id }

// digest gives n letters and digits for a text.
func digest(text string, n int) string {
	sum := sha256.Sum256([]byte(text))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:n]
}

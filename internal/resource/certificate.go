package resource

import (
	"time"

	"github.com/larder-cache/larder/internal/core"
)

// Certificate is a certificate authority or a server certificate of a group or
// cluster. Key: "ca", "node-ca" or REGION/OWNERUID (a group and a cluster may have
// the same id).
type Certificate struct {
	// OwnerUID is the UID of the group or cluster it was issued for.
	OwnerUID string
	// ChainPEM is the certificate (and its issuer), KeyPEM the sealed key.
	ChainPEM string
	KeyPEM   core.Sealed
	// Names are the addresses and DNS names it is valid for, sorted.
	Names    []string
	NotAfter time.Time
}

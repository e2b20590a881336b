package elasticache

import (
	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/resource"
)

// tlsModesVersion is the first Redis whose groups can change their TLS mode;
// every Valkey can.
const tlsModesVersion = "7.0"

// servesTLSModes reports whether a group of this engine can have the mode
// "preferred", and with it change from and to TLS.
func servesTLSModes(engine, version string) bool {
	return engine == catalog.Valkey || engine == catalog.Redis && catalog.Compare(version, tlsModesVersion) >= 0
}

// nextTLS is the mode that a change of TransitEncryptionEnabled (on) and
// TransitEncryptionMode leads to; nil and "" were not sent. A step at a time,
// so that no client is cut off without warning:
//
//	off <------> preferred <------> required
//
//	from       on=true                   on=false   mode alone
//	off        only with mode preferred  -          refused
//	preferred  mode, or as it is         off        mode
//	required   mode, or as it is         refused    mode
func nextTLS(current resource.TLSMode, on *bool, mode string) (resource.TLSMode, error) {
	off := on != nil && !*on
	switch {
	case off && mode != "":
		return current, errTLSModeOnly()
	case off && current == resource.TLSRequired:
		return current, errTLSRequiredToOff()
	case off:
		return resource.TLSOff, nil
	case current != resource.TLSOff && mode == "":
		return current, nil
	case current != resource.TLSOff:
		return resource.TLSMode(mode), nil
	case on == nil && mode != "":
		return current, errTLSModeOnly()
	case on == nil:
		return current, nil
	case mode != string(resource.TLSPreferred):
		return current, errTLSDirect()
	default:
		return resource.TLSPreferred, nil
	}
}

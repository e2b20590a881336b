package resource

import (
	"strings"

	"github.com/larder-cache/larder/internal/store"
)

// classicPrefix begins the ids of EC2-Classic networks, which users never see.
const classicPrefix = "classic-"

// ClassicID is the id of an EC2-Classic network; unique is its own part of it.
func ClassicID(unique string) string { return classicPrefix + unique }

// IsClassic reports whether a network is the one that all of a region's
// EC2-Classic shares. It is kept among the VPCs and is none: nobody names it, and
// security groups in it have no VPC.
func IsClassic(networkID string) bool { return strings.HasPrefix(networkID, classicPrefix) }

// ClassicNetwork is a region's EC2-Classic network if it has been made.
func ClassicNetwork(r store.Reader, region string) (*VPC, bool) {
	for _, v := range VPCs.List(r, region+"/"+classicPrefix) {
		return v, true
	}
	return nil, false
}

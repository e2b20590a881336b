package resource

import (
	"time"

	"github.com/larder-cache/larder/internal/store"
)

// Kinds of resources that events are about.
const (
	SourceCacheCluster     = "cache-cluster"
	SourceReplicationGroup = "replication-group"
	SourceParameterGroup   = "cache-parameter-group"
	SourceSubnetGroup      = "cache-subnet-group"
)

// Event is an entry of DescribeEvents, kept for 14 days.
// Key: REGION/TIME/UID with a sortable time, see EventKey.
type Event struct {
	Region string
	UID    string
	Time   time.Time
	// SourceType is "cache-cluster", "replication-group", ...
	SourceType, SourceID string
	Message              string
}

// EventKey is the key of an event: keys sort by time.
func EventKey(region string, t time.Time, uid string) string {
	return region + "/" + t.UTC().Format("20060102T150405.000000000Z") + "/" + uid
}

// RecordEvent adds an event to a transaction. UID and Time are set by the
// caller, outside the transaction, so that a re-run writes the same record.
func RecordEvent(tx *store.Tx, e Event) {
	Events.Put(tx, EventKey(e.Region, e.Time, e.UID), &e)
}

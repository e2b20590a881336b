package resource

import "time"

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

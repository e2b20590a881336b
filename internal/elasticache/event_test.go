package elasticache

import (
	"fmt"
	"strings"
	"testing"
	"time"

	wire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// standingClock always shows the same time.
type standingClock struct{ core.SystemClock }

var noon = time.Date(2026, 3, 15, 12, 0, 0, 0, time.UTC)

func (standingClock) Now() time.Time { return noon }

// record stores an event that happened some minutes before noon.
func (f *clusterFixture) record(minutes int, kind, id, message string) {
	f.t.Helper()
	f.update(func(tx *store.Tx) error {
		resource.RecordEvent(tx, resource.Event{
			Region: testRegion, UID: "uid-" + message, Time: noon.Add(-time.Duration(minutes) * time.Minute),
			SourceType: kind, SourceID: id, Message: message,
		})
		return nil
	})
}

func TestDescribeEvents(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t, func(c *Config) { c.Clock = standingClock{} })
	f.record(0, resource.SourceCacheCluster, "c1", "now")
	f.record(30, resource.SourceCacheCluster, "c1", "half")
	f.record(30, resource.SourceReplicationGroup, "c1", "group")
	f.record(60, resource.SourceCacheCluster, "c2", "hour")
	f.record(61, resource.SourceCacheCluster, "c1", "earlier")
	f.record(14*24*60, resource.SourceCacheCluster, "c1", "oldest")
	f.record(14*24*60+1, resource.SourceCacheCluster, "c1", "expired")
	f.update(func(tx *store.Tx) error {
		resource.RecordEvent(tx, resource.Event{Region: "us-east-2", UID: "u", Time: noon, SourceType: resource.SourceCacheCluster, SourceID: "c1", Message: "elsewhere"})
		return nil
	})
	ago := func(minutes int) *time.Time { return core.Ptr(noon.Add(-time.Duration(minutes) * time.Minute)) }
	for _, tc := range []struct {
		name             string
		in               wire.DescribeEventsMessage
		code, text, want string
	}{
		{name: "the last hour", want: "now group half hour"},
		{name: "a duration", in: wire.DescribeEventsMessage{Duration: core.Ptr(61)}, want: "now group half hour earlier"},
		{name: "all that is kept", in: wire.DescribeEventsMessage{Duration: core.Ptr(20160)}, want: "now group half hour earlier oldest"},
		{name: "from a time", in: wire.DescribeEventsMessage{StartTime: ago(61)}, want: "now group half hour earlier"},
		{name: "from long ago", in: wire.DescribeEventsMessage{StartTime: ago(100000)}, want: "now group half hour earlier oldest"},
		{name: "between", in: wire.DescribeEventsMessage{StartTime: ago(60), EndTime: ago(30)}, want: "group half hour"},
		{name: "from a time for a duration", in: wire.DescribeEventsMessage{StartTime: ago(61), Duration: core.Ptr(1)}, want: "hour earlier"},
		{name: "up to a time", in: wire.DescribeEventsMessage{EndTime: ago(30)}, want: "group half hour earlier"},
		{name: "of a kind", in: wire.DescribeEventsMessage{SourceType: core.Ptr("replication-group")}, want: "group"},
		{name: "of a source", in: wire.DescribeEventsMessage{SourceType: core.Ptr("cache-cluster"), SourceIdentifier: core.Ptr("C1")}, want: "now half"},
		{name: "of an unknown source", in: wire.DescribeEventsMessage{SourceType: core.Ptr("cache-cluster"), SourceIdentifier: core.Ptr("none")}},
		{
			name: "a source without its kind", in: wire.DescribeEventsMessage{SourceIdentifier: core.Ptr("c1")},
			code: "InvalidParameterCombination", text: "The parameter SourceType must be provided together with SourceIdentifier.",
		},
		{
			name: "no duration", in: wire.DescribeEventsMessage{Duration: core.Ptr(0)},
			code: "InvalidParameterValue", text: "The parameter Duration must be between 1 and 20160.",
		},
		{
			name: "a long duration", in: wire.DescribeEventsMessage{Duration: core.Ptr(20161)},
			code: "InvalidParameterValue", text: "The parameter Duration must be between 1 and 20160.",
		},
		{
			name: "a duration beyond what is counted", in: wire.DescribeEventsMessage{Duration: core.Ptr(1 << 62)},
			code: "InvalidParameterValue", text: "The parameter Duration must be between 1 and 20160.",
		},
		{
			name: "backwards", in: wire.DescribeEventsMessage{StartTime: ago(1), EndTime: ago(2)},
			code: "InvalidParameterCombination", text: "The parameter StartTime must not be later than EndTime.",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			out, err := f.DescribeEvents(f.ctx, &tc.in)
			if tc.code != "" {
				wantError(t, err, tc.code, tc.text)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range out.Events {
				got = append(got, *e.Message)
			}
			if strings.Join(got, " ") != tc.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestEventPages(t *testing.T) {
	t.Parallel()
	f := newClusterFixture(t, func(c *Config) { c.Clock = standingClock{} })
	for i := range 45 {
		f.record(i, resource.SourceCacheCluster, "c", fmt.Sprint(i))
	}
	in := &wire.DescribeEventsMessage{MaxRecords: core.Ptr(20)}
	next := 0
	for pages := 1; ; pages++ {
		out, err := f.DescribeEvents(f.ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range out.Events {
			if *e.Message != fmt.Sprint(next) || !e.Date.Equal(noon.Add(-time.Duration(next)*time.Minute)) || *e.SourceIdentifier != "c" || *e.SourceType != "cache-cluster" {
				t.Fatalf("event %d is %s of %v", next, *e.Message, *e.Date)
			}
			next++
		}
		// What happens meanwhile comes before the pages already read.
		f.record(0, resource.SourceCacheCluster, "c", fmt.Sprintf("new%d", pages))
		if in.Marker = out.Marker; in.Marker == nil {
			break
		}
	}
	if next != 45 {
		t.Errorf("%d events came", next)
	}
}

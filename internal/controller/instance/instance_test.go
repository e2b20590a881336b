package instance_test

import (
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/controller/controllertest"
	"github.com/larder-cache/larder/internal/controller/instance"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

func TestTerminatedInstancesAreForgotten(t *testing.T) {
	t.Parallel()
	l := controllertest.NewLoop(t, true)
	c := instance.New(instance.Config{Store: l.Store, Clock: l.Clock, Log: l.Log})
	const region = controllertest.Region
	l.Update(t, func(tx *store.Tx) {
		for id, seen := range map[string]string{"i-ended": resource.PowerTerminated, "i-ending": resource.PowerRunning} {
			i := &resource.Instance{Region: region, ID: id, Status: resource.InstanceStatus{Power: seen}}
			i.Turn(resource.PowerTerminated, l.Clock.Now())
			resource.Instances.Put(tx, i.Key(), i)
		}
	})
	left := func() (ids []string) {
		l.Store.Local(func(r store.Reader) { ids = resource.Instances.Keys(r, "") })
		return ids
	}
	l.Clock.Advance(59 * time.Minute)
	if wait := l.Pass(t, c, region+"/i-ended"); wait != time.Minute || len(left()) != 2 {
		t.Errorf("looks again after %v, left %v", wait, left())
	}
	if wait := l.Pass(t, c, region+"/i-ending"); wait != 0 {
		t.Errorf("one that has not ended is looked at again after %v", wait)
	}
	l.Clock.Advance(time.Minute)
	for _, key := range left() {
		l.Pass(t, c, key)
	}
	if got := left(); len(got) != 1 || got[0] != region+"/i-ending" {
		t.Errorf("left %v", got)
	}
	if wait := l.Pass(t, c, region+"/i-ended"); wait != 0 {
		t.Errorf("one that is forgotten is looked at again after %v", wait)
	}
}

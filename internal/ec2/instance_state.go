package ec2

import (
	"context"
	"time"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
	"github.com/larder-cache/larder/internal/store"
)

// The states of an instance. What the user wants decides between the columns, what
// has been seen between the two rows:
//
//	wanted     running     stopped     terminated
//	not yet    pending     stopping    shutting-down
//	seen       running     stopped     terminated
//
//	RunInstances -> running <-> stopped -> terminated, running -> terminated
//
// A reboot leaves an instance running.
const (
	statePending      = "pending"
	stateRunning      = "running"
	stateStopping     = "stopping"
	stateStopped      = "stopped"
	stateShuttingDown = "shutting-down"
	stateTerminated   = "terminated"
)

// stateCodes are the numbers that EC2 shows beside the names.
var stateCodes = map[string]int{
	statePending: 0, stateRunning: 16, stateShuttingDown: 32, stateTerminated: 48, stateStopping: 64, stateStopped: 80,
}

// InstanceState is the state that the API shows.
func InstanceState(i *resource.Instance) string {
	seen := i.Status.Power == i.Spec.Power
	switch i.Spec.Power {
	case resource.PowerRunning:
		if seen {
			return stateRunning
		}
		return statePending
	case resource.PowerStopped:
		if seen {
			return stateStopped
		}
		return stateStopping
	}
	if seen {
		return stateTerminated
	}
	return stateShuttingDown
}

func wireState(state string) *wire.InstanceState {
	return &wire.InstanceState{Name: core.Ptr(state), Code: core.Ptr(stateCodes[state])}
}

// transition is one request to change the states of instances.
type transition struct {
	dry *bool
	ids []string
	// change changes an instance in a state at a time, or refuses to. It reports
	// whether it changed anything.
	change func(i *resource.Instance, state string, now time.Time) (bool, error)
}

// carryOut changes the states of all instances of a request, or of none.
func (s *Service) carryOut(ctx context.Context, t transition) ([]*wire.InstanceStateChange, error) {
	now := s.clock.Now()
	var out []*wire.InstanceStateChange
	err := s.update(ctx, func(tx *store.Tx) error {
		out = []*wire.InstanceStateChange{}
		for _, id := range t.ids {
			i, err := findInstance(tx, region(ctx), id)
			if err != nil {
				return err
			}
			before := InstanceState(i)
			changed, err := t.change(i, before, now)
			if err != nil {
				return err
			}
			if changed {
				resource.Instances.Put(tx, i.Key(), i)
			}
			out = append(out, &wire.InstanceStateChange{
				InstanceId: core.Ptr(id), PreviousState: wireState(before), CurrentState: wireState(InstanceState(i)),
			})
		}
		return dryRun(t.dry)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// findInstance is the instance that a request names.
func findInstance(r store.Reader, region, id string) (*resource.Instance, error) {
	if err := checkInstanceID(id); err != nil {
		return nil, err
	}
	i, ok := resource.Instances.Get(r, key(region, id))
	if !ok {
		return nil, errInstanceNotFound(id)
	}
	return i, nil
}

// StartInstances starts instances that are stopped.
func (s *Service) StartInstances(ctx context.Context, in *wire.StartInstancesRequest) (*wire.StartInstancesResult, error) {
	if err := refuse(refusal{"AdditionalInfo", in.AdditionalInfo != nil}); err != nil {
		return nil, err
	}
	changes, err := s.carryOut(ctx, transition{dry: in.DryRun, ids: in.InstanceIds, change: func(i *resource.Instance, state string, now time.Time) (bool, error) {
		switch state {
		case statePending, stateRunning:
			return false, nil
		case stateStopped:
			i.Turn(resource.PowerRunning, now)
			return true, nil
		}
		return false, errInstanceState(i.ID, "started")
	}})
	if err != nil {
		return nil, err
	}
	return &wire.StartInstancesResult{StartingInstances: changes}, nil
}

// StopInstances takes instances off the network until they are started again;
// addresses and groups stay theirs. Force is for machines that do not obey, of
// which there are none.
func (s *Service) StopInstances(ctx context.Context, in *wire.StopInstancesRequest) (*wire.StopInstancesResult, error) {
	if err := refuse(refusal{"Hibernate", core.Val(in.Hibernate)}); err != nil {
		return nil, err
	}
	changes, err := s.carryOut(ctx, transition{dry: in.DryRun, ids: in.InstanceIds, change: func(i *resource.Instance, state string, now time.Time) (bool, error) {
		switch state {
		case stateStopping, stateStopped:
			return false, nil
		case statePending, stateRunning:
			if i.Spec.KeepRunning {
				return false, errInstanceProtected(i.ID, "disableApiStop", "stopped")
			}
			i.Turn(resource.PowerStopped, now)
			return true, nil
		}
		return false, errInstanceState(i.ID, "stopped")
	}})
	if err != nil {
		return nil, err
	}
	return &wire.StopInstancesResult{StoppingInstances: changes}, nil
}

// RebootInstances boots instances anew: what ran in them ends.
func (s *Service) RebootInstances(ctx context.Context, in *wire.RebootInstancesRequest) error {
	_, err := s.carryOut(ctx, transition{dry: in.DryRun, ids: in.InstanceIds, change: func(i *resource.Instance, state string, _ time.Time) (bool, error) {
		switch state {
		case statePending, stateRunning:
			i.Spec.Boots++
			return true, nil
		}
		return false, errInstanceState(i.ID, "rebooted")
	}})
	return err
}

// TerminateInstances ends instances for good and frees their addresses.
func (s *Service) TerminateInstances(ctx context.Context, in *wire.TerminateInstancesRequest) (*wire.TerminateInstancesResult, error) {
	changes, err := s.carryOut(ctx, transition{dry: in.DryRun, ids: in.InstanceIds, change: func(i *resource.Instance, state string, now time.Time) (bool, error) {
		switch {
		case state == stateShuttingDown || state == stateTerminated:
			return false, nil
		case i.Spec.KeepExisting:
			return false, errInstanceProtected(i.ID, "disableApiTermination", "terminated")
		}
		i.Turn(resource.PowerTerminated, now)
		return true, nil
	}})
	if err != nil {
		return nil, err
	}
	return &wire.TerminateInstancesResult{TerminatingInstances: changes}, nil
}

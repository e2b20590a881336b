package ec2

import (
	"context"

	wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	"github.com/larder-cache/larder/internal/core"
)

// DescribeInstanceStatus lists the instances that run, or if asked to all of
// them, with the results of their checks.
func (s *Service) DescribeInstanceStatus(ctx context.Context, in *wire.DescribeInstanceStatusRequest) (*wire.DescribeInstanceStatusResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	q := s.instanceQuestion("DescribeInstanceStatus", in.InstanceIds, in.Filters, in.MaxResults, in.NextToken)
	q.attributes = func(i instance) attributes {
		return attributes{
			"availability-zone": {i.Spec.Zone}, "instance-state-code": {decimal(stateCodes[i.state])}, "instance-state-name": {i.state},
			"instance-status.status": {i.health()}, "instance-status.reachability": {i.reachability()},
			"system-status.status": {i.health()}, "system-status.reachability": {i.reachability()},
			"event.code": nil, "event.description": nil, "event.instance-event-id": nil, "event.not-after": nil, "event.not-before": nil,
			"event.not-before-deadline": nil,
		}
	}
	hidden := func(i instance) bool { return i.state != stateRunning && !core.Val(in.IncludeAllInstances) }
	page, next, err := s.findInstances(ctx, q, hidden)
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeInstanceStatusResult{InstanceStatuses: []*wire.InstanceStatus{}, NextToken: next}
	for _, i := range page {
		if hidden(i) {
			continue
		}
		out.InstanceStatuses = append(out.InstanceStatuses, &wire.InstanceStatus{
			AvailabilityZone: core.Ptr(i.Spec.Zone), InstanceId: core.Ptr(i.ID), InstanceState: wireState(i.state),
			InstanceStatus: i.checks(), SystemStatus: i.checks(), Events: []*wire.InstanceStatusEvent{},
		})
	}
	return out, nil
}

// health sums up the checks of an instance: an address that is in force passes
// all.
func (i instance) health() string {
	switch i.state {
	case stateRunning:
		return "ok"
	case statePending:
		return "initializing"
	}
	return "not-applicable"
}

func (i instance) reachability() string {
	switch i.state {
	case stateRunning:
		return "passed"
	case statePending:
		return "initializing"
	}
	return ""
}

func (i instance) checks() *wire.InstanceStatusSummary {
	out := &wire.InstanceStatusSummary{Status: core.Ptr(i.health()), Details: []*wire.InstanceStatusDetails{}}
	if r := i.reachability(); r != "" {
		out.Details = append(out.Details, &wire.InstanceStatusDetails{Name: core.Ptr("reachability"), Status: core.Ptr(r)})
	}
	return out
}

// cpuCredits are those of every instance whose type has credits: nothing is
// throttled here.
const cpuCredits = "unlimited"

// DescribeInstanceCreditSpecifications lists the instances of types that earn
// processor credits.
func (s *Service) DescribeInstanceCreditSpecifications(ctx context.Context, in *wire.DescribeInstanceCreditSpecificationsRequest) (*wire.DescribeInstanceCreditSpecificationsResult, error) {
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	q := s.instanceQuestion("DescribeInstanceCreditSpecifications", in.InstanceIds, in.Filters, in.MaxResults, in.NextToken)
	q.attributes = func(i instance) attributes { return attributes{"instance-id": {i.ID}} }
	page, next, err := s.findInstances(ctx, q, func(i instance) bool { return !i.burstable() })
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeInstanceCreditSpecificationsResult{InstanceCreditSpecifications: []*wire.InstanceCreditSpecification{}, NextToken: next}
	for _, i := range page {
		if i.burstable() {
			out.InstanceCreditSpecifications = append(out.InstanceCreditSpecifications, &wire.InstanceCreditSpecification{
				InstanceId: core.Ptr(i.ID), CpuCredits: core.Ptr(cpuCredits),
			})
		}
	}
	return out, nil
}

func (i instance) burstable() bool {
	t, _ := findInstanceType(i.Spec.Type)
	return t.burstable
}

package local

import "github.com/larder-cache/larder/internal/runtime"

// Spaces is a fabric in which each instance is a network namespace.
type Spaces interface {
	// InstanceSpace gives the paths of an instance's namespace and of its resolv.conf, of
	// which only ID and Boots are asked; whether they exist now is another matter.
	InstanceSpace(i runtime.Instance) (namespace, resolver string)
}

// InstanceSpace is that of the fabric; both paths are empty if it has none.
func (r *Runtime) InstanceSpace(i runtime.Instance) (namespace, resolver string) {
	if spaces, ok := r.cfg.Fabric.(Spaces); ok {
		return spaces.InstanceSpace(i)
	}
	return "", ""
}

// tell reports the instances of a network that is in force. They are in documents
// until their end is reported, so none ends without one.
func (n *network) tell(instances []runtime.Instance, failed map[string]error) {
	for _, i := range instances {
		r := runtime.Report{ID: runtime.InstanceReport(i.ID), Incarnation: i.Boots, Phase: runtime.PhaseGone}
		switch err := failed[i.ID]; {
		case err != nil:
			r.Phase, r.Message = runtime.PhaseFailed, err.Error()
		case i.Running:
			r.Phase = runtime.PhaseRunning
		}
		n.report(r)
	}
}

package local

import "github.com/larder-cache/larder/internal/runtime"

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

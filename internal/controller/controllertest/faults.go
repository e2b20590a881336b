package controllertest

// What tests do to the runtime and its engines.

// Delay keeps documents that are applied from now on out of force, or puts all in
// force.
func (r *Runtime) Delay(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delayed, r.enforced = on, r.doc.Revision
}

// Stray gives a node keys in other databases than 0.
func (r *Runtime) Stray(node string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.engines[node].Strays = true
}

// Kill ends the process of a node.
func (r *Runtime) Kill(nodes ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, node := range nodes {
		if e := r.engines[node]; e != nil && e.Phase == "running" {
			r.end(node, e)
		}
	}
	if r.Auto {
		r.settle()
	}
}

func (r *Runtime) end(node string, e *Engine) {
	e.Phase, e.Role, e.LinkUp, e.Data = "exited", "", false, 0
	e.Mute = ""
	r.report(node)
}

// FailStart makes the next processes of a node fail to start, with a message;
// an empty one lets them start again.
func (r *Runtime) FailStart(node, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures[node] = message
	if r.Auto {
		r.settle()
	}
}

// Install makes a version of an engine's program the one that the next processes
// run.
func (r *Runtime) Install(engine, version string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.installed[engine] = version
}

// Silence lets a node not answer when asked about its replication.
func (r *Runtime) Silence(node string, silent bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.silent[node] = silent
}

// Mute lets the process of a node give no answer for long, for a reason; an empty one
// lets it answer again.
func (r *Runtime) Mute(node, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.engines[node].Mute = reason
	r.report(node)
}

// Set changes the data of a node behind everybody's back.
func (r *Runtime) Set(node string, data int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.engines[node].Data = data
}

// Write is a client's write through an endpoint; whether it was accepted. One that
// an engine makes wait is not.
func (r *Runtime) Write(endpoint string) bool {
	nodes := r.Endpoint(endpoint).Nodes
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(nodes) != 1 {
		return false
	}
	e := r.engines[nodes[0]]
	if e == nil || e.Phase != "running" || e.Role != "master" || e.Node.HoldWrites {
		return false
	}
	e.Data++
	if r.Auto {
		r.settle()
	}
	return true
}

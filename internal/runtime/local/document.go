package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"

	"github.com/larder-cache/larder/internal/runtime"
)

// Apply implements runtime.Runtime. The document must not be changed any more.
func (r *Runtime) Apply(ctx context.Context, doc *runtime.Document) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	seen := make(map[string]bool, len(doc.Nodes))
	ids := make(map[string]bool, len(doc.Nodes))
	for _, n := range doc.Nodes {
		if !uidForm.MatchString(n.UID) || seen[n.UID] || ids[n.ID] {
			return fmt.Errorf("local: node %q: uid %q is odd or there twice", n.ID, n.UID)
		}
		seen[n.UID], ids[n.ID] = true, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errClosed
	}
	if doc.Revision <= r.revision {
		return runtime.ErrStale
	}
	r.rename(doc)
	if r.revision == 0 {
		r.begin(doc, seen)
	}
	r.revision = doc.Revision
	r.setNodes(doc, seen)
	for _, id := range doc.Removed {
		if !r.hasID(id) {
			r.reports.put(goneReport(id))
		}
	}
	return nil
}

// setNodes says what each node shall be; r.mu is held.
func (r *Runtime) setNodes(doc *runtime.Document, uids map[string]bool) {
	version := r.net.setDocument(doc)
	var changed []*runtime.Node // what is wanted of those that are to be another thing, and what was
	set := func(n *node, want *runtime.Node) {
		if before := n.wanted(); n.want(want, version) {
			changed = append(changed, before, want)
		}
	}
	for i := range doc.Nodes {
		want := &doc.Nodes[i]
		n := r.nodes[want.UID]
		if n == nil {
			n = newNode(r, want.UID)
			n.known.Store(&want.ID)
			r.nodes[want.UID] = n
			set(n, want)
			r.actors.Go(n.run)
			continue
		}
		set(n, want)
	}
	for uid, n := range r.nodes {
		if !uids[uid] {
			set(n, nil)
		}
	}
	if len(changed) == 0 {
		return
	}
	r.relate()
	for _, spec := range changed {
		if spec != nil {
			r.relations.wake(spec)
		}
	}
}

// begin does what only the first document tells: which login the nodes found in
// service have, and which directories are nobody's. r.mu is held.
func (r *Runtime) begin(doc *runtime.Document, uids map[string]bool) {
	for i := range doc.Nodes {
		r.net.adoptLogin(doc.Nodes[i].ID, doc.Nodes[i].UID, doc.Nodes[i].Auth.Login)
	}
	for _, uid := range r.unknown {
		if uids[uid] {
			continue
		}
		err := errors.Join(os.RemoveAll(scratchPath(r.cfg.RunDir, uid)), os.RemoveAll(filepath.Join(r.nodesDir, uid)))
		if err != nil {
			r.cfg.Log.Error("directory of no node cannot be removed", "uid", uid, "error", err)
		}
	}
	r.unknown = nil
}

// rename gives the nodes that there are the ids that they have in a document; r.mu is
// held. What takes the place of another is led to in its stead from then on.
func (r *Runtime) rename(doc *runtime.Document) {
	for i := range doc.Nodes {
		n, id := r.nodes[doc.Nodes[i].UID], doc.Nodes[i].ID
		if n == nil || n.id() == id {
			continue
		}
		r.net.moveBackend(n.id(), id, n.uid)
		n.known.Store(&id)
	}
}

// sameNode reports whether two documents want the same of a node.
func sameNode(a, b *runtime.Node) bool { return reflect.DeepEqual(a, b) }

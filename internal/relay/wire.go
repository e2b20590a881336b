package relay

import (
	"net/netip"

	"github.com/larder-cache/larder/internal/core"
)

// The operations of the control protocol.
const (
	opHello    = "hello"    // -> Hello
	opSockets  = "sockets"  // listening sockets that the next apply needs
	opApply    = "apply"    // a document; answered when it is in force
	opEnforce  = "enforce"  // another Access for the document in force
	opStats    = "stats"    // -> []ListenerStats
	opHandOver = "handover" // -> the listening sockets, piece by piece
	opDrain    = "drain"    // accept no more, exit after the last connection
	opStop     = "stop"     // exit now
)

// request is one message to a relay.
type request struct {
	Op string
	// Addresses belong to the descriptors of opSockets, in the same order.
	Addresses []string `json:",omitempty"`
	// Document is that of opApply.
	Document *wireDocument `json:",omitempty"`
	// Access is that of opEnforce, Revision its place among the documents.
	Access   *Access `json:",omitempty"`
	Revision int64   `json:",omitempty"`
	// After is the last address that an earlier opHandOver answered.
	After string `json:",omitempty"`
}

// response answers a request.
type response struct {
	// Error says why nothing was done; "" if it was.
	Error string          `json:",omitempty"`
	Hello *Hello          `json:",omitempty"`
	Stats []ListenerStats `json:",omitempty"`
	// Missing are addresses of the document that no socket was passed for.
	Missing []string `json:",omitempty"`
	// Refused are listeners of the document that could not be set up, with the
	// reason.
	Refused map[string]string `json:",omitempty"`
	// Addresses belong to the descriptors of opHandOver; More: ask again.
	Addresses []string `json:",omitempty"`
	More      bool     `json:",omitempty"`
}

// wireDocument is a Document with its secrets in the clear, as it crosses the
// control socket. It exists in memory only.
type wireDocument struct {
	Revision  int64
	Listeners []wireListener
	Access    Access
	Resolvers []Resolver `json:",omitempty"`
}

type wireListener struct {
	ID, VPC          string
	Source           netip.Addr `json:",omitzero"`
	Addresses        []string
	Backends         []wireBackend
	CutRemoved       bool
	Mode, Chain, Key string
	MaxConns         int
}

type wireBackend struct{ Node, Socket, Login string }

func toWire(d Document) *wireDocument {
	w := &wireDocument{Revision: d.Revision, Access: d.Access, Resolvers: d.Resolvers}
	for _, l := range d.Listeners {
		wl := wireListener{
			ID: l.ID, VPC: l.VPC, Source: l.Source, Addresses: l.Addresses, CutRemoved: l.CutRemoved, MaxConns: l.MaxConns,
			Mode: l.TLS.Mode, Chain: l.TLS.ChainPEM, Key: l.TLS.KeyPEM.Reveal(),
		}
		for _, b := range l.Backends {
			wl.Backends = append(wl.Backends, wireBackend{Node: b.Node, Socket: b.Socket, Login: b.Login.Reveal()})
		}
		w.Listeners = append(w.Listeners, wl)
	}
	return w
}

func fromWire(w *wireDocument) Document {
	d := Document{Revision: w.Revision, Access: w.Access, Resolvers: w.Resolvers}
	for _, wl := range w.Listeners {
		l := Listener{
			ID: wl.ID, VPC: wl.VPC, Source: wl.Source, Addresses: wl.Addresses, CutRemoved: wl.CutRemoved, MaxConns: wl.MaxConns,
			TLS: TLS{Mode: wl.Mode, ChainPEM: wl.Chain, KeyPEM: core.NewSecret(wl.Key)},
		}
		for _, b := range wl.Backends {
			l.Backends = append(l.Backends, Backend{Node: b.Node, Socket: b.Socket, Login: core.NewSecret(b.Login)})
		}
		d.Listeners = append(d.Listeners, l)
	}
	return d
}

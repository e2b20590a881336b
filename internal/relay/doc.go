// Package relay is the process between clients and engines where an engine
// cannot be reached directly: it accepts clients on the endpoints' addresses,
// terminates TLS, logs in where AUTH is optional, and splices the connection to
// the unix socket of an engine.
//
// The relay is a process of its own, so that connections live on while the
// server is stopped, restarted or upgraded. It is told what to do by documents
// over a control socket, holds them (and the secrets in them) in memory only, and
// opens no listening socket itself: its client passes them along, so the relay
// needs no privilege. A newer relay takes the sockets over while the older one
// drains: it serves its connections to the end, then exits.
//
// Package splice is the data path; this package is the control path.
package relay

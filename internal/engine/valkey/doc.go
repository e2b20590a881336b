// Package valkey drives Valkey and Redis servers: it renders their
// configuration, and keeps users, settings and role of a running one as wanted
// over its unix socket.
package valkey

// Package e2e holds what Larder promises, one file per promise: the real binary
// with real engines and the clients that users have, under faults. Each test has
// a deployment of its own, of which nothing may be left at the end.
package e2e

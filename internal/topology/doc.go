// Package topology reads the stored networks as a whole: what a policy depends on,
// which address is whose, and of which VPCs the host is an instance. Everything in
// it is a function of a reader or a transaction, which may run again.
package topology

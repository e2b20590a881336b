// Package local carries out a runtime.Document with processes of this host: it
// starts engines, adopts those that a former Larder has left running, makes
// their users, settings and roles as wanted, and reports what is true of them.
package local

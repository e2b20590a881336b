// Package app is the composition root: it builds every part of Larder from a
// configuration and runs them. Nothing else may import everything.
package app

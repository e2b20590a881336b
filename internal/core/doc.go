// Package core is the leaf vocabulary of Larder: secrets, clocks, errors,
// identifiers, ARNs, tags, endpoints and page markers. It imports only the
// standard library, so that every other package may import it.
package core

// Package admin is Larder's own API beside those of AWS: what is running, the
// access keys, the certificate of the authority. It is JSON below /larder/v1/,
// signed like every other request, with the service name "larder". The package
// holds both sides: the handlers of the server and the client of the command
// line.
package admin

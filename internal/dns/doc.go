// Package dns answers for the names of endpoints. A Zone is one domain with the
// addresses of its names, as a value; a Server answers for zones on sockets that
// it is given, over UDP and TCP.
//
// It is authoritative for the zone and knows nothing else: questions about other
// names are refused, never forwarded. Endpoints do not move, so that an answer
// may be kept for a while, but not for long: a name can be given to another cache
// after the first is deleted.
package dns

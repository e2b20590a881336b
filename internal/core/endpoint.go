package core

import (
	"net"
	"strconv"
)

// Endpoint is an address and a port. Which of the three kinds of address it is
// (VPC, bound or advertised) is said by the field that holds it.
type Endpoint struct {
	Address string
	Port    int
}

// IsZero reports whether there is no endpoint.
func (e Endpoint) IsZero() bool { return e.Address == "" && e.Port == 0 }

// String is host:port.
func (e Endpoint) String() string { return net.JoinHostPort(e.Address, strconv.Itoa(e.Port)) }

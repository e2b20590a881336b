// Package api describes an AWS service to the gateway: which actions there are,
// what they take and return, which errors they declare. The descriptions are
// generated together with the wire types (internal/aws/gen); this package is the
// small vocabulary in which they are written.
package api

import (
	"context"
	"net/http"

	"github.com/larder-cache/larder/internal/aws/shape"
)

// Protocol is the dialect in which a service is spoken to.
type Protocol int

// The protocols of AWS that we speak.
const (
	// Query is AWS Query: forms in, XML out.
	Query Protocol = iota
	// EC2 is the dialect of the query protocol that EC2 alone uses.
	EC2
	// JSON is AWS JSON 1.1.
	JSON
)

// Service is one AWS service with its implementation bound to it.
type Service struct {
	// Name is the service's name in the credential scope of a signature.
	Name string
	// Version is the API version, e.g. "2015-02-02".
	Version string
	// Namespace is the XML namespace of every answer.
	Namespace string
	// TargetPrefix is what stands before the dot in X-Amz-Target (JSON only).
	TargetPrefix string
	// Protocol is the dialect.
	Protocol Protocol
	// Operations are the actions served.
	Operations []Operation
	// Known names every action of the public model, served or not.
	Known []string
	// Faults gives the HTTP status of each error code that the model declares.
	Faults map[string]int
}

// Operation is one action: it makes its input, calls the implementation and
// names what may come back.
type Operation struct {
	// Name is the action's name.
	Name string
	// Wrapper is the element around the result in a query answer; empty for none.
	Wrapper string
	// Errors are the wire codes that the model declares for the action.
	Errors []string
	// Input is the plan of the input structure, Output that of the result, nil
	// where the action returns nothing.
	Input, Output *shape.Struct
	// NewInput makes an empty input structure, a pointer.
	NewInput func() any
	// Call runs the implementation on what NewInput made. The result is a pointer
	// to the output structure, or nil where the action returns nothing.
	Call func(ctx context.Context, in any) (any, error)
}

// Returning describes an action that has a result.
func Returning[In, Out any](name, wrapper string, call func(context.Context, *In) (*Out, error), errs ...string) Operation {
	return Operation{
		Name: name, Wrapper: wrapper, Errors: errs,
		Input: shape.Of[In](), Output: shape.Of[Out](),
		NewInput: func() any { return new(In) },
		Call: func(ctx context.Context, in any) (any, error) {
			out, err := call(ctx, in.(*In))
			if err != nil {
				return nil, err
			}
			if out == nil {
				out = new(Out)
			}
			return out, nil
		},
	}
}

// Void describes an action without a result.
func Void[In any](name string, call func(context.Context, *In) error, errs ...string) Operation {
	return Operation{
		Name: name, Errors: errs, Input: shape.Of[In](),
		NewInput: func() any { return new(In) },
		Call: func(ctx context.Context, in any) (any, error) {
			return nil, call(ctx, in.(*In))
		},
	}
}

// FaultStatus is the HTTP status that the service's model gives an error code,
// 400 where it says nothing.
func (s *Service) FaultStatus(code string) int {
	if status, ok := s.Faults[code]; ok {
		return status
	}
	return http.StatusBadRequest
}

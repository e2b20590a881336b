package core

import (
	"errors"
	"fmt"
)

// Error is a refusal that a client of the API may see. Services make them by
// named constructors; the gateway alone turns them into a wire document. Any
// other error reaches the client as InternalFailure without detail.
type Error struct {
	// Code is the code on the wire, e.g. "CacheClusterNotFound".
	Code string
	// Message is shown to the client.
	Message string
	// Status is the HTTP status; 0 means 400.
	Status int
	// Cause is for the log only.
	Cause error
}

// Errorf makes an Error with HTTP status 400.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithStatus returns a copy of e with another HTTP status.
func (e *Error) WithStatus(status int) *Error {
	c := *e
	c.Status = status
	return &c
}

// Error implements error.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// HTTPStatus is Status, or 400 where none was set.
func (e *Error) HTTPStatus() int {
	if e.Status == 0 {
		return 400
	}
	return e.Status
}

// AsError finds the client-visible error in a chain.
func AsError(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

package core

import "context"

// Request is what every handler may know of the caller. The gateway makes it.
type Request struct {
	// ID is the request id that the answer and the log carry.
	ID string
	// Region comes from the credential scope of the signature.
	Region string
	// Account is the 12-digit account that owns everything.
	Account string
	// AccessKeyID is the key that signed.
	AccessKeyID string
	// PrincipalARN is the identity of the caller.
	PrincipalARN string
	// Action is the operation's name, e.g. "CreateCacheCluster".
	Action string
}

type requestKey struct{}

// WithRequest returns a context that carries r.
func WithRequest(ctx context.Context, r Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// RequestFrom returns the request of ctx; the zero Request if there is none.
func RequestFrom(ctx context.Context) Request {
	r, _ := ctx.Value(requestKey{}).(Request)
	return r
}

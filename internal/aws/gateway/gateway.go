// Package gateway is the front door: one HTTP handler that authenticates every
// request, finds the service and the action it is for, reads it, calls the
// implementation and writes the answer in the dialect of the service. It is the
// only place where an error becomes a document on the wire, and where a request
// is logged.
package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/larder-cache/larder/internal/aws/api"
	"github.com/larder-cache/larder/internal/aws/sigv4"
	"github.com/larder-cache/larder/internal/core"
)

// ErrUnknownKey is what Keys.Lookup returns for a key that does not exist.
var ErrUnknownKey = errors.New("gateway: unknown access key")

const (
	// AdminPrefix is the path below which the handlers of Config.Extra are.
	AdminPrefix = "/larder/v1/"
	// AdminService is the service name that requests to AdminPrefix are signed for.
	AdminService = "larder"

	defaultMaxBody = 1 << 20
)

// Keys finds access keys.
type Keys interface {
	// Lookup returns the secret of an access key and the ARN of its principal, or
	// an error that is ErrUnknownKey.
	Lookup(ctx context.Context, accessKeyID string) (secret core.Secret, principalARN string, err error)
}

// Service is an AWS service bound to its implementation, as the generated
// packages describe it.
type Service = api.Service

// Config is what a gateway is made of.
type Config struct {
	// Account is the 12-digit account that owns everything.
	Account string
	// Keys finds the keys that requests are signed with.
	Keys Keys
	// Clock judges the age of signatures.
	Clock core.Clock
	// Log gets one record per request.
	Log *slog.Logger
	// Services are the AWS services that are served. A request that does not say
	// which one it is for is refused in the name of the first.
	Services []Service
	// MaxBody limits a request's body in bytes; 0 means 1 MiB.
	MaxBody int64
	// Ready says whether requests can be served, for /readyz; nil means always.
	Ready func() bool
	// Extra are handlers of our own by the pattern of an http.ServeMux, all below
	// AdminPrefix. Their requests are signed like any other; they find the
	// core.Request in the context and the verified body in the request.
	Extra map[string]http.Handler
}

// gateway is the handler that New makes.
type gateway struct {
	cfg      Config
	services map[string]*service
	extra    *http.ServeMux
}

// service is an AWS service with its actions by name.
type service struct {
	Service
	dialect    dialect
	operations map[string]*api.Operation
}

// exchange is one request on its way through the gateway. What it knows at the
// end is what is logged; it never holds the value of a parameter.
type exchange struct {
	request core.Request
	service string
	// dialect is that of the answer, also where it is an early refusal.
	dialect   dialect
	namespace string
}

// New makes the handler.
func New(cfg Config) http.Handler {
	if cfg.MaxBody == 0 {
		cfg.MaxBody = defaultMaxBody
	}
	g := &gateway{cfg: cfg, services: map[string]*service{}, extra: http.NewServeMux()}
	for _, s := range cfg.Services {
		svc := &service{Service: s, dialect: dialectOf(s.Protocol), operations: map[string]*api.Operation{}}
		for i := range s.Operations {
			svc.operations[s.Operations[i].Name] = &s.Operations[i]
		}
		g.services[s.Name] = svc
	}
	for pattern, h := range cfg.Extra {
		g.extra.Handle(pattern, h)
	}
	return g
}

// ServeHTTP implements http.Handler.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/healthz":
		_, _ = io.WriteString(w, "ok\n")
		return
	case "/readyz":
		if g.cfg.Ready != nil && !g.cfg.Ready() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
		return
	}
	started := g.cfg.Clock.Now()
	x := &exchange{request: core.Request{ID: newRequestID(), Account: g.cfg.Account}}
	g.greet(x, r)
	rec := &recorder{ResponseWriter: w}
	rec.Header().Set("x-amzn-RequestId", x.request.ID)
	body, err := g.serve(rec, r, x)
	refusal := g.refusal(r.Context(), x, err)
	switch {
	case rec.status != 0: // a handler of ours has answered
	case refusal != nil:
		rec.answer(x.dialect.contentType(), refusal.HTTPStatus(), x.dialect.refuse(x, refusal))
	default:
		rec.answer(x.dialect.contentType(), http.StatusOK, body)
	}
	g.record(r.Context(), x, rec, refusal, g.cfg.Clock.Now().Sub(started))
}

// greet settles the dialect of the answer from what the request shows before it
// is authenticated.
func (g *gateway) greet(x *exchange, r *http.Request) {
	x.dialect = queryDialect{}
	if len(g.cfg.Services) > 0 {
		x.namespace = g.cfg.Services[0].Namespace
	}
	if r.Header.Get("X-Amz-Target") != "" || strings.HasPrefix(r.URL.Path, AdminPrefix) {
		x.dialect = jsonDialect{}
	}
}

// serve takes a request through authentication to its handler. The body is the
// answer's, unless a handler of ours has written it already.
func (g *gateway) serve(w http.ResponseWriter, r *http.Request, x *exchange) (answer []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			// Of a value we only log the type: it may hold what the request held.
			what := fmt.Sprintf("%T", p)
			if e, ok := p.(runtime.Error); ok {
				what = e.Error()
			}
			g.cfg.Log.ErrorContext(r.Context(), "panic in a handler", "request", x.request.ID,
				"action", x.request.Action, "panic", what, "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	body, err := g.authenticate(w, r, x)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(r.URL.Path, AdminPrefix) {
		r = r.WithContext(core.WithRequest(r.Context(), x.request))
		r.Body = io.NopCloser(bytes.NewReader(body))
		g.extra.ServeHTTP(w, r)
		return nil, nil
	}
	return g.dispatch(r, x, body)
}

// errPanic stands for a panic whose details are in the log.
var errPanic = errors.New("a handler panicked")

var regionName = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d$`)

// authenticate finds out who signs and returns the verified body.
func (g *gateway) authenticate(w http.ResponseWriter, r *http.Request, x *exchange) ([]byte, error) {
	sig, err := sigv4.Parse(r)
	if err != nil {
		return nil, x.dialect.unauthenticated(err)
	}
	x.request.AccessKeyID, x.service = sig.AccessKeyID, sig.Service
	if svc := g.services[sig.Service]; svc != nil {
		x.dialect, x.namespace = svc.dialect, svc.Namespace
	}
	if strings.HasPrefix(r.URL.Path, AdminPrefix) {
		x.dialect = jsonDialect{}
	}
	if !regionName.MatchString(sig.Region) {
		return nil, x.dialect.unauthenticated(&sigv4.Error{Reason: sigv4.Mismatch, Message: "Credential should be scoped to a valid region."})
	}
	x.request.Region = sig.Region
	if err := g.checkScope(r, x); err != nil {
		return nil, err
	}
	secret, principal, err := g.cfg.Keys.Lookup(r.Context(), sig.AccessKeyID)
	if errors.Is(err, ErrUnknownKey) || err == nil && sig.SessionToken != "" {
		return nil, x.dialect.unauthenticated(ErrUnknownKey)
	}
	if err != nil {
		return nil, err
	}
	body, err := g.read(w, r)
	if err != nil {
		return nil, err
	}
	if err := sig.Verify(r, body, secret, g.cfg.Clock.Now()); err != nil {
		return nil, x.dialect.unauthenticated(err)
	}
	x.request.PrincipalARN = principal
	return body, nil
}

// checkScope refuses a request that is addressed to one service and signed for
// another, as far as path and header say so.
func (g *gateway) checkScope(r *http.Request, x *exchange) error {
	want := x.service
	if svc := g.target(r); svc != nil {
		want = svc.Name
	}
	if strings.HasPrefix(r.URL.Path, AdminPrefix) {
		want = AdminService
	}
	if want == x.service {
		return nil
	}
	return x.dialect.unauthenticated(wrongService(want))
}

func wrongService(want string) *sigv4.Error {
	return &sigv4.Error{Reason: sigv4.Mismatch, Message: "Credential should be scoped to correct service: '" + want + "'."}
}

// target is the JSON service that X-Amz-Target names.
func (g *gateway) target(r *http.Request) *service {
	prefix, _, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if prefix == "" {
		return nil
	}
	for _, svc := range g.services {
		if svc.TargetPrefix == prefix {
			return svc
		}
	}
	return nil
}

// read takes the whole body, up to the limit.
func (g *gateway) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	tooLarge := core.Errorf("RequestEntityTooLarge", "The request is larger than the limit of %d bytes.", g.cfg.MaxBody).
		WithStatus(http.StatusRequestEntityTooLarge)
	if r.ContentLength > g.cfg.MaxBody {
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, g.cfg.MaxBody))
	var limit *http.MaxBytesError
	if errors.As(err, &limit) {
		return nil, tooLarge
	}
	if err != nil {
		return nil, core.Errorf("IncompleteBody", "The request's body ended early.")
	}
	return body, nil
}

// dispatch reads an authenticated request and calls its operation.
func (g *gateway) dispatch(r *http.Request, x *exchange, body []byte) ([]byte, error) {
	svc := g.services[x.service]
	in, err := x.dialect.open(r, body)
	if err != nil {
		return nil, err
	}
	if svc == nil {
		if other := g.byVersion(in); other != nil {
			x.dialect, x.namespace = other.dialect, other.Namespace
			return nil, x.dialect.unauthenticated(wrongService(other.Name))
		}
		return nil, x.dialect.unserved("The service " + x.service + " is not served by this version of Larder.")
	}
	action := in.action()
	if action == "" {
		return nil, core.Errorf("MissingAction", "Missing Action")
	}
	op := svc.operations[action]
	if op == nil {
		if slices.Contains(svc.Known, action) {
			x.request.Action = action
			return nil, x.dialect.unserved("The action " + action + " is not served by this version of Larder.")
		}
		return nil, x.dialect.unknown(svc, clip(action))
	}
	x.request.Action = op.Name
	out, err := call(r.Context(), x, op, in)
	if err != nil {
		return nil, err
	}
	return x.dialect.respond(svc, op, out, x.request.ID), nil
}

// call decodes, validates and runs one operation.
func call(ctx context.Context, x *exchange, op *api.Operation, in input) (any, error) {
	arg := op.NewInput()
	if err := in.decode(op.Input, arg); err != nil {
		return nil, x.dialect.violation(err)
	}
	if err := op.Input.Validate(arg); err != nil {
		return nil, x.dialect.violation(err)
	}
	return op.Call(core.WithRequest(ctx, x.request), arg)
}

// byVersion finds the service that a query request is meant for when its
// signature names one that is not served.
func (g *gateway) byVersion(in input) *service {
	for _, svc := range g.services {
		if svc.Version == in.version() && slices.Contains(svc.Known, in.action()) {
			return svc
		}
	}
	return nil
}

// clip keeps what is echoed to a client short.
func clip(s string) string {
	const most = 128
	if len(s) > most {
		return s[:most]
	}
	return s
}

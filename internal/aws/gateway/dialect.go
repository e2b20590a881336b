package gateway

import (
	"errors"
	"net/http"
	"strings"

	"github.com/larder-cache/larder/internal/aws/api"
	"github.com/larder-cache/larder/internal/aws/awsjson"
	"github.com/larder-cache/larder/internal/aws/ec2query"
	"github.com/larder-cache/larder/internal/aws/query"
	"github.com/larder-cache/larder/internal/aws/shape"
	"github.com/larder-cache/larder/internal/aws/sigv4"
	"github.com/larder-cache/larder/internal/core"
)

// dialect is how one protocol reads requests, writes answers and words what goes
// wrong before an operation is called.
type dialect interface {
	contentType() string
	// open reads the request as far as its action.
	open(r *http.Request, body []byte) (input, error)
	respond(svc *service, op *api.Operation, out any, requestID string) []byte
	refuse(x *exchange, e *core.Error) []byte
	// unauthenticated words a *sigv4.Error or ErrUnknownKey.
	unauthenticated(err error) *core.Error
	// violation words an error of input.decode or of the validation.
	violation(err error) error
	// unknown words an action that the service has never had, unserved one (or a
	// service) that exists but not here.
	unknown(svc *service, action string) *core.Error
	unserved(message string) *core.Error
}

// input is a request that has been opened.
type input interface {
	action() string
	version() string
	decode(plan *shape.Struct, in any) error
}

func dialectOf(p api.Protocol) dialect {
	switch p {
	case api.EC2:
		return ec2Dialect{}
	case api.JSON:
		return jsonDialect{}
	default:
		return queryDialect{}
	}
}

// queryDialect is AWS Query.
type queryDialect struct{}

func (queryDialect) contentType() string { return query.ContentType }

func (queryDialect) open(r *http.Request, body []byte) (input, error) {
	f, err := query.Parse(r.URL.RawQuery, string(body))
	if err != nil {
		return nil, core.Errorf("MalformedQueryString", "The query string contains a syntax error.").WithStatus(http.StatusNotFound)
	}
	return formInput{f}, nil
}

func (queryDialect) respond(svc *service, op *api.Operation, out any, requestID string) []byte {
	return query.Response(&svc.Service, op, out, requestID)
}

func (queryDialect) refuse(x *exchange, e *core.Error) []byte {
	return query.Error(x.namespace, e.Code, e.Message, e.HTTPStatus(), x.request.ID)
}

func (queryDialect) unauthenticated(err error) *core.Error {
	return authError(err, authCodes{
		missing: "MissingAuthenticationToken", incomplete: "IncompleteSignature", mismatch: "SignatureDoesNotMatch",
		unknownKey: "InvalidClientTokenId", unknownWords: invalidToken, status: http.StatusForbidden,
	})
}

func (queryDialect) violation(err error) error { return violation(err, query.Refusal) }

func (queryDialect) unknown(svc *service, action string) *core.Error {
	return core.Errorf("InvalidAction", "Could not find operation %s for version %s", action, svc.Version)
}

func (queryDialect) unserved(message string) *core.Error {
	return core.Errorf("InvalidAction", "%s", message)
}

// ec2Dialect is what differs in EC2's own query protocol.
type ec2Dialect struct{ queryDialect }

func (ec2Dialect) contentType() string { return ec2query.ContentType }

func (ec2Dialect) respond(svc *service, op *api.Operation, out any, requestID string) []byte {
	return ec2query.Response(&svc.Service, op, out, requestID)
}

func (ec2Dialect) refuse(x *exchange, e *core.Error) []byte {
	return ec2query.Error(e.Code, e.Message, x.request.ID)
}

func (ec2Dialect) unauthenticated(err error) *core.Error {
	e := authError(err, authCodes{
		missing: "MissingAuthenticationToken", incomplete: "IncompleteSignature", mismatch: "AuthFailure",
		unknownKey: "AuthFailure", unknownWords: "AWS was not able to validate the provided access credentials", status: http.StatusForbidden,
	})
	if e.Code == "AuthFailure" {
		e.Status = http.StatusUnauthorized
	}
	return e
}

func (ec2Dialect) violation(err error) error { return violation(err, ec2query.Refusal) }

func (ec2Dialect) unknown(_ *service, action string) *core.Error {
	return core.Errorf("InvalidAction", "The action %s is not valid for this web service.", action)
}

// formInput is a request of either query protocol.
type formInput struct{ form *query.Form }

func (in formInput) action() string  { return in.form.Get("Action") }
func (in formInput) version() string { return in.form.Get("Version") }

func (in formInput) decode(plan *shape.Struct, v any) error { return query.Decode(in.form, plan, v) }

// jsonDialect is AWS JSON, and the dialect of our own paths.
type jsonDialect struct{}

func (jsonDialect) contentType() string { return awsjson.ContentType }

func (jsonDialect) open(r *http.Request, body []byte) (input, error) {
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return jsonInput{name: action, body: body}, nil
}

func (jsonDialect) respond(_ *service, op *api.Operation, out any, _ string) []byte {
	return awsjson.Response(op.Output, out)
}

func (jsonDialect) refuse(_ *exchange, e *core.Error) []byte {
	return awsjson.Error(e.Code, e.Message)
}

func (jsonDialect) unauthenticated(err error) *core.Error {
	return authError(err, authCodes{
		missing: "MissingAuthenticationTokenException", incomplete: "IncompleteSignatureException", mismatch: "InvalidSignatureException",
		unknownKey: "UnrecognizedClientException", unknownWords: invalidToken, status: http.StatusBadRequest,
	})
}

func (jsonDialect) violation(err error) error {
	if errors.Is(err, awsjson.ErrMalformed) {
		return core.Errorf("SerializationException", "The request's body is not a JSON object.")
	}
	return violation(err, awsjson.Refusal)
}

func (jsonDialect) unknown(_ *service, action string) *core.Error {
	return core.Errorf("UnknownOperationException", "The operation %s does not exist.", action)
}

func (jsonDialect) unserved(message string) *core.Error {
	return core.Errorf("UnknownOperationException", "%s", message)
}

// jsonInput is a request of the JSON protocol.
type jsonInput struct {
	name string
	body []byte
}

func (in jsonInput) action() string { return in.name }
func (jsonInput) version() string   { return "" }

func (in jsonInput) decode(plan *shape.Struct, v any) error { return awsjson.Decode(in.body, plan, v) }

const invalidToken = "The security token included in the request is invalid."

// authCodes are a protocol's codes for a request that is not authenticated.
type authCodes struct {
	missing, incomplete, mismatch, unknownKey string
	unknownWords                              string
	// status is that of all but an incomplete signature, which is 400.
	status int
}

func authError(err error, c authCodes) *core.Error {
	var sig *sigv4.Error
	if !errors.As(err, &sig) {
		return core.Errorf(c.unknownKey, "%s", c.unknownWords).WithStatus(c.status)
	}
	switch sig.Reason {
	case sigv4.Missing:
		return core.Errorf(c.missing, "%s", sig.Message).WithStatus(c.status)
	case sigv4.Incomplete:
		return core.Errorf(c.incomplete, "%s", sig.Message)
	default:
		return core.Errorf(c.mismatch, "%s", sig.Message).WithStatus(c.status)
	}
}

func violation(err error, word func(*shape.Violation) *core.Error) error {
	var v *shape.Violation
	if errors.As(err, &v) {
		return word(v)
	}
	return err
}

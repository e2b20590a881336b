package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"slices"

	"github.com/larder-cache/larder/internal/core"
)

// commonStatus are the codes that any action of any service may answer with.
func commonStatus(code string) (status int, ok bool) {
	switch code {
	case "InternalFailure":
		return http.StatusInternalServerError, true
	case "ServiceUnavailable":
		return http.StatusServiceUnavailable, true
	case "AccessDenied", "ExpiredToken", "InvalidClientTokenId", "MissingAuthenticationToken", "OptInRequired", "SignatureDoesNotMatch":
		return http.StatusForbidden, true
	case "MalformedQueryString":
		return http.StatusNotFound, true
	case "AuthFailure", "IncompleteBody", "IncompleteSignature", "InvalidAction", "InvalidParameterCombination", "InvalidParameterValue",
		"InvalidQueryParameter", "MissingAction", "MissingParameter", "NotAuthorized", "RequestEntityTooLarge", "RequestExpired",
		"Throttling", "ValidationError":
		return http.StatusBadRequest, true
	}
	return http.StatusBadRequest, false
}

// refusal is what the client is told of an error: a core.Error as it is, with the
// status of the model where it has none of its own; anything else goes to the log
// and the client learns no more than that it happened.
func (g *gateway) refusal(ctx context.Context, x *exchange, err error) *core.Error {
	if err == nil {
		return nil
	}
	e, ok := core.AsError(err)
	if !ok {
		g.cfg.Log.ErrorContext(ctx, "request failed", "request", x.request.ID, "action", x.request.Action, "error", err)
		return core.Errorf("InternalFailure", "The request processing has failed because of an unknown error.").
			WithStatus(http.StatusInternalServerError)
	}
	status, common := commonStatus(e.Code)
	if svc := g.services[x.service]; svc != nil {
		if !common {
			status = svc.FaultStatus(e.Code)
			g.warnUndeclared(ctx, x, svc, e.Code)
		}
	}
	if e.Status == 0 {
		e = e.WithStatus(status)
	}
	return e
}

// warnUndeclared notes an error code that the model does not declare for the
// action: clients cannot be expected to know it. EC2 declares none at all.
func (g *gateway) warnUndeclared(ctx context.Context, x *exchange, svc *service, code string) {
	op := svc.operations[x.request.Action]
	if op == nil || len(svc.Faults) == 0 || slices.Contains(op.Errors, code) {
		return
	}
	g.cfg.Log.WarnContext(ctx, "error code not declared for the action", slog.String("request", x.request.ID),
		slog.String("action", op.Name), slog.String("code", code))
}

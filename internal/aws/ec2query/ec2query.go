// Package ec2query speaks the dialect of AWS Query that EC2 has for itself: lists
// are flat in requests, answers carry no wrapper and errors an envelope of their
// own. Forms are read by package query.
package ec2query

import (
	"github.com/larder-cache/larder/internal/aws/api"
	"github.com/larder-cache/larder/internal/aws/query"
	"github.com/larder-cache/larder/internal/aws/shape"
	"github.com/larder-cache/larder/internal/core"
)

// ContentType is that of every answer.
const ContentType = "text/xml;charset=UTF-8"

const declaration = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// Response is the document that answers a successful request. out is what the
// operation's Call returned; an action without a result answers true.
func Response(svc *api.Service, op *api.Operation, out any, requestID string) []byte {
	root := op.Name + "Response"
	b := append(make([]byte, 0, 1024), declaration+"<"+root+` xmlns="`...)
	b = append(query.AppendText(b, svc.Namespace), `">`...)
	b = query.AppendElement(b, "requestId", requestID)
	if out == nil {
		b = query.AppendElement(b, "return", "true")
	} else {
		b = query.AppendStruct(b, op.Output, out)
	}
	return append(b, "</"+root+">"...)
}

// Error is the document that refuses a request.
func Error(code, message, requestID string) []byte {
	b := append(make([]byte, 0, 512), declaration+"<Response><Errors><Error>"...)
	b = query.AppendElement(b, "Code", code)
	b = query.AppendElement(b, "Message", message)
	b = append(b, "</Error></Errors>"...)
	b = query.AppendElement(b, "RequestID", requestID)
	return append(b, "</Response>"...)
}

// Refusal puts a broken rule of the model into EC2's words.
func Refusal(v *shape.Violation) *core.Error {
	if v.Missing {
		return core.Errorf("MissingParameter", "The request must contain the parameter %s", v.Parameter)
	}
	return core.Errorf("InvalidParameterValue", "The value for parameter %s is invalid: it %s", v.Parameter, v.Rule)
}

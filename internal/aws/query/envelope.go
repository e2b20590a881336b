package query

import (
	"net/http"

	"github.com/larder-cache/larder/internal/aws/api"
	"github.com/larder-cache/larder/internal/aws/shape"
	"github.com/larder-cache/larder/internal/core"
)

// ContentType is that of every answer.
const ContentType = "text/xml"

// Response is the document that answers a successful request. out is what the
// operation's Call returned.
func Response(svc *api.Service, op *api.Operation, out any, requestID string) []byte {
	root := op.Name + "Response"
	b := openRoot(make([]byte, 0, 1024), root, svc.Namespace)
	if out != nil {
		if op.Wrapper != "" {
			b = open(b, op.Wrapper)
		}
		b = AppendStruct(b, op.Output, out)
		if op.Wrapper != "" {
			b = shut(b, op.Wrapper)
		}
	}
	b = open(b, "ResponseMetadata")
	b = AppendElement(b, "RequestId", requestID)
	b = shut(b, "ResponseMetadata")
	return shut(b, root)
}

// Error is the document that refuses a request with the given HTTP status.
func Error(namespace, code, message string, status int, requestID string) []byte {
	kind := "Sender"
	if status >= http.StatusInternalServerError {
		kind = "Receiver"
	}
	b := openRoot(make([]byte, 0, 512), "ErrorResponse", namespace)
	b = open(b, "Error")
	b = AppendElement(b, "Type", kind)
	b = AppendElement(b, "Code", code)
	b = AppendElement(b, "Message", message)
	b = shut(b, "Error")
	b = AppendElement(b, "RequestId", requestID)
	return shut(b, "ErrorResponse")
}

func openRoot(b []byte, name, namespace string) []byte {
	b = append(append(append(b, '<'), name...), ` xmlns="`...)
	return append(AppendText(b, namespace), `">`...)
}

// Refusal puts a broken rule of the model into the words of AWS Query services.
func Refusal(v *shape.Violation) *core.Error {
	return core.Errorf("InvalidParameterValue", "The parameter %s %s", v.Parameter, v.Rule)
}

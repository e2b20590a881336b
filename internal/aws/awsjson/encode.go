package awsjson

import (
	"encoding/json"
	"reflect"
	"strconv"
	"time"

	"github.com/larder-cache/larder/internal/aws/shape"
	"github.com/larder-cache/larder/internal/core"
)

// Response is the body that answers a successful request: the members of out, a
// pointer to the structure of the plan, in the order of the model. Absent members
// are left out, secrets never written. An action without a result answers {}.
func Response(plan *shape.Struct, out any) []byte {
	if out == nil {
		return []byte("{}")
	}
	return appendStruct(nil, plan, reflect.ValueOf(out).Elem())
}

// Error is the body that refuses a request.
func Error(code, message string) []byte {
	b := append([]byte(`{"__type":`), quote(code)...)
	b = append(append(b, `,"message":`...), quote(message)...)
	return append(b, '}')
}

// Refusal puts a broken rule of the model into the words of JSON services.
func Refusal(v *shape.Violation) *core.Error {
	return core.Errorf("ValidationException", "The parameter %s %s", v.Parameter, v.Rule)
}

func appendStruct(b []byte, plan *shape.Struct, v reflect.Value) []byte {
	b = append(b, '{')
	first := true
	for i := range plan.Fields {
		f := &plan.Fields[i]
		fv := v.Field(f.Index)
		if fv.IsNil() || f.Kind == shape.Secret || f.Elem == shape.Secret {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(append(b, quote(f.Out)...), ':')
		if f.Kind != shape.List {
			b = appendValue(b, f.Kind, f.Struct, fv)
			continue
		}
		b = append(b, '[')
		for j := range fv.Len() {
			if j > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, f.Elem, f.Struct, fv.Index(j))
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func appendValue(b []byte, kind shape.Kind, plan *shape.Struct, v reflect.Value) []byte {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch kind {
	case shape.Structure:
		return appendStruct(b, plan, v)
	case shape.Int:
		return strconv.AppendInt(b, v.Int(), 10)
	case shape.Float:
		return strconv.AppendFloat(b, v.Float(), 'g', -1, 64)
	case shape.Bool:
		return strconv.AppendBool(b, v.Bool())
	case shape.Time:
		return strconv.AppendFloat(b, float64(v.Interface().(time.Time).UnixMilli())/1000, 'f', -1, 64)
	}
	return append(b, quote(v.String())...)
}

// quote writes a JSON string; encoding one cannot fail.
func quote(s string) []byte {
	b, _ := json.Marshal(s)
	return b
}

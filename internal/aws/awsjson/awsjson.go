// Package awsjson speaks AWS JSON 1.1: the action is named by the X-Amz-Target
// header, request and answer are JSON objects.
package awsjson

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/larder-cache/larder/internal/aws/shape"
	"github.com/larder-cache/larder/internal/core"
)

// ContentType is that of every answer.
const ContentType = "application/x-amz-json-1.1"

// ErrMalformed means that a body is not a JSON object.
var ErrMalformed = errors.New("awsjson: the body is not a JSON object")

// Decode fills in, a pointer to the structure of the plan, from a request's body.
// An empty body is an empty object, null an absent member; members that the model
// does not know are ignored. The error is ErrMalformed or a *shape.Violation.
func Decode(body []byte, plan *shape.Struct, in any) error {
	if len(body) == 0 {
		return nil
	}
	if !json.Valid(body) {
		return ErrMalformed
	}
	if v := decodeStruct(body, plan, reflect.ValueOf(in).Elem(), ""); v != nil {
		if v.Parameter == "" {
			return ErrMalformed
		}
		return v
	}
	return nil
}

func decodeStruct(raw json.RawMessage, plan *shape.Struct, v reflect.Value, name string) *shape.Violation {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || members == nil {
		return &shape.Violation{Parameter: name, Rule: "must be an object."}
	}
	if name != "" {
		name += "."
	}
	for i := range plan.Fields {
		f := &plan.Fields[i]
		m, ok := members[f.In]
		if !ok || string(m) == "null" {
			continue
		}
		if viol := decodeField(m, f, v.Field(f.Index), name+f.In); viol != nil {
			return viol
		}
	}
	return nil
}

func decodeField(raw json.RawMessage, f *shape.Field, v reflect.Value, name string) *shape.Violation {
	if f.Kind != shape.List {
		v.Set(reflect.New(v.Type().Elem()))
		return decodeValue(raw, f.Kind, f.Struct, v.Elem(), name)
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		return &shape.Violation{Parameter: name, Rule: "must be a list."}
	}
	list := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		elem := list.Index(i)
		if f.Elem == shape.Structure {
			elem.Set(reflect.New(f.Struct.Type))
			elem = elem.Elem()
		}
		if viol := decodeValue(item, f.Elem, f.Struct, elem, name+"."+strconv.Itoa(i+1)); viol != nil {
			return viol
		}
	}
	v.Set(list)
	return nil
}

func decodeValue(raw json.RawMessage, kind shape.Kind, plan *shape.Struct, v reflect.Value, name string) *shape.Violation {
	switch kind {
	case shape.Structure:
		return decodeStruct(raw, plan, v, name)
	case shape.Secret:
		var s *string
		if json.Unmarshal(raw, &s) != nil || s == nil {
			return &shape.Violation{Parameter: name, Rule: "must be a string."}
		}
		v.Set(reflect.ValueOf(core.NewSecret(*s)))
		return nil
	case shape.Time:
		t, ok := parseTime(raw)
		if !ok {
			return &shape.Violation{Parameter: name, Rule: "must be a timestamp in seconds."}
		}
		v.Set(reflect.ValueOf(t))
		return nil
	}
	if string(raw) == "null" || json.Unmarshal(raw, v.Addr().Interface()) != nil {
		return &shape.Violation{Parameter: name, Rule: "must be " + names[kind] + "."}
	}
	return nil
}

// names are the kinds in the words of a refusal.
var names = map[shape.Kind]string{
	shape.String: "a string", shape.Int: "an integer", shape.Float: "a number", shape.Bool: "true or false",
}

// parseTime reads seconds since 1970, with a fraction; the year stays below 10,000.
func parseTime(raw json.RawMessage) (time.Time, bool) {
	var seconds float64
	if json.Unmarshal(raw, &seconds) != nil || math.Abs(seconds) > 253402300799 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000))).UTC(), true
}

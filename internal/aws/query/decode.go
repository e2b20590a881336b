package query

import (
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/aws/shape"
	"github.com/larder-cache/larder/internal/core"
)

// Decode fills in, a pointer to the structure of the plan, from the form.
// Parameters that the model does not know are ignored, as AWS does. The error is
// a *shape.Violation.
func Decode(f *Form, plan *shape.Struct, in any) error {
	if v := decodeStruct(&f.root, plan, reflect.ValueOf(in).Elem(), ""); v != nil {
		return v
	}
	return nil
}

func decodeStruct(n *node, plan *shape.Struct, v reflect.Value, prefix string) *shape.Violation {
	for i := range plan.Fields {
		f := &plan.Fields[i]
		kid := n.kids[f.In]
		if kid == nil {
			continue
		}
		if viol := decodeField(kid, f, v.Field(f.Index), prefix+f.In); viol != nil {
			return viol
		}
	}
	return nil
}

func decodeField(n *node, f *shape.Field, v reflect.Value, name string) *shape.Violation {
	switch f.Kind {
	case shape.List:
		return decodeList(n, f, v, name)
	case shape.Structure:
		v.Set(reflect.New(f.Struct.Type))
		return decodeStruct(n, f.Struct, v.Elem(), name+".")
	}
	if !n.hasValue {
		return &shape.Violation{Parameter: name, Rule: "must be a single value."}
	}
	if n.value == "" && f.Enumerated() {
		return nil // clients write a choice that was not made as an empty string
	}
	v.Set(reflect.New(v.Type().Elem()))
	return decodeScalar(n.value, f.Kind, v.Elem(), name)
}

func decodeList(n *node, f *shape.Field, v reflect.Value, name string) *shape.Violation {
	items, ok := n.items(f.Item)
	if !ok {
		return &shape.Violation{Parameter: name, Rule: "must be a list."}
	}
	list := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		at := name + "." + strconv.Itoa(i+1)
		var viol *shape.Violation
		switch {
		case f.Elem == shape.Structure:
			list.Index(i).Set(reflect.New(f.Struct.Type))
			viol = decodeStruct(item, f.Struct, list.Index(i).Elem(), at+".")
		case item.hasValue:
			viol = decodeScalar(item.value, f.Elem, list.Index(i), at)
		default:
			viol = &shape.Violation{Parameter: at, Rule: "must be a single value."}
		}
		if viol != nil {
			return viol
		}
	}
	v.Set(list)
	return nil
}

func decodeScalar(s string, kind shape.Kind, v reflect.Value, name string) *shape.Violation {
	rule := ""
	switch kind {
	case shape.String:
		v.SetString(s)
	case shape.Secret:
		v.Set(reflect.ValueOf(core.NewSecret(s)))
	case shape.Int:
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32)
		if err != nil {
			rule = "must be an integer."
		}
		v.SetInt(n)
	case shape.Float:
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			rule = "must be a number."
		}
		v.SetFloat(n)
	case shape.Bool:
		b := strings.EqualFold(s, "true")
		if !b && !strings.EqualFold(s, "false") {
			rule = "must be true or false."
		}
		v.SetBool(b)
	case shape.Time:
		t, ok := parseTime(s)
		if !ok {
			rule = "must be a timestamp in ISO 8601 format."
		}
		v.Set(reflect.ValueOf(t))
	}
	if rule != "" {
		return &shape.Violation{Parameter: name, Rule: rule}
	}
	return nil
}

// parseTime reads the forms of ISO 8601 that clients send; without a zone it is UTC.
func parseTime(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

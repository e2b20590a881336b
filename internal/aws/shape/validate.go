package shape

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/larder-cache/larder/internal/core"
)

// Violation says that a request breaks a rule of the model. Each protocol has a
// code and words of its own for it. It never holds the value.
type Violation struct {
	// Parameter is the dotted name of the parameter, e.g. "Tags.1.Key".
	Parameter string
	// Missing means that a required parameter is absent or empty.
	Missing bool
	// Rule completes the sentence "the parameter ...", e.g. "must be an integer".
	Rule string
}

// Error implements error.
func (v *Violation) Error() string { return "parameter " + v.Parameter + " " + v.Rule }

// Validate holds v, a pointer to the structure of plan s, against the rules of
// the model. The error is a *Violation, of the first member that breaks one.
func (s *Struct) Validate(v any) error {
	if viol := s.check(reflect.ValueOf(v).Elem(), ""); viol != nil {
		return viol
	}
	return nil
}

func (s *Struct) check(v reflect.Value, prefix string) *Violation {
	for i := range s.Fields {
		f := &s.Fields[i]
		if viol := f.check(v.Field(f.Index), prefix+f.In); viol != nil {
			return viol
		}
	}
	return nil
}

func (f *Field) check(v reflect.Value, name string) *Violation {
	if f.required && f.empty(v) {
		rule := "must be provided."
		if f.Kind == String || f.Kind == Secret {
			rule = "must be provided and must not be blank."
		}
		return &Violation{Parameter: name, Missing: true, Rule: rule}
	}
	if v.IsNil() {
		return nil
	}
	if f.Kind == List {
		return f.checkList(v, name)
	}
	if f.Kind == Structure {
		return f.Struct.check(v.Elem(), name+".")
	}
	if rule := f.checkBounds(v.Elem()); rule != "" {
		return &Violation{Parameter: name, Rule: rule}
	}
	return f.checkText(v.Elem(), name)
}

// empty reports whether a required member is as good as absent.
func (f *Field) empty(v reflect.Value) bool {
	switch {
	case v.IsNil():
		return true
	case f.Kind == List:
		return v.Len() == 0
	case f.Kind == String:
		return v.Elem().Len() == 0
	case f.Kind == Secret:
		return v.Interface().(*core.Secret).IsZero()
	}
	return false
}

func (f *Field) checkList(v reflect.Value, name string) *Violation {
	if rule := f.outside(float64(v.Len()), "contain", " elements"); rule != "" {
		return &Violation{Parameter: name, Rule: rule}
	}
	for i := range v.Len() {
		item := name + "." + strconv.Itoa(i+1)
		var viol *Violation
		if f.Elem == Structure {
			viol = f.Struct.check(v.Index(i).Elem(), item+".")
		} else {
			viol = f.checkText(v.Index(i), item)
		}
		if viol != nil {
			return viol
		}
	}
	return nil
}

func (f *Field) checkBounds(v reflect.Value) string {
	switch f.Kind {
	case Int:
		return f.outside(float64(v.Int()), "be", "")
	case Float:
		return f.outside(v.Float(), "be", "")
	case String:
		return f.outside(float64(utf8.RuneCountInString(v.String())), "have", " characters")
	}
	return ""
}

// outside is the broken rule if n is out of bounds, or empty.
func (f *Field) outside(n float64, verb, unit string) string {
	if f.min != nil && n < *f.min {
		return fmt.Sprintf("must %s at least %v%s.", verb, *f.min, unit)
	}
	if f.max != nil && n > *f.max {
		return fmt.Sprintf("must %s at most %v%s.", verb, *f.max, unit)
	}
	return ""
}

// checkText holds a string, or an element of a list of strings, against the
// allowed values and the pattern.
func (f *Field) checkText(v reflect.Value, name string) *Violation {
	if v.Kind() != reflect.String {
		return nil
	}
	if f.enum != nil && !slices.Contains(f.enum, v.String()) {
		return &Violation{Parameter: name, Rule: "must be one of: " + strings.Join(f.enum, ", ") + "."}
	}
	if f.pattern != nil && !f.pattern.MatchString(v.String()) {
		return &Violation{Parameter: name, Rule: "does not match the pattern " + f.pattern.String() + "."}
	}
	return nil
}

// Enumerated reports whether the model lists the member's allowed values.
func (f *Field) Enumerated() bool { return f.enum != nil }

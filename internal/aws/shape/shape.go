// Package shape compiles the generated wire types into plans that the codecs
// follow: which members a structure has, what they are called in requests and in
// answers, and which rules of the model a value must keep.
//
// A field's Go type says what it is; these tags say the rest:
//
//	in:"Filter"        name in requests, if it is not the field's
//	out:"subnetSet"    name in answers, if it is not the field's
//	item:"Tag"         name of a list's elements, if it is not "member"
//	required:"true"    must be present, and not empty
//	min:"1" max:"50"   bounds of a number, or of the length of a string or list
//	enum:"a|b"         allowed values; of each element for a list
//	pattern:"[a-z]+"   what a whole string must look like; each element of a list
package shape

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/core"
)

// Kind is what a value is on the wire.
type Kind uint8

// The kinds.
const (
	String Kind = iota
	Int
	Float
	Bool
	Time
	// Secret is a string that is only ever read, never written.
	Secret
	Structure
	List
)

// Struct is the plan of one structure.
type Struct struct {
	Type   reflect.Type
	Fields []Field
}

// Field is one member of a structure. Its Go field is a pointer, or a slice for a
// list; nil means absent.
type Field struct {
	// Index is the position of the Go field.
	Index int
	// In and Out are the member's names in requests and in answers.
	In, Out string
	// Item is the name of a list's elements.
	Item string
	// Kind is the member's kind.
	Kind Kind
	// Elem is the kind of a list's elements: a scalar or Structure.
	Elem Kind
	// Struct is the plan of a structure, or of a list's elements.
	Struct *Struct

	required bool
	min, max *float64
	enum     []string
	pattern  *regexp.Regexp
}

// Of compiles the plan of T. It panics if T is not made of the types that the
// generator writes, which is a mistake in the program, not in a request.
func Of[T any]() *Struct {
	return compile(reflect.TypeFor[T](), map[reflect.Type]*Struct{})
}

func compile(t reflect.Type, done map[reflect.Type]*Struct) *Struct {
	if s, ok := done[t]; ok {
		return s
	}
	s := &Struct{Type: t, Fields: make([]Field, 0, t.NumField())}
	done[t] = s
	for i := range t.NumField() {
		s.Fields = append(s.Fields, compileField(t.Field(i), i, done))
	}
	return s
}

func compileField(sf reflect.StructField, index int, done map[reflect.Type]*Struct) Field {
	f := Field{Index: index, In: sf.Name, Out: sf.Name, Item: "member"}
	for tag, name := range map[string]*string{"in": &f.In, "out": &f.Out, "item": &f.Item} {
		if v, ok := sf.Tag.Lookup(tag); ok {
			*name = v
		}
	}
	elem := sf.Type.Elem()
	if sf.Type.Kind() == reflect.Slice {
		f.Kind = List
		if elem.Kind() == reflect.Pointer {
			elem = elem.Elem()
		}
		f.Elem = kindOf(elem)
	} else {
		f.Kind = kindOf(elem)
	}
	if f.Kind == Structure || f.Elem == Structure {
		f.Struct = compile(elem, done)
	}
	f.required = sf.Tag.Get("required") == "true"
	f.min, f.max = bound(sf, "min"), bound(sf, "max")
	if v, ok := sf.Tag.Lookup("enum"); ok {
		f.enum = strings.Split(v, "|")
	}
	if v, ok := sf.Tag.Lookup("pattern"); ok {
		f.pattern = regexp.MustCompile("^(?:" + v + ")$")
	}
	return f
}

func bound(sf reflect.StructField, tag string) *float64 {
	v, ok := sf.Tag.Lookup(tag)
	if !ok {
		return nil
	}
	n, err := strconv.ParseFloat(v, 64)
	if err != nil {
		panic(fmt.Sprintf("shape: field %s: tag %s: %v", sf.Name, tag, err))
	}
	return &n
}

func kindOf(t reflect.Type) Kind {
	switch t {
	case reflect.TypeFor[time.Time]():
		return Time
	case reflect.TypeFor[core.Secret]():
		return Secret
	}
	switch t.Kind() {
	case reflect.String:
		return String
	case reflect.Int:
		return Int
	case reflect.Float64:
		return Float
	case reflect.Bool:
		return Bool
	case reflect.Struct:
		return Structure
	}
	panic("shape: unsupported type " + t.String())
}

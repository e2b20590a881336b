package query

import (
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/larder-cache/larder/internal/aws/shape"
)

// timeLayout is how answers write a time: UTC, milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z"

// AppendStruct appends the members of out, a pointer to the structure of the
// plan, as XML elements in the order of the model. Absent members are left out;
// an empty list that is not nil is an empty element. Secrets are never written.
func AppendStruct(b []byte, plan *shape.Struct, out any) []byte {
	return appendStruct(b, plan, reflect.ValueOf(out).Elem())
}

func appendStruct(b []byte, plan *shape.Struct, v reflect.Value) []byte {
	for i := range plan.Fields {
		f := &plan.Fields[i]
		fv := v.Field(f.Index)
		if fv.IsNil() || f.Kind == shape.Secret || f.Elem == shape.Secret {
			continue
		}
		if f.Kind == shape.List && fv.Len() == 0 {
			b = append(append(append(b, '<'), f.Out...), "/>"...)
			continue
		}
		b = open(b, f.Out)
		switch f.Kind {
		case shape.List:
			for j := range fv.Len() {
				b = open(b, f.Item)
				b = appendValue(b, f.Elem, f.Struct, fv.Index(j))
				b = shut(b, f.Item)
			}
		default:
			b = appendValue(b, f.Kind, f.Struct, fv)
		}
		b = shut(b, f.Out)
	}
	return b
}

func appendValue(b []byte, kind shape.Kind, plan *shape.Struct, v reflect.Value) []byte {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch kind {
	case shape.Structure:
		return appendStruct(b, plan, v)
	case shape.String:
		return AppendText(b, v.String())
	case shape.Int:
		return strconv.AppendInt(b, v.Int(), 10)
	case shape.Float:
		return strconv.AppendFloat(b, v.Float(), 'f', -1, 64)
	case shape.Bool:
		return strconv.AppendBool(b, v.Bool())
	case shape.Time:
		return v.Interface().(time.Time).UTC().AppendFormat(b, timeLayout)
	}
	return b
}

func open(b []byte, name string) []byte {
	return append(append(append(b, '<'), name...), '>')
}

func shut(b []byte, name string) []byte {
	return append(append(append(b, "</"...), name...), '>')
}

// AppendElement appends one element with text in it.
func AppendElement(b []byte, name, text string) []byte {
	return shut(AppendText(open(b, name), text), name)
}

// AppendText appends s escaped. What XML cannot carry becomes U+FFFD; a carriage
// return is written as a reference, or a parser would read it as a newline.
func AppendText(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			b = appendASCII(b, c)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == 0xFFFE || r == 0xFFFF {
			r = utf8.RuneError
		}
		b = utf8.AppendRune(b, r)
		i += size
	}
	return b
}

func appendASCII(b []byte, c byte) []byte {
	switch c {
	case '&':
		return append(b, "&amp;"...)
	case '<':
		return append(b, "&lt;"...)
	case '>':
		return append(b, "&gt;"...)
	case '"':
		return append(b, "&quot;"...)
	case '\r':
		return append(b, "&#xD;"...)
	case '\t', '\n':
		return append(b, c)
	}
	if c < ' ' {
		return utf8.AppendRune(b, utf8.RuneError)
	}
	return append(b, c)
}

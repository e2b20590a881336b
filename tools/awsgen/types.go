package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// types writes the structures among the named shapes as Go types whose tags
// carry everything that the codecs and the validation need to know.
func (g *generator) types(b *bytes.Buffer, names []string) error {
	for _, name := range names {
		s := g.m.Shapes[name]
		if s.Type != "structure" {
			continue
		}
		fmt.Fprintf(b, "\n// %s is a structure of the API.\ntype %s struct {\n", name, name)
		for _, member := range s.Members.names {
			if err := g.field(b, s, name, member); err != nil {
				return fmt.Errorf("%s.%s: %w", name, member, err)
			}
		}
		b.WriteString("}\n")
	}
	return nil
}

func (g *generator) field(b *bytes.Buffer, s *shape, structure, member string) error {
	r := s.Members.refs[member]
	typ, err := g.goType(*r)
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "\t%s %s", member, typ)
	if tag := g.tag(s, structure, member, r); tag != "" {
		fmt.Fprintf(b, " `%s`", tag)
	}
	b.WriteByte('\n')
	return nil
}

// goType is the Go type of a use of a shape. Absence is nil everywhere.
func (g *generator) goType(r ref) (string, error) {
	s := g.m.Shapes[r.Shape]
	switch s.Type {
	case "string", "character":
		if r.Sensitive {
			return "*core.Secret", nil
		}
		return "*string", nil
	case "integer", "long":
		return "*int", nil
	case "double", "float":
		return "*float64", nil
	case "boolean":
		return "*bool", nil
	case "timestamp":
		return "*time.Time", nil
	case "structure":
		return "*" + r.Shape, nil
	case "list":
		e := *s.Member
		e.Sensitive = e.Sensitive || r.Sensitive
		elem, err := g.goType(e)
		if g.m.Shapes[e.Shape].Type != "structure" {
			elem = strings.TrimPrefix(elem, "*")
		}
		return "[]" + elem, err
	}
	return "", fmt.Errorf("shape %s: type %q is not supported", r.Shape, s.Type)
}

// tag is what a field's name and type do not say. The keys are documented in
// package shape of the product.
func (g *generator) tag(s *shape, structure, member string, r *ref) string {
	var tags []string
	add := func(key, value string) { tags = append(tags, key+":"+strconv.Quote(value)) }
	target := g.m.Shapes[r.Shape]
	in, out := g.names(member, r, target)
	if g.inputs[structure] && in != member {
		add("in", in)
	}
	if g.outputs[structure] && out != member {
		add("out", out)
	}
	ec2Input := g.m.Metadata.Protocol == "ec2" && !g.outputs[structure]
	if target.Type == "list" && target.Member.LocationName != "" && !ec2Input {
		add("item", target.Member.LocationName)
	}
	if !g.inputs[structure] {
		return strings.Join(tags, " ")
	}
	if slices.Contains(s.Required, member) {
		add("required", "true")
	}
	if target.Min != nil {
		add("min", strconv.FormatFloat(*target.Min, 'f', -1, 64))
	}
	if target.Max != nil {
		add("max", strconv.FormatFloat(*target.Max, 'f', -1, 64))
	}
	scalar := target
	if target.Type == "list" {
		scalar = g.m.Shapes[target.Member.Shape]
	}
	if len(scalar.Enum) > 0 {
		add("enum", strings.Join(scalar.Enum, "|"))
	}
	if scalar.Pattern != "" {
		add("pattern", scalar.Pattern)
	}
	return strings.Join(tags, " ")
}

// names are a member's names in requests and in answers. EC2's requests write
// the first letter large and may have a name of their own.
func (g *generator) names(member string, r *ref, target *shape) (in, out string) {
	out = member
	if r.LocationName != "" {
		out = r.LocationName
	} else if target.LocationName != "" {
		out = target.LocationName
	}
	in = out
	if g.m.Metadata.Protocol == "ec2" {
		in = strings.ToUpper(out[:1]) + out[1:]
		if r.QueryName != "" {
			in = r.QueryName
		}
	}
	return in, out
}

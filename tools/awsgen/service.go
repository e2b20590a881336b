package main

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// service writes the interface of the served actions, the description that binds
// an implementation to the gateway, and the tables of errors and actions.
func (g *generator) service(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n// Service is what an implementation of the served actions provides.\ntype Service interface {\n")
	for _, name := range g.actions {
		op := g.m.Operations[name]
		if op.Output == nil {
			fmt.Fprintf(b, "\t%s(ctx context.Context, in *%s) error\n", name, op.Input.Shape)
			continue
		}
		fmt.Fprintf(b, "\t%s(ctx context.Context, in *%s) (*%s, error)\n", name, op.Input.Shape, op.Output.Shape)
	}
	b.WriteString("}\n")

	md := g.m.Metadata
	fmt.Fprintf(b, "\n// Describe binds an implementation to the description of the service.\nfunc Describe(impl Service) api.Service {\n\treturn api.Service{\n")
	fmt.Fprintf(b, "Name: %q,\nVersion: %q,\nNamespace: %q,\nProtocol: %s,\n", g.name, md.APIVersion, md.XMLNamespace, protocols[md.Protocol])
	if md.TargetPrefix != "" {
		fmt.Fprintf(b, "TargetPrefix: %q,\n", md.TargetPrefix)
	}
	b.WriteString("Operations: operations(impl),\nKnown: strings.Fields(known),\nFaults: faults(),\n}\n}\n")

	b.WriteString("\nfunc operations(impl Service) []api.Operation {\nreturn []api.Operation{\n")
	for _, name := range g.actions {
		g.operation(b, name)
	}
	b.WriteString("}\n}\n")
}

func (g *generator) operation(b *bytes.Buffer, name string) {
	op := g.m.Operations[name]
	if op.Output == nil {
		fmt.Fprintf(b, "api.Void(%q, impl.%s", name, name)
	} else {
		fmt.Fprintf(b, "api.Returning(%q, %q, impl.%s", name, op.Output.ResultWrapper, name)
	}
	if len(op.Errors) == 0 {
		b.WriteString("),\n")
		return
	}
	b.WriteString(",\n")
	for _, e := range op.Errors {
		code, _ := g.fault(e.Shape)
		fmt.Fprintf(b, "%q,", code)
	}
	b.WriteString("),\n")
}

// faults writes the status of every error of the model, declared by a served
// action or not.
func (g *generator) faults(b *bytes.Buffer) {
	b.WriteString("\n// faults is every error code of the model with its HTTP status.\nfunc faults() map[string]int {\nreturn map[string]int{\n")
	status := map[string]int{}
	for name, s := range g.m.Shapes {
		if s.Exception {
			code, st := g.fault(name)
			status[code] = st
		}
	}
	for _, code := range sortedKeys(status) {
		fmt.Fprintf(b, "%q: %d,\n", code, status[code])
	}
	b.WriteString("}\n}\n")
}

// fault is an error shape's code on the wire and HTTP status.
func (g *generator) fault(name string) (code string, status int) {
	code, status = name, http.StatusBadRequest
	s := g.m.Shapes[name]
	if s.Fault {
		status = http.StatusInternalServerError
	}
	if s.Error != nil {
		if s.Error.Code != "" {
			code = s.Error.Code
		}
		if s.Error.HTTPStatusCode != 0 {
			status = s.Error.HTTPStatusCode
		}
	}
	return code, status
}

func (g *generator) known(b *bytes.Buffer) {
	b.WriteString("\n// known is every action of the model.\nconst known = `\n")
	b.WriteString(strings.Join(sortedKeys(g.m.Operations), "\n"))
	b.WriteString("\n`\n")
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

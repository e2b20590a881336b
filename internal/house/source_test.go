package house

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Budgets in lines. Beyond them a reader loses the thread.
const (
	fileBudget     = 800
	functionBudget = 100
)

func TestBudgets(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.generated {
			continue
		}
		if s.lines > fileBudget {
			t.Errorf("%s has %d lines, more than %d: which two ideas does it hold?", s.path, s.lines, fileBudget)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil || s.test {
				continue
			}
			if n := s.logic(f); n > functionBudget {
				t.Errorf("%s: %s has %d lines, more than %d", s.at(f), f.Name.Name, n, functionBudget)
			}
		}
	}
}

// logic is the length of a function in lines. A table of data in it counts as
// one line.
func (s *source) logic(f *ast.FuncDecl) int {
	span := func(n ast.Node) int { return s.fset.Position(n.End()).Line - s.fset.Position(n.Pos()).Line }
	lines := span(f) + 1
	ast.Inspect(f, func(n ast.Node) bool {
		table, ok := n.(*ast.CompositeLit)
		if ok {
			lines -= span(table)
		}
		return !ok
	})
	return lines
}

func TestPackagesAreDocumented(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for _, s := range sources(t) {
		documented[s.dir] = documented[s.dir] || s.file.Doc != nil
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment: a reader must learn there what it is for", dir)
		}
	}
}

func TestExportedIsDocumented(t *testing.T) {
	t.Parallel()
	for _, s := range product(t) {
		if s.file.Name.Name == "main" {
			continue
		}
		for _, d := range s.file.Decls {
			for _, name := range undocumented(d) {
				t.Errorf("%s: %s is exported without a comment on its meaning, units and errors", s.at(name), name.Name)
			}
		}
	}
}

// undocumented are the exported names that a declaration introduces without a
// comment. In a group the comment of the group is enough.
func undocumented(d ast.Decl) []*ast.Ident {
	var out []*ast.Ident
	switch d := d.(type) {
	case *ast.FuncDecl:
		// String and Error have one meaning everywhere.
		known := d.Recv != nil && (d.Name.Name == "String" || d.Name.Name == "Error")
		if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) && !known {
			out = append(out, d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if d.Doc == nil && spec.Doc == nil && spec.Name.IsExported() {
					out = append(out, spec.Name)
				}
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					if d.Doc == nil && spec.Doc == nil && spec.Comment == nil && name.IsExported() {
						out = append(out, name)
					}
				}
			}
		}
	}
	return out
}

func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	exported := false
	ast.Inspect(f.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && !exported {
			exported = id.IsExported()
			return false
		}
		return true
	})
	return exported
}

func TestNamesSayWhatThingsAre(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.generated {
			continue
		}
		for _, d := range s.file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, spec := range g.Specs {
				name := spec.(*ast.TypeSpec).Name
				for _, vague := range []string{"Manager", "Helper", "Util", "Utils"} {
					if strings.HasSuffix(name.Name, vague) {
						t.Errorf("%s: %s says nothing: use the noun of the domain", s.at(name), name.Name)
					}
				}
			}
		}
	}
}

// ban is a function that must not be called, with the reason.
type ban struct {
	pkg, name, reason string
}

var bans = []ban{
	{"time", "Sleep", "it cannot be woken: wait on a channel, the context and core.Clock"},
	{"context", "Background", "it loses the caller's cancellation: take ctx"},
	{"context", "TODO", "it loses the caller's cancellation: take ctx"},
	{"os", "Exit", "only main ends the process"},
	{"log", "Fatal", "only main ends the process"},
	{"log", "Printf", "log with the slog.Logger that was handed in"},
	{"log", "Println", "log with the slog.Logger that was handed in"},
	{"slog", "Default", "log with the slog.Logger that was handed in"},
	{"fmt", "Printf", "print to the writer that was handed in"},
	{"fmt", "Println", "print to the writer that was handed in"},
}

func TestBans(t *testing.T) {
	t.Parallel()
	for _, s := range product(t) {
		if s.file.Name.Name == "main" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			for _, b := range bans {
				if isCall(n, b.pkg, b.name) {
					t.Errorf("%s: %s.%s: %s", s.at(n), b.pkg, b.name, b.reason)
				}
			}
			return true
		})
	}
}

// isCall reports whether n calls pkg.name.
func isCall(n ast.Node, pkg, name string) bool {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	id, ok := sel.X.(*ast.Ident)
	return ok && id.Name == pkg
}

// Time comes from core.Clock, so that tests can move it. A deadline of a socket is
// the kernel's time, which nothing can move.
func TestTimeComesFromTheClock(t *testing.T) {
	t.Parallel()
	for _, s := range product(t) {
		if s.file.Name.Name == "main" || s.path == "internal/core/clock.go" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if sel, ok := call.Fun.(*ast.SelectorExpr); ok && strings.HasSuffix(sel.Sel.Name, "Deadline") {
					return false
				}
			}
			if isCall(n, "time", "Now") || isCall(n, "time", "Since") {
				t.Errorf("%s: the time comes from core.Clock, so that tests can move it", s.at(n))
			}
			return true
		})
	}
}

func TestNothingStartsByItself(t *testing.T) {
	t.Parallel()
	for _, s := range product(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: init runs behind the reader's back: wire it in app", s.at(f))
			}
		}
	}
}

// What differs between engines is in engine, catalog and parameter; elsewhere
// the name of an engine decides nothing.
func TestNobodyElseSwitchesOnTheEngine(t *testing.T) {
	t.Parallel()
	engines := []string{"redis", "valkey", "memcached"}
	for _, s := range product(t) {
		if under(strings.TrimPrefix(s.dir, "internal/"), []string{"engine", "catalog", "parameter"}) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			clause, ok := n.(*ast.CaseClause)
			if !ok {
				return true
			}
			for _, e := range clause.List {
				lit, ok := e.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					continue
				}
				if text, err := strconv.Unquote(lit.Value); err == nil && slices.Contains(engines, text) {
					t.Errorf("%s: a switch on the engine %s belongs into engine, catalog or parameter", s.at(lit), text)
				}
			}
			return true
		})
	}
}

// revealers may look at the plaintext of a secret: they hand it to an engine, a
// signature, a cipher or a connection, or show it to its owner.
var revealers = []string{
	"admin", "aws/sigv4", "cli", "controller/host", "elasticache", "engine", "pki", "relay", "runtime/local", "seal", "store/etcd", "app",
}

func TestSecretsAreRevealedWhereTheyLeave(t *testing.T) {
	t.Parallel()
	for _, s := range product(t) {
		pkg := strings.TrimPrefix(s.dir, "internal/")
		if under(pkg, revealers) || pkg == "core" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Reveal" {
				t.Errorf("%s: %s has no business with a plaintext secret: pass core.Secret on", s.at(sel), pkg)
			}
			return true
		})
	}
}

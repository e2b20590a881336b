// Package house checks the rules of the house that no other tool knows: who may
// import whom, what must be documented, what must not be called. Each rule
// carries its reason, so that a failure explains itself.
package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/larder-cache/larder/"

// source is one Go file of the repository.
type source struct {
	// path is relative to the repository, dir its directory.
	path, dir string
	fset      *token.FileSet
	file      *ast.File
	lines     int
	test      bool
	generated bool
}

// at is the position of a node, for messages.
func (s *source) at(n ast.Node) token.Position {
	p := s.fset.Position(n.Pos())
	p.Filename = s.path
	return p
}

// sources parses every Go file of the repository.
func sources(t *testing.T) []*source {
	t.Helper()
	root := filepath.Join("..", "..")
	var out []*source
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", "node_modules", "testdata", "bin":
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		s, err := read(root, name)
		if err == nil {
			out = append(out, s)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatal("no Go files found: the checks would pass without looking at anything")
	}
	return out
}

func read(root, name string) (*source, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return nil, err
	}
	rel = filepath.ToSlash(rel)
	return &source{
		path: rel, dir: path.Dir(rel), fset: fset, file: file,
		lines: strings.Count(string(text), "\n"),
		test:  strings.HasSuffix(rel, "_test.go"), generated: ast.IsGenerated(file),
	}, nil
}

// product are the files that make up the program, written by hand; what only
// tests use may be looser.
func product(t *testing.T) []*source {
	t.Helper()
	var out []*source
	for _, s := range sources(t) {
		if !s.test && !s.generated && !strings.HasPrefix(s.path, "test/") {
			out = append(out, s)
		}
	}
	return out
}

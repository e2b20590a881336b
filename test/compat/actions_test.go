package compat

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/larder-cache/larder/test/harness"
)

// TestEveryActionIsCalled looks through the sources of this package: each action that
// is served has to be called by the AWS CLI and by an SDK. Of a call in Go only the name
// is seen, so that it may not stand in a comment, but is taken for one of any service.
func TestEveryActionIsCalled(t *testing.T) {
	t.Parallel()
	cli, sdk := map[string]bool{}, map[string]bool{}
	lookAtGo(t, cli, sdk)
	look(t, "transcripts/*.txt", `(?m)^[$?!] (?:\w+ = )?aws \w+ ([\w-]+)`, cli)
	look(t, "transcripts/*/*.txt", `(?m)^[$?!] (?:\w+ = )?aws \w+ ([\w-]+)`, cli)
	look(t, "python/*.py", `\b\w+\.(\w+)[(,]`, sdk)
	look(t, "js/*.mjs", `\b(\w+)Command\b`, sdk)
	lists, err := filepath.Glob(filepath.Join(harness.Root(), "tools/awsgen/actions/*.txt"))
	must(t, err)
	if len(lists) != 3 {
		t.Fatalf("lists of actions: %v", lists)
	}
	for _, list := range lists {
		service := strings.TrimSuffix(filepath.Base(list), ".txt")
		text, err := os.ReadFile(list)
		must(t, err)
		for action := range strings.FieldsSeq(string(text)) {
			command := hyphened(action)
			if !cli[command] {
				t.Errorf("no test calls aws %s %s", service, command)
			}
			if !sdk[action] && !sdk[strings.ReplaceAll(command, "-", "_")] {
				t.Errorf("no test calls %s of %s with an SDK", action, service)
			}
		}
	}
}

// look adds what a pattern captures in files.
func look(t *testing.T, glob, pattern string, into map[string]bool) {
	t.Helper()
	files, err := filepath.Glob(glob)
	must(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			into[m[1]] = true
		}
	}
}

// lookAtGo adds the methods that the tests in Go call, and the texts that they give to
// functions, among which are the commands of the CLI.
func lookAtGo(t *testing.T, cli, sdk map[string]bool) {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	must(t, err)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		must(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if method, ok := n.Fun.(*ast.SelectorExpr); ok {
					sdk[method.Sel.Name] = true
				}
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
					cli[text] = true
				}
			}
			return true
		})
	}
}

// hyphened is an action as a command of the CLI.
func hyphened(action string) string {
	return strings.ToLower(regexp.MustCompile(`([a-z0-9])([A-Z])`).ReplaceAllString(action, "$1-$2"))
}
